import { fetchRequestId, type RequestHandler, toAuthRequest } from "../http/handler.js";
import { jsonResponse } from "../http/json-response.js";
import { HttpProblem } from "../http/problem.js";
import type { Awaitable } from "../internal/awaitable.js";
import { warnOnce } from "../internal/warn.js";
import {
  type AuthError,
  type AuthRequest,
  createGuard,
  type GuardErrorContext,
  type GuardOptions,
  type GuardOutcome,
  type HttpDenial,
  type Principal,
  type Requirement,
} from "../kit.js";
import { createProblem, type Problem, toProblem } from "./error-codes.js";
import { isKey } from "./grants.js";
import { readIdempotencyKey } from "./idempotency.js";
import { createDocument } from "./openapi.js";
import type { OperationInput, OperationResult } from "./operation.js";
import { createOperations } from "./operations.js";
import { BODY_MEMBERS, type ManagementOptions, type PreparedOptions, prepareOptions } from "./options.js";
import { type PreparedPresenter, preparePresenter } from "./presenter.js";
import { readBody, readQuery } from "./request-input.js";
import { createBodySchemas, createQuerySchemas, type SchemaOptions } from "./request-schemas.js";
import { createRouter } from "./router.js";
import type { Route, RouteName } from "./routes.js";

/**
 * Creates a fetch handler that manages keys over HTTP. Mount it with `expressHandler`, `koaHandler`, `honoHandler`,
 * `fastifyHandler` or `toNodeListener`, or call it directly.
 *
 * @throws TypeError if an option is unknown, missing or invalid; the message names the option.
 *
 * @example
 * const api = createManagementApi({ keys, verifier: jwtVerifier, keyVerifier: verifier, basePath: "/admin" });
 * app.use("/admin", expressHandler(api));
 */
export function createManagementApi<S extends string>(given: ManagementOptions<S>): RequestHandler {
  const options = prepareOptions(given);
  const presenter = preparePresenter("createManagementApi", given.presenter);
  const { wireName } = presenter;
  const schemaOptions = schemaOptionsOf(options, presenter);
  const bodies = createBodySchemas(schemaOptions);
  const queries = createQuerySchemas(schemaOptions);
  const matchRoute = createRouter(options.routes, options.basePath, options.paths);
  const operations = createOperations(options, presenter);
  const report = errorReporter(given.onError);
  const authenticate = createAuthentication(options, report);
  const document = createDocument(options, presenter, { bodies, queries });

  const run = async (route: Route, headers: Headers, input: OperationInput<S>): Promise<OperationResult> => {
    const first = operations[route.name as Exclude<RouteName, "openapi">];
    const idempotencyKey = route.idempotencyKey && readIdempotencyKey(headers);
    if (idempotencyKey === undefined) return first(input);
    const { replay } = operations;
    return options.idempotency.execute(idempotencyKey, route.name, input, { first, replay });
  };

  return async (request, connection) => {
    const requestId = fetchRequestId(request, connection);
    const authRequest = toAuthRequest(request, connection, requestId);
    const context = { requestId, method: authRequest.method, path: authRequest.path };
    let guardHeaders: Readonly<Record<string, string>> = {};
    try {
      const { route, id } = matchRoute(request.method, authRequest.path ?? "");
      const outcome = await authenticate(route, authRequest);
      if (outcome?.pass === false) throw denialProblem(outcome.denial);
      guardHeaders = outcome?.headers ?? {};
      const principal = outcome?.principal;
      const query = readQuery(request, queries[route.query ?? "none"], QUERY_MEMBERS, wireName);
      if (route.name === "openapi") return jsonResponse(request, requestId, 200, document());
      if (principal === undefined) throw new TypeError("A guard allowed a request without a principal");
      requireManagementCredential(options, route, principal);
      const body =
        route.body === undefined
          ? {}
          : await readBody(request, bodies[route.body], MEMBERS_OF[route.body], wireName);
      const ifMatch = (route.ifMatch && request.headers.get("if-match")) ?? undefined;
      const result = await run(route, request.headers, { principal, id, query, body, ifMatch });
      const headers = { ...guardHeaders, ...result.headers };
      return jsonResponse(request, requestId, route.status, result.body, headers);
    } catch (error) {
      return errorResponse(error);
    }

    function errorResponse(error: unknown): Response {
      const { problem, unexpected } = toProblem(error);
      if (unexpected) report(error, context);
      const headers = { ...guardHeaders, ...problem.headers };
      const presented = withRequestId(problem, requestId);
      try {
        const { status, body } = presenter.error(presented);
        return jsonResponse(request, requestId, status, body, headers);
      } catch (presenterError) {
        report(presenterError, context);
      }
      try {
        const { status, body } = presenter.defaultError(presented);
        return jsonResponse(request, requestId, status, body, headers);
      } catch (responseError) {
        // The host threw an HttpProblem with a status or header that cannot be sent.
        report(responseError, context);
        const { status, body } = presenter.defaultError(
          withRequestId(createProblem("internal_error"), requestId),
        );
        return jsonResponse(request, requestId, status, body);
      }
    }
  };
}

const QUERY_MEMBERS = [
  "status",
  "environment",
  "createdByKey",
  "search",
  "cursor",
  "limit",
  "reason",
  "descendants",
];
const MEMBERS_OF: Readonly<Record<NonNullable<Route["body"]>, readonly string[]>> = {
  ...BODY_MEMBERS,
  revoke: ["reason", "descendants"],
  none: [],
};

function schemaOptionsOf<S extends string>(
  options: PreparedOptions<S>,
  { wireName }: PreparedPresenter,
): SchemaOptions {
  const { keys, input, defaults, pageSize, requires } = options;
  const { scopes, environments } = keys;
  // API keys, which `requires.write` lets in, and `defaults` may have an environment for the new key.
  const environmentRequired =
    (environments?.length ?? 0) > 1 &&
    input.create.includes("environment") &&
    requires.write === undefined &&
    defaults === undefined;
  return {
    environmentRequired,
    scopes,
    environments,
    input,
    wireName,
    scopesOptional: defaults !== undefined,
    pageSize,
  };
}

/** Creates the guards of the routes. */
function createAuthentication<S extends string>(
  { verifier, keyVerifier, requires }: PreparedOptions<S>,
  onError: NonNullable<GuardOptions["onError"]>,
): (route: Route, request: AuthRequest) => Awaitable<GuardOutcome<S> | undefined> {
  // The members of the error, which the presenter then formats like those of any other error.
  const errorBody = ({ code, message, details }: AuthError) => ({ code, message, details });
  const guard = createGuard(verifier, { onError, errorBody });
  const guardFor = (required: Requirement<S> | undefined) =>
    required === undefined ? guard() : guard(required);
  const guards = {
    read: guardFor(requires.read),
    write: guardFor(requires.write),
    key: createGuard(keyVerifier, { onError, errorBody })(),
  };
  return ({ needs }, request) => (needs === "nothing" ? undefined : guards[needs](request));
}

/** @throws HttpProblem 403 if the credential is an API key and no requirement allows keys to manage keys. */
function requireManagementCredential<S extends string>(
  { requires }: PreparedOptions<S>,
  { needs }: Route,
  principal: Principal<S>,
): void {
  if ((needs !== "read" && needs !== "write") || !isKey(principal)) return;
  // A custom verifier may omit the key of a principal. Then there is nothing to bound new keys by.
  if (requires[needs] === undefined || principal.key === undefined)
    throw createProblem("api_key_not_allowed");
}

/** Converts a guard's denial to a problem, so that the presenter formats its body. */
function denialProblem({ status, headers, body }: HttpDenial): HttpProblem {
  const { code, message, details } = JSON.parse(body);
  const kept = Object.entries(headers).filter(([name]) => !RESPONSE_HEADERS.includes(name));
  return new HttpProblem(status, code, message, { headers: Object.fromEntries(kept), details });
}

/** Set by `jsonResponse`. */
const RESPONSE_HEADERS = ["cache-control", "content-length", "content-type", "x-request-id"];

function withRequestId({ status, code, message, details }: HttpProblem, requestId: string): Problem {
  return { status, code, message, requestId, details };
}

function errorReporter(
  onError: GuardOptions["onError"],
): (error: unknown, context: GuardErrorContext) => void {
  const warn = warnOnce("KEYBEARER_MANAGEMENT_ERROR");
  return (error, context) => {
    if (onError === undefined) {
      return warn(
        'A key management request failed with 500 or 503. Pass "onError" to createManagementApi to see every error.',
      );
    }
    try {
      Promise.resolve(onError(error, context)).catch(() => {});
    } catch {
      // An exception of onError must not change the response.
    }
  };
}
