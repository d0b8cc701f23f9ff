import { isPromiseLike } from "../../internal/awaitable.js";
import type { AuthError } from "../errors.js";
import { parseSecret } from "../keys/format.js";
import { meets, type Requirement } from "../keys/scopes.js";
import type { AuthRequest } from "../requests/request.js";
import { checkKey, checkNetwork } from "./checks.js";
import { prepareVerifier, type VerifierOptions } from "./options.js";
import { ApiKeyPrincipal, type Principal } from "./principal.js";

/** A request let through, or refused. Never neither: what cannot be judged is an exception. */
export type AuthResult<S extends string = string> =
  | {
      readonly ok: true;
      readonly principal: Principal<S>;
      /** Headers for the response, such as `RateLimit`. */
      readonly headers: Readonly<Record<string, string>>;
    }
  | { readonly ok: false; readonly error: AuthError };

/** What a request is judged by without being denied for it. */
export interface VerifyOptions<S extends string = string> {
  /**
   * A requirement on trial. Whether it is met decides nothing: that it would have denied the request is in
   * `wouldDeny` of its event, `auth.allowed`.
   */
  readonly reportOnly?: Requirement<S>;
}

/** Turns a request into an {@link AuthResult}. Every guard takes any verifier. */
export interface Verifier<S extends string = string> {
  /**
   * Decides over one request. Without a requirement, any valid key will do.
   *
   * @throws StoreError when the store or the rate limiter fails, is slow or answers nonsense: answer 503.
   * @throws TypeError for a requirement, on trial or not, that is empty or names an undefined scope.
   *
   * @example
   * const result = await verifier.verify({ headers: request.headers }, "vehicles:read");
   * if (result.ok) console.log(result.principal.ownerId);
   */
  verify(
    request: AuthRequest,
    requirement?: Requirement<S>,
    options?: VerifyOptions<S>,
  ): Promise<AuthResult<S>>;
  /**
   * Throws where `verify` would, so that a mistake in a route shows at start-up.
   *
   * @throws TypeError for a requirement that is empty or names an undefined scope.
   */
  assertRequirement(requirement: Requirement<S> | undefined): void;
}

/**
 * Makes the verifier of a service's API keys.
 *
 * @throws TypeError for options that are unknown, missing or cannot work, naming the option.
 *
 * @example
 * const verifier = createVerifier({ store, scopes, format, environment: "live" });
 * const auth = expressAuth(verifier);
 */
export function createVerifier<S extends string>(given: VerifierOptions<S>): Verifier<S> {
  const { kit, formats, find, rehash, notices } = prepareVerifier(given);
  const { scopes, credential, serves, clientIp, limit, now, begin, allow, deny, fail } = kit;

  async function verify(
    request: AuthRequest,
    required?: Requirement<S>,
    options?: VerifyOptions<S>,
  ): Promise<AuthResult<S>> {
    scopes.assertRequirement(required);
    const attempt = begin(request, required, options);
    try {
      const secret = credential(request);
      if (typeof secret !== "string") return deny(attempt, secret.fault);
      const parsed = parseSecret(secret, formats);
      if (parsed === undefined) return deny(attempt, "unrecognized_format");
      if (!serves(parsed.environment)) return deny(attempt, "wrong_environment");

      const found = find(secret);
      const record = isPromiseLike(found) ? await found : found;
      if (record === undefined) return deny(attempt, "unknown_key");
      attempt.subject = record;

      const time = now();
      const flaw = checkKey(record, parsed, serves, time) ?? checkNetwork(record, request, clientIp);
      if (flaw !== undefined) return deny(attempt, flaw);
      if (!meets(scopes, record.scopes, required)) return deny(attempt, "insufficient_scope");

      const limiting = limit(record, request);
      const limited = isPromiseLike(limiting) ? await limiting : limiting;
      if (limited?.allowed === false) return deny(attempt, "rate_limited", limited);

      rehash?.(record, secret);
      const principal = new ApiKeyPrincipal(record, scopes, attempt.request, time);
      return allow(attempt, principal, limited, notices(record, time));
    } catch (error) {
      fail(attempt, error);
      throw error;
    }
  }

  return Object.freeze({ verify, assertRequirement: scopes.assertRequirement });
}
