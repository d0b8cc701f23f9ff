import { mapAwaitable } from "../../internal/awaitable.js";
import { meets } from "../keys/requirement.js";
import type { Verifier } from "./api.js";
import { checkKey, checkNetwork } from "./checks.js";
import { createVerifierFrom } from "./decision.js";
import { prepareVerifier, type VerifierOptions } from "./options.js";
import { RequestPrincipal } from "./principal.js";

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

  return createVerifierFrom(base, (context) => {
    const read = readSecret(context.request);
    if (read.fault !== undefined) return deny(context, read.fault);
    const { secret, parsed } = read;
    if (!serves(parsed.environment)) return deny(context, "wrong_environment");

    return mapAwaitable(findRecord(secret), (record) => {
      if (record === undefined) return deny(context, "unknown_key");
      context.subject = record;
      const time = now();
      const reason =
        checkKey(record, parsed, serves, time) ?? checkNetwork(record, context.request, clientIp);
      if (reason !== undefined) return deny(context, reason);
      if (!meets(scopes, record.scopes, context.route.requirement)) {
        return deny(context, "insufficient_scope");
      }

      return mapAwaitable(limit(record, context.request), (limited) => {
        if (limited?.allowed === false) return deny(context, "rate_limited", limited);
        rehash?.(record, secret);
        const principal = new RequestPrincipal(record, scopes, context, time, record);
        return allow(context, principal, limited, notices(record, time));
      });
    });
  });
}
