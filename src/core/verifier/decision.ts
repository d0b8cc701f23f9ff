import { type Awaitable, isPromiseLike } from "../../internal/awaitable.js";
import { checkOptions } from "../../internal/validate.js";
import type { Requirement } from "../keys/requirement.js";
import { type AuthRequest, withRequestId } from "../requests/request.js";
import type { AuthResult, Verifier, VerifyOptions } from "./api.js";
import type { VerifierBase } from "./base.js";
import { VerificationContext } from "./context.js";
import { compileRoute, type Route } from "./route.js";
import { settingsOf, withSettings } from "./settings.js";

/**
 * Decides one request, synchronously unless the store or the rate limiter is asynchronous. Throws or rejects with a
 * StoreError.
 */
export type Decide<S extends string> = (context: VerificationContext<S>) => Awaitable<AuthResult<S>>;

// Keyed by the verifier itself: a wrapper around a verifier must be called, not bypassed.
const decisions = new WeakMap<object, unknown>();

/**
 * Creates a verifier from its steps. Emits `auth.failed` if `decide` throws or rejects. Guards call `decide` directly,
 * so that a synchronous decision needs no promise.
 *
 * @example
 * const base = createVerifierBase(options, { where: "createTokenVerifier", noun: "token" });
 * const verifier = createVerifierFrom(base, (context) => {
 *   const token = base.credential(context.request);
 *   if (typeof token !== "string") return base.deny(context, token.fault);
 *   const principal = readToken(token);
 *   return principal ? base.allow(context, principal) : base.deny(context, "invalid_token");
 * });
 */
export function createVerifierFrom<S extends string>(base: VerifierBase<S>, decide: Decide<S>): Verifier<S> {
  const { scopes, credentials, begin, fail } = base;
  const decideAndReport = fail === undefined ? decide : reportFailures(decide, fail);
  const verifier = toVerifier({
    credentials,
    assertRequirement: scopes.assertRequirement,
    decide(context) {
      begin(context);
      return decideAndReport(context);
    },
  });
  return withSettings(verifier, settingsOf(base));
}

function reportFailures<S extends string>(
  decide: Decide<S>,
  report: NonNullable<VerifierBase<S>["fail"]>,
): Decide<S> {
  const rethrow = (context: VerificationContext<S>, error: unknown): never => {
    report(context, error);
    throw error;
  };
  return (context) => {
    try {
      const result = decide(context);
      if (!isPromiseLike(result)) return result;
      return Promise.resolve(result).catch((error: unknown) => rethrow(context, error));
    } catch (error) {
      return rethrow(context, error);
    }
  };
}

/** Creates a verifier from a decision that emits its own events. */
export function toVerifier<S extends string>({
  decide,
  assertRequirement,
  credentials,
}: Required<Pick<Verifier<S>, "assertRequirement" | "credentials">> & {
  readonly decide: Decide<S>;
}): Verifier<S> {
  const routes = new Map<unknown, Route<S>>(); // at most one for each defined scope, and one for none

  const compile = (requirement: Requirement<S> | undefined): Route<S> => {
    assertRequirement(requirement);
    const route = compileRoute(requirement);
    if (typeof requirement !== "object") routes.set(requirement, route); // an array may change
    return route;
  };

  const routeOf = (requirement: Requirement<S> | undefined, options?: VerifyOptions<S>): Route<S> => {
    if (options !== undefined) {
      const { reportOnly } = checkOptions("verify", options, ["reportOnly"]);
      assertRequirement(requirement);
      assertRequirement(reportOnly);
      return compileRoute(requirement, reportOnly);
    }
    return routes.get(requirement) ?? compile(requirement);
  };

  const verifier: Verifier<S> = Object.freeze({
    async verify(request: AuthRequest, requirement?: Requirement<S>, options?: VerifyOptions<S>) {
      return decide(new VerificationContext(request, routeOf(requirement, options)));
    },
    assertRequirement,
    credentials,
  });
  decisions.set(verifier, decide);
  return verifier;
}

/** Returns the decision of a verifier. Verifiers that this package did not create are called through `verify`. */
export function decisionOf<S extends string>(verifier: Verifier<S>): Decide<S> {
  const decide = decisions.get(verifier) as Decide<S> | undefined;
  if (decide !== undefined) return decide;
  return (context) => {
    const { requirement, reportOnly } = context.route;
    const request = withRequestId(context.request, context.requestId);
    return verifier.verify(request, requirement, reportOnly === undefined ? undefined : { reportOnly });
  };
}
