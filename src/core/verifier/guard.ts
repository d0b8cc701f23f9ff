import { type Awaitable, isPromiseLike, rejectPromise } from "../../internal/awaitable.js";
import { checkFunction, checkMethods, checkOptions, describe } from "../../internal/validate.js";
import { warnOnce } from "../../internal/warn.js";
import { type AuthError, StoreError } from "../errors.js";
import { type AuthRequest, headerValue, pathOf } from "../requests/request.js";
import type { AuthResult, Verifier } from "./api.js";
import { VerificationContext } from "./context.js";
import { decisionOf } from "./decision.js";
import { UNAVAILABLE } from "./denials.js";
import { type HttpDenial, toHttpDenial } from "./http-denial.js";
import type { Principal } from "./principal.js";
import { type GuardArguments, readRoute } from "./route.js";

/** Options of every guard. */
export interface GuardOptions {
  /**
   * Called when a request cannot be verified and is denied with 503, usually because the store is down. Without it, the
   * first such error of a guard is a process warning, `KEYBEARER_UNAVAILABLE`.
   */
  readonly onError?: (error: unknown, context: GuardErrorContext) => unknown;
  /**
   * Returns the body of a denial, instead of `{ message, code, requestId }`. Status and headers do not change. If it
   * throws or returns a promise, the default body is sent.
   *
   * @example
   * const auth = expressAuth(verifier, { errorBody: ({ message }, requestId) => ({ message, requestId }) });
   */
  readonly errorBody?: (error: AuthError, requestId: string) => object;
}

/** The request that caused an error of a guard. */
export interface GuardErrorContext {
  readonly requestId: string;
  readonly method: string | undefined;
  /** The path, without the query. */
  readonly path: string | undefined;
}

/** The outcome of a guard for one request. */
export type GuardOutcome<S extends string> =
  | {
      readonly pass: true;
      /** `undefined` on an optional route, for a request without a credential. */
      readonly principal: Principal<S> | undefined;
      /** Headers to add to the response. */
      readonly headers: Readonly<Record<string, string>>;
    }
  | { readonly pass: false; readonly denial: HttpDenial };

/**
 * Decides about the requests of one route. Never throws or rejects. Returns the outcome itself if neither the store nor
 * the rate limiter is asynchronous, otherwise a promise.
 */
export type RouteGuard<S extends string> = (request: AuthRequest) => Awaitable<GuardOutcome<S>>;

/**
 * Creates the guard of a framework. Call it with the arguments of a route, and the result with each request of that
 * route.
 *
 * @throws TypeError if the verifier or an option is invalid; and, for a route, if a requirement is empty, `undefined` or
 *   names an undefined scope.
 *
 * @example
 * const guard = createGuard(verifier);
 * const vehicles = guard("vehicles:read");
 * const outcome = await vehicles({ headers, remoteAddress, method, path });
 * if (!outcome.pass) return respond(outcome.denial); // { status, headers, body }
 */
export function createGuard<S extends string>(
  verifier: Verifier<S>,
  given: GuardOptions = {},
): (...args: GuardArguments<S>) => RouteGuard<S> {
  checkMethods("guard", "verifier", verifier, ["verify", "assertRequirement"]);
  const { onError = warnOfFirstError(), errorBody } = checkOptions("guard", given, ["onError", "errorBody"]);
  checkFunction("guard", "onError", onError);
  checkFunction("guard", "errorBody", errorBody);
  const decide = decisionOf(verifier);

  const report = (error: unknown, context: VerificationContext<S>): void => {
    try {
      const result = onError(error, errorContext(context));
      Promise.resolve(result).catch(() => {});
    } catch {
      // The request is denied in any case.
    }
  };

  const deny = (error: AuthError, context: VerificationContext<S>): GuardOutcome<S> => {
    const { request, requestId } = context;
    if (errorBody !== undefined) {
      try {
        const members = checkBody(errorBody(error, requestId));
        return { pass: false, denial: toHttpDenial(error, requestId, undefined, members) };
      } catch (failure) {
        report(failure, context);
      }
    }
    return { pass: false, denial: toHttpDenial(error, requestId, acceptOf(request)) };
  };

  const fail = (error: unknown, context: VerificationContext<S>): GuardOutcome<S> => {
    report(error, context);
    return deny(UNAVAILABLE, context);
  };

  return (...args) => {
    const { route, optional } = readRoute(args);
    verifier.assertRequirement(route.requirement);
    if (route.reportOnly !== undefined) verifier.assertRequirement(route.reportOnly);

    const toOutcome = (result: AuthResult<S>, context: VerificationContext<S>): GuardOutcome<S> => {
      try {
        if (result.ok) {
          return { pass: true, principal: checkPrincipal(result.principal), headers: result.headers };
        }
        if (optional && result.error.code === "missing_credential") return ANONYMOUS;
        return deny(result.error, context);
      } catch (error) {
        return fail(error, context);
      }
    };

    return (request) => {
      const context = new VerificationContext(request, route);
      try {
        void request.remoteAddress; // may be a getter that throws: first, so that the result does not depend on the key
        const result = decide(context);
        if (!isPromiseLike(result)) return toOutcome(result, context);
        return Promise.resolve(result).then(
          (late) => toOutcome(late, context),
          (error: unknown) => fail(error, context),
        );
      } catch (error) {
        return fail(error, context);
      }
    };
  };
}

/** The outcome of an optional route for a request without a credential. */
const ANONYMOUS: GuardOutcome<never> = Object.freeze({
  pass: true,
  principal: undefined,
  headers: Object.freeze({}),
});

/** A custom verifier that returns only `ok` must not open a route. */
function checkPrincipal<S extends string>(principal: Principal<S> | undefined): Principal<S> {
  if (typeof principal === "object" && principal !== null) return principal;
  throw new TypeError(
    `guard: the verifier allowed a request without a principal; received ${describe(principal)}`,
  );
}

function checkBody(members: unknown): object {
  rejectPromise('guard: "errorBody"', members);
  if (typeof members === "object" && members !== null) return members;
  throw new TypeError(`guard: "errorBody" must return an object; received ${describe(members)}`);
}

function errorContext({ request, requestId }: VerificationContext<string>): GuardErrorContext {
  try {
    return { requestId, method: request.method, path: pathOf(request) };
  } catch {
    return { requestId, method: undefined, path: undefined }; // the error may be that they cannot be read
  }
}

function acceptOf(request: AuthRequest): string | undefined {
  try {
    return headerValue(request, "accept");
  } catch {
    return undefined; // the headers of a custom adapter may throw
  }
}

function warnOfFirstError(): (error: unknown) => void {
  const warn = warnOnce("KEYBEARER_UNAVAILABLE");
  return (error) => {
    const message = error instanceof StoreError ? error.message : "A request could not be verified";
    warn(
      `${message}. Such requests are denied with 503. Pass "onError" to the guard to receive every error.`,
    );
  };
}
