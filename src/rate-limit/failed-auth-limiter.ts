import type { Duration } from "../internal/duration.js";
import { checkFunction, checkMethods, checkOptions, describe, readInteger } from "../internal/validate.js";
import { warnOnce } from "../internal/warn.js";
import {
  AuthError,
  type AuthErrorCode,
  type AuthRequest,
  type ClientIpOptions,
  type CredentialOptions,
  checkObservers,
  clientIpResolver,
  compileCidrs,
  credentialSource,
  emit,
  extractCredential,
  type IpAddress,
  type Observer,
  pathnameOf,
  requiredScopes,
  resolveRequestId,
  settingsOf,
  type Verifier,
  withSettings,
} from "../kit.js";
import { createCounters } from "./counters.js";
import { readWindowSeconds } from "./windows.js";

/** Options of {@link failedAuthLimiter}. */
export interface FailedAuthLimiterOptions extends Omit<ClientIpOptions, "missingForwardedHeader"> {
  /** How many bad credentials an address may send in a window; 100 by default. */
  readonly failures?: number;
  /** The length of a window, from its first bad credential, in whole seconds; `"1m"` by default. */
  readonly window?: Duration;
  /**
   * Addresses or CIDRs that are never limited, such as an office whose clients share one address. None by default.
   */
  readonly exempt?: readonly string[];
  /** Where the credential is sent: the same value as the verifier's. `Authorization: Bearer` by default. */
  readonly credential?: CredentialOptions;
  /** The maximum number of addresses in memory; 100,000 by default, about 20 MB. */
  readonly max?: number;
  /** Receive every request that is denied here, as `auth.denied` with the reason `rate_limited` and no key. */
  readonly observers?: readonly Observer[];
  /** The clock, for tests; by default the monotonic clock, which changes of the system clock do not affect. */
  readonly clock?: () => Date;
}

const OPTIONS: readonly (keyof FailedAuthLimiterOptions)[] = [
  "trustedProxies",
  "clientIpHeader",
  "failures",
  "window",
  "exempt",
  "credential",
  "max",
  "observers",
  "clock",
];

const WHERE = "failedAuthLimiter";

// Not wrong_environment: that secret is valid, and was sent to the wrong service.
const COUNTED: readonly AuthErrorCode[] = ["invalid_key", "malformed_credential", "invalid_dpop_proof"];

/** A client that has to use a new DPoP nonce made no mistake (RFC 9449, section 9). */
function isCounted({ code, headers }: AuthError): boolean {
  return COUNTED.includes(code) && headers["DPoP-Nonce"] === undefined;
}

/**
 * Wraps a verifier: once an address has sent too many bad credentials, every credential from it, valid or not, is
 * denied with 429 until the window ends, without a call of the store or the rate limiter. Requests without a credential
 * go to the verifier and are not counted.
 *
 * Secrets of this package cannot be guessed. The limiter keeps guesses away from the store, and protects imported
 * secrets that are weaker. **Clients behind one NAT share an address**, so a client that keeps sending a bad key locks
 * out all of them. Therefore the default limit is high and the window short; exempt shared networks with `exempt`.
 *
 * An IPv6 address counts as its /64, the usual size of one subscriber (RFC 6177), an IPv4-mapped one as its IPv4
 * address. Requests in progress at the last failure are still verified. A request from a trusted proxy without a
 * forwarding header counts for the proxy. An unknown address is not counted; the first one emits the process warning
 * `KEYBEARER_UNKNOWN_CLIENT_IP`. Past `max` addresses, the least recently seen one is evicted. Each process counts for
 * itself.
 *
 * @throws TypeError if the verifier or an option is invalid.
 *
 * @example
 * const verifier = failedAuthLimiter(createVerifier({ store, scopes, format, trustedProxies }), { trustedProxies });
 * const auth = expressAuth(verifier);
 */
export function failedAuthLimiter<S extends string>(
  verifier: Verifier<S>,
  given: FailedAuthLimiterOptions = {},
): Verifier<S> {
  checkMethods(WHERE, "verifier", verifier, ["verify", "assertRequirement"]);
  const options = checkOptions(WHERE, given, OPTIONS);
  const { failures, windowMs, counters, observers, now } = readSettings(options);
  const findClient = createClientLookup(options);
  const settings = settingsOf<S>(verifier);
  const limited = limit(verifier, options.credential);
  // Tokens of the keys are limited too, with the same counters.
  return withSettings<S, Verifier<S>>(
    limited,
    settings && { ...settings, wrap: (one) => limit(settings.wrap(one)) },
  );

  function limit(verifier: Verifier<S>, place?: CredentialOptions): Verifier<S> {
    const { credentials = [] } = verifier;
    const sources = (place === undefined ? credentials : []).map(({ type: _, challenge: __, ...known }) =>
      credentialSource(known),
    );
    if (sources.length === 0) sources.push(credentialSource(place));
    const hasCredential = (request: AuthRequest) =>
      sources.some((source) => {
        const credential = extractCredential(request, source);
        return typeof credential === "string" || credential.fault !== "missing_credential";
      });

    return Object.freeze({
      credentials,
      assertRequirement: (requirement) => verifier.assertRequirement(requirement),
      async verify(request, requirement, verifyOptions) {
        verifier.assertRequirement(requirement);
        const startedAt = performance.now();
        const client = findClient(request);
        if (client === undefined || !hasCredential(request)) {
          return verifier.verify(request, requirement, verifyOptions);
        }
        const counter = counters.find(client.network, windowMs);
        if (counter !== undefined && counter.used >= failures) {
          const error = tooManyFailures(counter.resetMs);
          if (observers.length > 0) {
            emit(observers, {
              type: "auth.denied",
              at: new Date(now()),
              requestId: resolveRequestId(request),
              method: request.method,
              path: request.path === undefined ? undefined : pathnameOf(request.path),
              clientIp: client.text,
              requiredScopes: Object.freeze([...requiredScopes(requirement)]),
              audit: false,
              durationMs: performance.now() - startedAt,
              code: error.code,
              reason: "rate_limited",
            });
          }
          return { ok: false, error };
        }
        const result = await verifier.verify(request, requirement, verifyOptions);
        if (!result.ok && isCounted(result.error)) counters.add(client.network, windowMs, 1);
        return result;
      },
    } satisfies Verifier<S>);
  }
}

function tooManyFailures(resetMs: number): AuthError {
  return new AuthError("rate_limited", "Too many requests with a bad credential. Try again later.", {
    "Retry-After": String(Math.max(1, Math.ceil(resetMs / 1000))),
  });
}

function readSettings(options: FailedAuthLimiterOptions) {
  const { failures = 100, window = "1m", max = 100_000, observers = [], clock } = options;
  const windowMs = readWindowSeconds(WHERE, "window", window) * 1_000;
  checkObservers(WHERE, observers);
  checkFunction(WHERE, "clock", clock);
  const monotonicNow = clock === undefined ? () => performance.now() : () => clock().getTime();
  return {
    failures: readInteger(WHERE, "failures", failures, 1, Number.MAX_SAFE_INTEGER),
    windowMs,
    counters: createCounters(readInteger(WHERE, "max", max, 100, 10_000_000), monotonicNow),
    observers: [...observers],
    now: clock === undefined ? Date.now : monotonicNow,
  };
}

/** Returns a function that finds the network a client counts with; `undefined` for one that is not counted. */
function createClientLookup(options: FailedAuthLimiterOptions) {
  const { trustedProxies = [] } = options;
  // Without a forwarding header, failures count for the proxy: uncounted, they would be unlimited.
  const resolveClientIp = clientIpResolver(
    trustedProxies.length === 0 ? options : { ...options, missingForwardedHeader: "use-peer" },
  );
  const exempt = compileExempt(options.exempt ?? []);
  const warnUnknown = warnOnce("KEYBEARER_UNKNOWN_CLIENT_IP");
  return (request: AuthRequest) => {
    const client = resolveClientIp(request);
    if (client === undefined) {
      warnUnknown(`${WHERE}: the address of a client is unknown, so its failures are not counted`);
      return undefined;
    }
    return exempt.includes(client.ip) ? undefined : { text: client.text, network: networkOf(client.ip) };
  };
}

function compileExempt(exempt: readonly string[]) {
  if (!Array.isArray(exempt)) {
    throw new TypeError(
      `${WHERE}: "exempt" must be an array of addresses and CIDRs; received ${describe(exempt)}`,
    );
  }
  try {
    return compileCidrs(exempt);
  } catch (error) {
    throw new TypeError(`${WHERE}: "exempt": ${(error as Error).message}`);
  }
}

/** An IPv4 address, or the first 64 bits of an IPv6 address. */
function networkOf(ip: IpAddress): string {
  return typeof ip === "number" ? String(ip) : ip.slice(0, 4).join(":");
}
