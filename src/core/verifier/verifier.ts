import { type Awaitable, isPromiseLike } from "../../internal/awaitable.js";
import type { ParsedSecret } from "../keys/format.js";
import type { VerifiableRecord } from "../keys/record.js";
import { meets } from "../keys/requirement.js";
import { toStoreError } from "../store-calls.js";
import type { AuthResult, Verifier } from "./api.js";
import { checkKey, checkNetwork } from "./checks.js";
import type { VerificationContext } from "./context.js";
import { createVerifierFrom } from "./decision.js";
import { prepareVerifier, type VerifierOptions } from "./options.js";
import { RequestPrincipal } from "./principal.js";
import type { RateLimitDecision } from "./rate-limit.js";

/**
 * Creates the verifier of API keys.
 *
 * @throws TypeError if an option is unknown, missing or invalid; the message names the option.
 *
 * @example
 * const verifier = createVerifier({ store, scopes, format, environment: "live" });
 * const auth = expressAuth(verifier);
 */
export function createVerifier<S extends string, E extends string = string>(
  given: VerifierOptions<S, E>,
): Verifier<S> {
  const { base, readSecret, findRecord, rehash, notices } = prepareVerifier(given);
  const { scopes, serves, clientIp, limit, now, allow, deny } = base;

  // Three functions, because the store and the rate limiter may be asynchronous.
  function decide(context: VerificationContext<S>): Awaitable<AuthResult<S>> {
    const read = readSecret(context.request);
    if (read.fault !== undefined) return deny(context, read.fault);
    const { secret, parsed } = read;
    if (!serves(parsed.environment)) return deny(context, "wrong_environment");
    const found = findRecord(secret);
    if (!(found instanceof Promise)) return check(context, secret, parsed, found);
    return found.then((record) => check(context, secret, parsed, record));
  }

  function check(
    context: VerificationContext<S>,
    secret: string,
    parsed: ParsedSecret,
    record: VerifiableRecord | undefined,
  ): Awaitable<AuthResult<S>> {
    if (record === undefined) return deny(context, "unknown_key");
    context.subject = record;
    const { request, route } = context;
    const time = now();
    const reason = checkKey(record, parsed, serves, time) ?? checkNetwork(record, request, clientIp);
    if (reason !== undefined) return deny(context, reason);
    if (!meets(scopes, record.scopes, route.requirement)) return deny(context, "insufficient_scope");
    const limited = limit(record, request);
    if (!isPromiseLike(limited)) return admit(context, secret, record, time, limited);
    return limited.then((decision) => admit(context, secret, record, time, decision));
  }

  function admit(
    context: VerificationContext<S>,
    secret: string,
    record: VerifiableRecord,
    time: number,
    limited: RateLimitDecision | undefined,
  ): AuthResult<S> {
    if (limited?.allowed === false) return deny(context, "rate_limited", limited);
    rehash?.(record, secret);
    const principal = new RequestPrincipal(record, scopes, context, time, record);
    return allow(context, principal, limited, notices(record, time));
  }

  return createVerifierFrom(base, (context) => {
    try {
      return decide(context);
    } catch (error) {
      throw toStoreError(error, "The check of a key"); // a record of a synchronous store may have getters
    }
  });
}
