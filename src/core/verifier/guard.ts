import { rejectPromise } from "../../internal/awaitable.js";
import {
  checkFunction,
  checkMethods,
  checkOptions,
  describe,
  rejectUndefined,
} from "../../internal/validate.js";
import { warn } from "../../internal/warn.js";
import { type AuthError, StoreError } from "../errors.js";
import { frozenRequirement, isAnyOf, type Requirement } from "../keys/scopes.js";
import {
  type AuthRequest,
  headerValue,
  pathOf,
  resolveRequestId,
  withRequestId,
} from "../requests/request.js";
import { UNAVAILABLE } from "./denials.js";
import { type HttpDenial, toHttpDenial } from "./http-denial.js";
import type { Principal } from "./principal.js";
import type { Verifier } from "./verifier.js";

/** Options that every guard takes. */
export interface GuardOptions {
  /**
   * Told what kept a request from being judged, which was then answered with 503: a store that is down, as a
   * rule. Without it, the first such error is a process warning, `KEYBEARER_UNAVAILABLE`.
   */
  readonly onError?: (error: unknown, context: GuardErrorContext) => unknown;
  /**
   * Writes the body of a refusal in the words that a service's clients know, instead of
   * `{ message, code, requestId }`. Status and headers stay. When it fails, or answers a promise, the usual
   * body is sent.
   *
   * @example
   * const auth = expressAuth(verifier, { errorBody: ({ message }, requestId) => ({ message, requestId }) });
   */
  readonly errorBody?: (error: AuthError, requestId: string) => object;
}

/** The request that an error of a guard belongs to. */
export interface GuardErrorContext {
  readonly requestId: string;
  readonly method: string | undefined;
  readonly path: string | undefined;
}

/** Options of one guarded route. */
export interface RouteOptions<S extends string = string> {
  /** Lets a request without a credential pass, without a principal. A bad credential is still refused. */
  readonly optional?: boolean;
  /**
   * A requirement on trial: it refuses nobody, but `auth.allowed` says in `wouldDeny` whom it would have refused.
   *
   * @example
   * app.get("/vehicles", auth("vehicles:read", { reportOnly: "vehicles:list" }), handler);
   */
  readonly reportOnly?: Requirement<S>;
}

/** Options of a route that nobody passes without a principal. */
export type EnforcedRoute<S extends string = string> = RouteOptions<S> & { readonly optional?: false };

/**
 * The arguments of a guard: nothing, for any valid key; a requirement; route options; or both.
 */
export type GuardArguments<S extends string> =
  | readonly []
  | readonly [requirement: Requirement<S>]
  | readonly [options: RouteOptions<S>]
  | readonly [requirement: Requirement<S>, options: RouteOptions<S>];

/** What becomes of one request. */
export type GuardOutcome<S extends string> =
  | {
      readonly pass: true;
      /** Absent on an optional route without a credential. */
      readonly principal: Principal<S> | undefined;
      /** Headers to add to the response. */
      readonly headers: Readonly<Record<string, string>>;
    }
  | { readonly pass: false; readonly denial: HttpDenial };

/** Decides over the requests of one route. Never rejects. */
export type RouteGuard<S extends string> = (request: AuthRequest) => Promise<GuardOutcome<S>>;

/**
 * The whole of a guard but its framework: give it the arguments of a route, then the requests of that route.
 * Every guard of this package is made with it, and so is one of your own.
 *
 * @throws TypeError for a verifier that is none and for unknown options; and, when a route is made, for a
 * requirement, on trial or not, that is empty, `undefined` or names an undefined scope.
 *
 * @example
 * const guard = createGuard(verifier);
 * const vehicles = guard("vehicles:read");
 * const outcome = await vehicles({ headers, remoteAddress, method, path });
 * if (!outcome.pass) return respond(outcome.refusal); // { status, headers, body }
 */
export function createGuard<S extends string>(
  verifier: Verifier<S>,
  given: GuardOptions = {},
): (...args: GuardArguments<S>) => RouteGuard<S> {
  checkMethods("guard", "verifier", verifier, ["verify", "assertRequirement"]);
  const options = checkOptions("guard", given, ["onError", "errorBody"]);
  const { errorBody } = options;
  checkFunction("guard", "onError", options.onError);
  checkFunction("guard", "errorBody", errorBody);
  const report = options.onError ?? warnOnce();

  return (...args) => {
    const { required, optional, trial } = readArguments<S>(args);
    verifier.assertRequirement(required);
    if (trial !== undefined) verifier.assertRequirement(trial.reportOnly);

    return async (arrived) => {
      const requestId = identify(arrived);
      const context = () => ({ requestId, method: arrived.method, path: pathOf(arrived) });
      const refuse = (error: AuthError): GuardOutcome<S> => {
        try {
          if (errorBody !== undefined) {
            const members = checkedBody(errorBody(error, requestId));
            return { pass: false, denial: toHttpDenial(error, requestId, undefined, members) };
          }
        } catch (fault) {
          tell(report, fault, context());
        }
        return { pass: false, denial: toHttpDenial(error, requestId, acceptOf(arrived)) };
      };
      try {
        const result = await verifier.verify(withRequestId(arrived, requestId), required, trial);
        if (result.ok) return { pass: true, principal: holderOf(result.principal), headers: result.headers };
        if (optional && result.error.code === "missing_credential") {
          return { pass: true, principal: undefined, headers: {} };
        }
        return refuse(result.error);
      } catch (error) {
        tell(report, error, context());
        return refuse(UNAVAILABLE);
      }
    };
  };
}

// A verifier of the host's that answers no more than "ok" must not open a route.
function holderOf<S extends string>(principal: Principal<S> | undefined): Principal<S> {
  if (typeof principal === "object" && principal !== null) return principal;
  throw new TypeError(
    `guard: the verifier let a request pass without a principal, got ${describe(principal)}`,
  );
}

function checkedBody(members: unknown): object {
  rejectPromise('guard: "errorBody"', members);
  if (typeof members === "object" && members !== null) return members;
  throw new TypeError(`guard: "errorBody" must answer an object, got ${describe(members)}`);
}

// A request that a third adapter built badly is refused like any other.
function identify(request: AuthRequest): string {
  try {
    return resolveRequestId(request);
  } catch {
    return crypto.randomUUID();
  }
}

function acceptOf(request: AuthRequest): string | undefined {
  try {
    return headerValue(request, "accept");
  } catch {
    return undefined;
  }
}

function readArguments<S extends string>(args: GuardArguments<S>) {
  const [first, second] = args;
  const onlyOptions = args.length === 1 && isRouteOptions(first);
  const options = checkOptions("guard", (onlyOptions ? first : second) ?? {}, [
    "optional",
    "reportOnly",
  ]) as RouteOptions<S>;
  if (options.optional !== undefined && typeof options.optional !== "boolean") {
    throw new TypeError('guard: "optional" must be true or false');
  }
  if (args.length > 0 && !onlyOptions && (first === undefined || first === null)) {
    throw new TypeError(
      `guard: the requirement is ${describe(first)}; to let any valid key pass, leave it out: auth()`,
    );
  }
  if (!onlyOptions && isAnyOf(first)) checkOptions("requirement", first, ["anyOf"]);
  const required = onlyOptions ? undefined : frozenRequirement(first as Requirement<S> | undefined);
  rejectUndefined("guard", options, "reportOnly");
  const reportOnly = frozenRequirement(options.reportOnly);
  const trial = reportOnly === undefined ? undefined : Object.freeze({ reportOnly });
  return { required, optional: options.optional === true, trial };
}

function isRouteOptions<S extends string>(
  value: Requirement<S> | RouteOptions<S> | undefined,
): value is RouteOptions<S> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !("anyOf" in value);
}

function tell(
  report: NonNullable<GuardOptions["onError"]>,
  error: unknown,
  context: GuardErrorContext,
): void {
  try {
    const result = report(error, context);
    Promise.resolve(result).catch(() => {});
  } catch {
    // The request is refused either way, and there is nobody left to tell.
  }
}

function warnOnce(): () => void {
  let warned = false;
  return (error?: unknown) => {
    if (warned) return;
    warned = true;
    const message = error instanceof StoreError ? error.message : "Requests cannot be verified";
    warn("KEYBEARER_UNAVAILABLE", `${message}; answering 503. Pass "onError" to a guard to see every error.`);
  };
}
