import { answerJson } from "../http/answer.js";
import { fromFetch, type RequestHandler, requestIdOf } from "../http/handler.js";
import { HttpProblem } from "../http/problem.js";
import { warn } from "../internal/warn.js";
import {
  type AuthError,
  createGuard,
  type GuardErrorContext,
  type GuardOptions,
  type GuardOutcome,
  type HttpDenial,
  type Principal,
  type RouteGuard,
  type Verifier,
} from "../kit.js";
import { isKey } from "./grants.js";
import { readBody, readQuery } from "./input.js";
import { createDocument } from "./openapi.js";
import { createOperations } from "./operations.js";
import { INPUT, type ManagementOptions, type PreparedOptions, prepareOptions } from "./options.js";
import { type Presentation, preparePresenter } from "./presenter.js";
import { type Problem, problem, problemOf } from "./problems.js";
import { createRouter } from "./router.js";
import type { Route } from "./routes.js";
import { querySchemas, requestSchemas } from "./schemas.js";

/**
 * Makes a fetch handler through which owners manage their keys over HTTP. Mount it with `expressHandler`,
 * `koaHandler`, `fastifyHandler` or `toNodeListener`, or call it where a framework speaks Fetch itself.
 *
 * @throws TypeError for options that are unknown, missing or cannot work, naming the option.
 *
 * @example
 * const api = createManagementApi({ manager, verifier: jwtVerifier, keyVerifier: verifier, basePath: "/admin" });
 * app.use("/admin", expressHandler(api));
 */
export function createManagementApi<S extends string>(given: ManagementOptions<S>): RequestHandler {
  const options = prepareOptions(given);
  const present = preparePresenter("createManagementApi", given.presenter);
  const facts = schemaFacts(options, present);
  const bodies = requestSchemas(facts);
  const queries = querySchemas(facts);
  const find = createRouter(options.routes, options.basePath, options.paths);
  const run = createOperations(options, present);
  const report = reporter(given.onError);
  const authenticate = createAuthentication(options, report);
  const document = createDocument(options, present, { bodies, queries });

  return async (request, connection) => {
    const requestId = requestIdOf(request, connection);
    const arrived = fromFetch(request, connection, requestId);
    const context = { requestId, method: arrived.method, path: arrived.path };
    let kept: Readonly<Record<string, string>> = {};
    try {
      const { route, id } = find(request.method, arrived.path ?? "");
      const outcome = await authenticate(route, arrived);
      if (outcome?.pass === false) throw problemOfRefusal(outcome.denial);
      kept = outcome?.headers ?? {};
      const principal = outcome?.principal;
      const query = readQuery(request, queries[route.query ?? "none"], QUERY, present.spell);
      if (route.name === "openapi") return answerJson(request, requestId, 200, document());
      if (principal === undefined) throw new TypeError("A guard let a request pass without a principal");
      requireKind(options, route, principal);
      const names = route.body === undefined ? [] : BODY[route.body];
      const body =
        route.body === undefined ? {} : await readBody(request, bodies[route.body], names, present.spell);
      const answer = await run[route.name]({ principal, id, query, body });
      return answerJson(request, requestId, route.status, answer.body, { ...kept, ...answer.headers });
    } catch (error) {
      return answerProblem(error);
    }

    function answerProblem(error: unknown): Response {
      const { told, unexpected } = problemOf(error);
      if (unexpected) report(error, context);
      const { status, code, message, details } = told;
      const headers = { ...kept, ...told.headers };
      const refused: Problem = { status, code, message, requestId, details };
      try {
        const answer = present.error(refused);
        return answerJson(request, requestId, answer.status, answer.body, headers);
      } catch (fault) {
        report(fault, context);
      }
      try {
        return answerJson(request, requestId, status, present.usualError(refused).body, headers);
      } catch (fault) {
        // A status or a header of the host's own that cannot be sent.
        report(fault, context);
        const { status, code, message, details } = problem("internal_error");
        const body = present.usualError({ status, code, message, requestId, details }).body;
        return answerJson(request, requestId, status, body);
      }
    }
  };
}

const QUERY = ["status", "environment", "cursor", "limit", "reason"];
const BODY: Readonly<Record<NonNullable<Route["body"]>, readonly string[]>> = {
  ...INPUT,
  revoke: ["reason"],
  none: [],
};

function schemaFacts<S extends string>(options: PreparedOptions<S>, { spell }: Presentation) {
  const { manager, input, defaults, pageSize } = options;
  return {
    scopes: manager.scopes,
    environments: manager.environments,
    input,
    spell,
    scopesOptional: defaults !== undefined,
    pageSize,
  };
}

/** The guards of the routes. */
function createAuthentication<S extends string>(
  { verifier, keyVerifier, requires }: PreparedOptions<S>,
  onError: NonNullable<GuardOptions["onError"]>,
): (route: Route, request: Parameters<RouteGuard<S>>[0]) => Promise<GuardOutcome<S> | undefined> {
  // The members of the error as they are, to be worded like every other error.
  const errorBody = ({ code, message, details }: AuthError) => ({ code, message, details });
  const guard = createGuard(verifier, { onError, errorBody });
  const needing = (required: typeof requires.read) => (required === undefined ? guard() : guard(required));
  const guards = {
    read: needing(requires.read),
    write: needing(requires.write),
    key: createGuard(keyVerifier as Verifier<S>, { onError, errorBody })(),
  };
  return async ({ needs }, request) => (needs === "nothing" ? undefined : guards[needs](request));
}

/** An API key manages keys only where a requirement says what it needs for that. */
function requireKind<S extends string>(
  { requires }: PreparedOptions<S>,
  { needs }: Route,
  principal: Principal<S>,
): void {
  if ((needs !== "read" && needs !== "write") || !isKey(principal)) return;
  // A verifier of the host's own that does not show the key leaves nothing to bound its children by.
  if (requires[needs] === undefined || principal.key === undefined) throw problem("api_key_not_allowed");
}

/** A refusal of a guard as a problem: with its headers, and a body that is not written yet. */
function problemOfRefusal({ status, headers, body }: HttpDenial): HttpProblem {
  const { code, message, details } = JSON.parse(body);
  const kept = Object.entries(headers).filter(([name]) => !OWN_HEADERS.includes(name));
  return new HttpProblem(status, code, message, { headers: Object.fromEntries(kept), details });
}

const OWN_HEADERS = ["cache-control", "content-length", "content-type", "x-request-id"];

function reporter(onError: GuardOptions["onError"]): (error: unknown, context: GuardErrorContext) => void {
  let warned = false;
  return (error, context) => {
    if (onError === undefined) {
      if (!warned) {
        warn(
          "KEYBEARER_MANAGEMENT_ERROR",
          'A request to manage keys failed; answering 500 or 503. Pass "onError" to see every error.',
        );
      }
      warned = true;
      return;
    }
    try {
      Promise.resolve(onError(error, context)).catch(() => {});
    } catch {
      // The request is answered either way, and there is nobody left to tell.
    }
  };
}
