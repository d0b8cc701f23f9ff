import { type Awaitable, isPromiseLike } from "../internal/awaitable.js";
import { type Duration, readDuration } from "../internal/duration.js";
import { checkFunction, checkMethods, checkOptions } from "../internal/validate.js";
import { warn } from "../internal/warn.js";
import {
  type AuthRequest,
  type RateLimitDecision,
  type RateLimiter,
  type RateLimitSubject,
  StoreError,
  withStoreTimeout,
} from "../kit.js";
import { memoryLimits } from "./memory.js";
import { hasRoom, type LimitStore, type TakeResult } from "./store.js";
import { counterOf, type RateWindow, readWindows, withKeyLimit } from "./windows.js";

/** Options of {@link createRateLimiter}. */
export interface RateLimiterOptions {
  /** Where it counts; `memoryLimits()` by default, which every process has for itself. */
  readonly store?: LimitStore;
  /** All must have room for a request. */
  readonly windows?: readonly RateWindow[];
  /**
   * Whether the `rateLimit` of a key is in force, as a window named `key`; in place of one of that name, which is
   * then for the keys that have none. `true` by default.
   */
  readonly useKeyLimit?: boolean;
  /** What a request takes of every window: a whole number, 0 for a free one. 1 by default. */
  readonly cost?: (request: AuthRequest, key: RateLimitSubject) => number;
  /**
   * What becomes of requests while the store fails or does not answer: refused with 503, or let through without
   * any limit.
   */
  readonly onUnavailable?: "refuse" | "allow";
  /**
   * How long the store may take before it counts as unavailable; `"100ms"` by default. Only with
   * `onUnavailable: "allow"`, and shorter than the verifier's `storeTimeout`, which refuses the request.
   */
  readonly timeout?: Duration;
  /**
   * Told why a request was let through without limits. Without it, the first time is a process warning,
   * `KEYBEARER_LIMITER_DOWN`.
   */
  readonly onError?: (error: unknown) => unknown;
}

const OPTIONS: readonly (keyof RateLimiterOptions)[] = [
  "store",
  "windows",
  "useKeyLimit",
  "cost",
  "onUnavailable",
  "timeout",
  "onError",
];

const WHERE = "createRateLimiter";
const UNLIMITED: RateLimitDecision = Object.freeze({ allowed: true, states: Object.freeze([]) });

/**
 * Makes the rate limiter of a verifier: several windows at once, each anchored at the first request in it. A
 * request is counted in all of them, or refused and counted in none. `RateLimit` names them from narrow to wide:
 * of the key, of the environment, of the owner.
 *
 * @throws TypeError for options that are unknown or cannot work, naming the option.
 *
 * @example
 * const rateLimiter = createRateLimiter({
 *   store: redisLimits(client),
 *   windows: [
 *     { name: "minute", per: "key", limit: 600, windowSeconds: 60 },
 *     { name: "month", per: "owner", limit: 1_000_000, windowSeconds: 30 * 86_400 },
 *   ],
 *   cost: ({ path }) => (path === "/reports" ? 10 : 1),
 * });
 * const verifier = createVerifier({ store, scopes, format, rateLimiter });
 */
export function createRateLimiter(given: RateLimiterOptions): RateLimiter {
  const options = checkOptions(WHERE, given, OPTIONS);
  const { store = memoryLimits(), useKeyLimit = true, cost } = options;
  checkMethods(WHERE, "store", store, ["take"]);
  checkFunction(WHERE, "cost", cost);
  if (typeof useKeyLimit !== "boolean") throw new TypeError(`${WHERE}: "useKeyLimit" must be true or false`);
  const windows = readWindows(WHERE, options.windows ?? [], useKeyLimit);
  if (windows.length === 0 && !useKeyLimit)
    throw new TypeError(`${WHERE}: "windows" is empty: no limit at all`);
  const ask = asking(store, options);

  return Object.freeze({
    consume(key, request) {
      const inForce = useKeyLimit ? withKeyLimit(windows, key.rateLimit) : windows;
      if (inForce.length === 0) return UNLIMITED;
      const price = cost === undefined ? 1 : readCost(cost(request, key));
      const counters = inForce.map((window) => counterOf(window, key));
      return ask(counters, price, (taken) => decide(inForce, taken, price));
    },
  } satisfies RateLimiter);
}

function readCost(cost: unknown): number {
  if (Number.isSafeInteger(cost) && (cost as number) >= 0) return cost as number;
  if (isPromiseLike(cost)) cost.then(undefined, () => {}); // nobody waits for it
  throw new TypeError(`${WHERE}: "cost" must answer a whole number, 0 or more`);
}

function decide(windows: readonly RateWindow[], taken: TakeResult, cost: number): RateLimitDecision {
  const { allowed, standings } = taken;
  const states = windows.map(({ name, limit, windowSeconds }, index) => {
    const standing = standings[index];
    if (standing === undefined) throw new StoreError("The rate limiter does not say where it stands");
    const remaining = Math.max(0, limit - standing.used);
    return { name, limit, windowSeconds, remaining, resetSeconds: standing.resetMs / 1000 };
  });
  if (allowed) return { allowed, states };
  const waits = windows.map(({ limit }, index) => {
    const { used = 0, resetMs = 0 } = standings[index] ?? {};
    return hasRoom(limit, used, cost) ? 0 : resetMs / 1000;
  });
  return { allowed, states, retryAfterSeconds: Math.max(...waits) };
}

type Ask = (
  counters: Parameters<LimitStore["take"]>[0],
  cost: number,
  judge: (taken: TakeResult) => RateLimitDecision,
) => Awaitable<RateLimitDecision>;

/** Asks the store. What it fails with reaches the verifier, unless the host has chosen otherwise. */
function asking(store: LimitStore, { onUnavailable = "refuse", timeout, onError }: RateLimiterOptions): Ask {
  checkFunction(WHERE, "onError", onError);
  const ask: Ask = (counters, cost, judge) => {
    const taken = store.take(counters, cost);
    return isPromiseLike(taken) ? Promise.resolve(taken).then(judge) : judge(taken);
  };
  if (onUnavailable === "refuse") {
    if (timeout !== undefined || onError !== undefined) {
      throw new TypeError(`${WHERE}: "timeout" and "onError" have no effect without onUnavailable: "allow"`);
    }
    return ask;
  }
  if (onUnavailable !== "allow") {
    throw new TypeError(`${WHERE}: "onUnavailable" must be "refuse" or "allow"`);
  }
  return letting(ask, readDuration(WHERE, "timeout", timeout ?? "100ms"), onError ?? warnOnce());
}

function letting(ask: Ask, timeoutMs: number, report: (error: unknown) => unknown): Ask {
  const letThrough = (error: unknown): RateLimitDecision => {
    try {
      const told = report(error);
      if (isPromiseLike(told)) told.then(undefined, () => {});
    } catch {
      // Whoever is told cannot refuse the request.
    }
    return UNLIMITED;
  };
  return (counters, cost, judge) => {
    try {
      const decision = ask(counters, cost, judge);
      if (!isPromiseLike(decision)) return decision;
      return withStoreTimeout(decision, timeoutMs, "The rate limiter").then((known) => known, letThrough);
    } catch (error) {
      return letThrough(error);
    }
  };
}

function warnOnce(): () => void {
  let warned = false;
  return () => {
    if (warned) return;
    warned = true;
    warn("KEYBEARER_LIMITER_DOWN", "The rate limiter is down; requests pass without limits, as was chosen");
  };
}
