import { extractCredential } from "./credential.js";
import type { AuthError } from "./errors.js";
import { type DenialReason, emit, type KeyEvent, type KeyIdentity, type RequestFacts } from "./events.js";
import { judgeKey, judgeNetwork } from "./judge.js";
import { parseSecret } from "./key-format.js";
import { isPromiseLike } from "./options.js";
import { ApiKeyPrincipal, type Principal } from "./principal.js";
import { type RateLimitDecision, rateLimitHeaders } from "./rate-limit.js";
import type { VerifiableRecord } from "./record.js";
import type { Attempt } from "./refusals.js";
import { type AuthRequest, pathOf, resolveRequestId, withRequestId } from "./request.js";
import { meets, type Requirement, requiredScopes } from "./scopes.js";
import { prepareVerifier, type VerifierOptions } from "./verifier-options.js";

/** A request let through, or refused. Never neither: what cannot be judged is an exception. */
export type AuthResult<S extends string = string> =
  | {
      readonly ok: true;
      readonly principal: Principal<S>;
      /** Headers for the response, such as `RateLimit`. */
      readonly headers: Readonly<Record<string, string>>;
    }
  | { readonly ok: false; readonly error: AuthError };

/** Turns a request into an {@link AuthResult}. Every guard takes any verifier. */
export interface Verifier<S extends string = string> {
  /**
   * Decides over one request. Without a requirement, any valid key will do.
   *
   * @throws StoreError when the store or the rate limiter fails, is slow or answers nonsense: answer 503.
   * @throws TypeError for a requirement that is empty or names an undefined scope.
   *
   * @example
   * const result = await verifier.verify({ headers: request.headers }, "vehicles:read");
   * if (result.ok) console.log(result.principal.ownerId);
   */
  verify(request: AuthRequest, requirement?: Requirement<S>): Promise<AuthResult<S>>;
  /**
   * Throws where `verify` would, so that a mistake in a route shows at start-up.
   *
   * @throws TypeError for a requirement that is empty or names an undefined scope.
   */
  assertRequirement(requirement: Requirement<S> | undefined): void;
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({});

/**
 * Makes the verifier of a service's API keys.
 *
 * @throws TypeError for options that are unknown, missing or cannot work, naming the option.
 *
 * @example
 * const verifier = createVerifier({ store, scopes, format, environment: "live" });
 * const auth = expressAuth(verifier);
 */
export function createVerifier<S extends string>(options: VerifierOptions<S>): Verifier<S> {
  const { scopes, source, formats, serves, find, rehash, clientIp, limit, refusals, observers, now } =
    prepareVerifier(options);

  const observed = observers.length > 0;

  async function verify(request: AuthRequest, required?: Requirement<S>): Promise<AuthResult<S>> {
    scopes.assertRequirement(required);
    const attempt: Attempt<S> = observed ? identified(request, required) : { request, required };
    try {
      const secret = extractCredential(request, source);
      if (typeof secret !== "string") return deny(attempt, secret.fault);
      const parsed = parseSecret(secret, formats);
      if (parsed === undefined) return deny(attempt, "unrecognized_format");
      if (!serves(parsed.environment)) return deny(attempt, "wrong_environment");

      const found = find(secret);
      const record = isPromiseLike(found) ? await found : found;
      if (record === undefined) return deny(attempt, "unknown_key");
      attempt.record = record;

      const time = now();
      const flaw = judgeKey(record, parsed, serves, time) ?? judgeNetwork(record, request, clientIp);
      if (flaw !== undefined) return deny(attempt, flaw);
      if (!meets(scopes, record.scopes, required)) return deny(attempt, "insufficient_scope");

      const limiting = limit(record, request);
      const limited = isPromiseLike(limiting) ? await limiting : limiting;
      if (limited?.allowed === false) return deny(attempt, "rate_limited", limited);

      rehash?.(record, secret);
      return allow(attempt, new ApiKeyPrincipal(record, scopes, attempt.request, time), limited);
    } catch (error) {
      tell(attempt, (facts) => ({ ...facts, type: "auth.failed", error }));
      throw error;
    }
  }

  function allow(
    attempt: Attempt<S>,
    principal: Principal<S>,
    limited: RateLimitDecision | undefined,
  ): AuthResult<S> {
    const { id: keyId, ownerId, environment } = principal;
    tell(attempt, (facts) => ({
      ...facts,
      type: "auth.allowed",
      keyId,
      ownerId,
      environment,
    }));
    return {
      ok: true,
      principal,
      headers: limited === undefined ? NO_HEADERS : rateLimitHeaders(limited),
    };
  }

  function deny(attempt: Attempt<S>, reason: DenialReason, limited?: RateLimitDecision): AuthResult<S> {
    const error = refusals(attempt, reason, limited);
    tell(attempt, (facts) => ({
      ...facts,
      type: "auth.denied",
      code: error.code,
      reason,
    }));
    return { ok: false, error };
  }

  function tell(attempt: Attempt<S>, event: (facts: RequestFacts & Partial<KeyIdentity>) => KeyEvent): void {
    if (!observed) return;
    const { request, required, record, began = 0 } = attempt;
    const names = Object.freeze([...requiredScopes(required)]);
    const facts: RequestFacts = {
      at: new Date(now()),
      requestId: resolveRequestId(request),
      method: request.method,
      path: pathOf(request),
      clientIp: clientIp(request)?.text,
      requiredScopes: names,
      audit: names.some((name) => scopes.get(name)?.audit === true),
      durationMs: performance.now() - began,
    };
    emit(observers, event(record === undefined ? facts : { ...facts, ...identity(record) }));
  }

  return Object.freeze({ verify, assertRequirement: scopes.assertRequirement });
}

function identity(record: VerifiableRecord): KeyIdentity {
  return {
    keyId: record.id,
    ownerId: record.ownerId,
    environment: record.environment ?? undefined,
  };
}

/** An attempt that will be told about: its events, and the principal, name one request id. */
function identified<S extends string>(
  request: AuthRequest,
  required: Requirement<S> | undefined,
): Attempt<S> {
  return {
    request: withRequestId(request, resolveRequestId(request)),
    required,
    began: performance.now(),
  };
}
