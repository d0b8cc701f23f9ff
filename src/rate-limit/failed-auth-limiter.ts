import { type Duration, parseDuration } from "../internal/duration.js";
import { checkFunction, checkMethods, checkOptions } from "../internal/validate.js";
import { warn } from "../internal/warn.js";
import {
  AuthError,
  type AuthErrorCode,
  type AuthRequest,
  type ClientIpOptions,
  type CredentialOptions,
  clientIpResolver,
  compileCidrs,
  credentialSource,
  emit,
  extractCredential,
  type IpAddress,
  type Observer,
  requiredScopes,
  resolveRequestId,
  type Verifier,
} from "../kit.js";
import { createCounters, readMax } from "./counters.js";

/** Options of {@link failedAuthLimiter}. */
export interface FailedAuthLimiterOptions extends ClientIpOptions {
  /** How many bad credentials one address may send in a window: 100 by default. */
  readonly failures?: number;
  /** How long a window lasts, from the first bad credential in it: `"1m"` by default. */
  readonly window?: Duration;
  /**
   * Networks that are never refused, such as an office whose many clients share one address; addresses or CIDRs.
   */
  readonly exempt?: readonly string[];
  /** Where the credential is sent: the same as the verifier has. */
  readonly credential?: CredentialOptions;
  /** How many addresses are kept: 100,000 by default, some 20 MB. */
  readonly max?: number;
  /** Told of refusals, as `auth.denied` with the reason `rate_limited` and without a key. */
  readonly observers?: readonly Observer[];
  /** The time, for tests; by default the monotonic clock, which nobody can set. */
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

const WHERE = "slowGuessing";

/** A key for another environment is a real one, sent to the wrong place. */
const BAD: readonly AuthErrorCode[] = ["invalid_key", "malformed_credential"];

/**
 * Puts a brake in front of a verifier: an address that has sent too many bad credentials is answered 429 to every
 * credential, good ones too, until its window ends. Neither the store nor the rate limiter is asked. Requests
 * without a credential pass on to the verifier, and are not counted.
 *
 * Secrets of this package cannot be guessed, with or without it. It keeps the noise of those who try from the
 * store, and protects imported secrets that are weaker. **Clients behind one NAT share one address**: one of them
 * that sends a bad key again and again has all of them refused. That is why so many failures are allowed by
 * default, and why a window is short; `exempt` names networks that are known to be shared.
 *
 * An IPv6 address counts with its /64, which is what one subscriber has (RFC 6177); an IPv4-mapped one is its IPv4
 * address. Requests that are under way when the last failure comes in are still answered. A client whose address
 * is not known is not counted, and the first of them is a process warning, `KEYBEARER_GUESSING_ADDRESS`. Past `max`
 * addresses, the one that was seen least recently is forgotten. Each process counts for itself.
 *
 * @throws TypeError for options that are unknown or cannot work, naming the option.
 *
 * @example
 * const verifier = slowGuessing(createVerifier({ store, scopes, format, trustedProxies }), { trustedProxies });
 * const auth = expressAuth(verifier);
 */
export function failedAuthLimiter<S extends string>(
  verifier: Verifier<S>,
  given: FailedAuthLimiterOptions = {},
): Verifier<S> {
  checkMethods(WHERE, "verifier", verifier, ["verify", "assertRequirement"]);
  const options = checkOptions(WHERE, given, OPTIONS);
  const { failures, windowMs, counters, observers, now } = readGuessing(options);
  const networkOf = addressing(options);
  const source = credentialSource(options.credential);
  const hasCredential = (request: AuthRequest) => {
    const credential = extractCredential(request, source);
    return typeof credential === "string" || credential.fault !== "missing_credential";
  };

  return Object.freeze({
    assertRequirement: (required) => verifier.assertRequirement(required),
    async verify(request, required, trial) {
      verifier.assertRequirement(required);
      const began = performance.now();
      const client = networkOf(request);
      if (client === undefined || !hasCredential(request)) return verifier.verify(request, required, trial);
      const failed = counters.find(client.network, windowMs);
      if (failed !== undefined && failed.used >= failures) {
        const error = tooMany(failed.resetMs);
        if (observers.length > 0) {
          emit(observers, {
            type: "auth.denied",
            at: new Date(now()),
            requestId: resolveRequestId(request),
            method: request.method,
            path: request.path?.replace(/[?#].*$/s, ""),
            clientIp: client.text,
            requiredScopes: Object.freeze([...requiredScopes(required)]),
            audit: false,
            durationMs: performance.now() - began,
            code: error.code,
            reason: "rate_limited",
          });
        }
        return { ok: false, error };
      }
      const result = await verifier.verify(request, required, trial);
      if (!result.ok && BAD.includes(result.error.code)) counters.add(client.network, windowMs, 1);
      return result;
    },
  } satisfies Verifier<S>);
}

function tooMany(resetMs: number): AuthError {
  return new AuthError("rate_limited", "Too many requests with a bad credential. Try again later.", {
    "Retry-After": String(Math.max(1, Math.ceil(resetMs / 1000))),
  });
}

function readGuessing(options: FailedAuthLimiterOptions) {
  const { failures = 100, window = "1m", max = 100_000, observers = [], clock } = options;
  if (!Number.isSafeInteger(failures) || failures < 1) {
    throw new TypeError(`${WHERE}: "failures" must be a whole number above 0`);
  }
  const windowMs = parseDuration(window);
  if (windowMs === undefined || windowMs === 0) {
    throw new TypeError(`${WHERE}: "window" must be a duration such as "1m"`);
  }
  if (!Array.isArray(observers) || !observers.every((observer) => typeof observer === "function")) {
    throw new TypeError(`${WHERE}: "observers" must be a list of functions`);
  }
  checkFunction(WHERE, "clock", clock);
  const ticks = clock === undefined ? () => performance.now() : () => clock().getTime();
  return {
    failures,
    windowMs,
    counters: createCounters(readMax(WHERE, max), ticks),
    observers: [...observers],
    now: clock === undefined ? Date.now : ticks,
  };
}

/** The network that a client counts with; `undefined` for one that is not counted. */
function addressing(options: FailedAuthLimiterOptions) {
  const clientIp = clientIpResolver(options);
  const { exempt = [] } = options;
  if (!Array.isArray(exempt)) throw new TypeError(`${WHERE}: "exempt" must be a list of networks`);
  const spared = compileExempt(exempt);
  let warned = false;
  return (request: AuthRequest) => {
    const client = clientIp(request);
    if (client !== undefined) {
      return spared.includes(client.ip) ? undefined : { text: client.text, network: networkOf(client.ip) };
    }
    if (!warned) {
      warned = true;
      warn(
        "KEYBEARER_GUESSING_ADDRESS",
        "The address of a client is not known; its failures are not counted",
      );
    }
    return undefined;
  };
}

function compileExempt(exempt: readonly string[]) {
  try {
    return compileCidrs(exempt);
  } catch (error) {
    throw new TypeError(`${WHERE}: "exempt": ${(error as Error).message}`);
  }
}

function networkOf(ip: IpAddress): string {
  return typeof ip === "number" ? String(ip) : ip.slice(0, 4).join(":");
}
