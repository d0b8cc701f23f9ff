import { type Awaitable, isPromiseLike, mapAwaitable } from "../internal/awaitable.js";
import { type Duration, readDuration } from "../internal/duration.js";
import { checkBoolean, checkFunction, checkMethods, checkOptions } from "../internal/validate.js";
import { warnOnce } from "../internal/warn.js";
import {
  type AuthRequest,
  type RateLimitDecision,
  type RateLimiter,
  type RateLimitSubject,
  StoreError,
  withStoreTimeout,
} from "../kit.js";
import { type Consume, callSafely, dryRunOf, type Report, UNLIMITED } from "./dry-run.js";
import { memoryLimits } from "./memory.js";
import { type Counter, hasRoom, type LimitStore, type TakeResult } from "./store.js";
import { type ActiveWindow, counterOf, type RateWindow, readWindows, withKeyLimit } from "./windows.js";

/** Options of {@link createRateLimiter}. */
export interface RateLimiterOptions {
  /** Where requests are counted; by default `memoryLimits()`, which each process has for itself. */
  readonly store?: LimitStore;
  /** The windows, at most 16. A request must fit into all of them. None by default. */
  readonly windows?: readonly RateWindow[];
  /**
   * Whether the `rateLimit` of a key is enforced, as a window named `key`. It replaces a window of that name, which
   * then applies to keys without a `rateLimit`. `true` by default.
   */
  readonly useKeyLimit?: boolean;
  /** Returns what a request takes from every window: an integer, 0 for a free request. 1 by default. */
  readonly cost?: (request: AuthRequest, key: RateLimitSubject) => number;
  /** Counts requests, but never denies one and sends no headers. Requires `onLimited`. `false` by default. */
  readonly dryRun?: boolean;
  /**
   * Called for every request over a limit, which was denied, or with `dryRun` was not. What it throws is ignored.
   * Do not log `request`: its headers contain the secret.
   */
  readonly onLimited?: (key: RateLimitSubject, decision: RateLimitDecision, request: AuthRequest) => unknown;
  /**
   * What happens to requests while the store fails or times out: `"deny"` responds 503, `"allow"` lets them pass
   * without a limit. `"deny"` by default.
   */
  readonly onUnavailable?: "deny" | "allow";
  /**
   * The time limit of a store call, after which the store counts as unavailable; `"100ms"` by default. Only with
   * `onUnavailable: "allow"` or `dryRun`. It must be shorter than the verifier's `storeTimeout`, which denies.
   */
  readonly timeout?: Duration;
  /**
   * Called with the error when a request passes without a limit. Only with `onUnavailable: "allow"` or `dryRun`. By
   * default the first error is a process warning, `KEYBEARER_RATE_LIMITER_UNAVAILABLE`.
   */
  readonly onError?: (error: unknown) => unknown;
}

const OPTIONS: readonly (keyof RateLimiterOptions)[] = [
  "store",
  "windows",
  "useKeyLimit",
  "cost",
  "dryRun",
  "onLimited",
  "onUnavailable",
  "timeout",
  "onError",
];

const WHERE = "createRateLimiter";

/**
 * Creates the rate limiter of a verifier, with any number of windows, each anchored at its first request. A request is
 * counted in all windows, or denied and counted in none. The `RateLimit` header lists the windows per key first, then
 * per environment, then per owner.
 *
 * @throws TypeError if an option is unknown or invalid.
 *
 * @example
 * const rateLimiter = createRateLimiter({
 *   store: redisLimits(client),
 *   windows: [
 *     { name: "minute", per: "key", limit: 600, window: "1m" },
 *     { name: "month", per: "owner", limit: 1_000_000, window: "30d" },
 *   ],
 *   cost: ({ path }) => (path === "/reports" ? 10 : 1),
 * });
 * const verifier = createVerifier({ store, scopes, format, rateLimiter });
 */
export function createRateLimiter(given: RateLimiterOptions): RateLimiter {
  const options = checkOptions(WHERE, given, OPTIONS);
  const { store, useKeyLimit, windows, cost, dryRun, allowsUnavailable, onLimited, onError, timeoutMs } =
    readOptions(options);
  const take = allowsUnavailable && !dryRun ? takeOrAllow(store, timeoutMs, onError) : takeFrom(store);

  const consume: Consume = (key, request) => {
    const active = useKeyLimit ? withKeyLimit(windows, key.rateLimit) : windows;
    if (active.length === 0) return UNLIMITED;
    const price = cost === undefined ? 1 : checkCost(cost(request, key));
    const counters = active.map((window) => counterOf(window, key));
    return take(counters, price, (result) => toDecision(active, result, price));
  };

  const report: Report = (key, decision, request) => {
    if (onLimited !== undefined && !decision.allowed) callSafely(() => onLimited(key, decision, request));
    return decision;
  };
  if (dryRun) return Object.freeze({ consume: dryRunOf(consume, timeoutMs, report, onError) });
  return Object.freeze({
    consume: (key, request) =>
      mapAwaitable(consume(key, request), (decision) => report(key, decision, request)),
  } satisfies RateLimiter);
}

function readOptions(options: RateLimiterOptions) {
  const { store = memoryLimits(), useKeyLimit = true, cost, dryRun = false } = options;
  const { onLimited, onUnavailable = "deny", timeout, onError } = options;
  checkMethods(WHERE, "store", store, ["take"]);
  checkFunction(WHERE, "cost", cost);
  checkBoolean(WHERE, "useKeyLimit", useKeyLimit);
  const windows = readWindows(WHERE, options.windows ?? [], useKeyLimit);
  if (windows.length === 0 && !useKeyLimit) {
    throw new TypeError(`${WHERE}: "windows" must not be empty if "useKeyLimit" is false`);
  }
  checkBoolean(WHERE, "dryRun", dryRun);
  checkFunction(WHERE, "onLimited", onLimited);
  if (dryRun && onLimited === undefined) throw new TypeError(`${WHERE}: "dryRun" requires "onLimited"`);
  if (onUnavailable !== "deny" && onUnavailable !== "allow") {
    throw new TypeError(`${WHERE}: "onUnavailable" must be "deny" or "allow"`);
  }
  const allowsUnavailable = onUnavailable === "allow";
  if (!allowsUnavailable && !dryRun && (timeout !== undefined || onError !== undefined)) {
    throw new TypeError(`${WHERE}: "timeout" and "onError" require onUnavailable: "allow" or "dryRun"`);
  }
  checkFunction(WHERE, "onError", onError);
  const warnUnavailable = warnOnce("KEYBEARER_RATE_LIMITER_UNAVAILABLE");
  return {
    ...{ store, useKeyLimit, windows, cost, dryRun, allowsUnavailable, onLimited },
    onError:
      onError ?? (() => warnUnavailable("The rate limiter is unavailable; requests pass without a limit")),
    timeoutMs: readDuration(WHERE, "timeout", timeout ?? "100ms"),
  };
}

function checkCost(cost: unknown): number {
  if (Number.isSafeInteger(cost) && (cost as number) >= 0) return cost as number;
  if (isPromiseLike(cost)) cost.then(undefined, () => {}); // an unhandled rejection would end the process
  throw new TypeError(`${WHERE}: "cost" must return an integer, 0 or more`);
}

function toDecision(windows: readonly ActiveWindow[], taken: TakeResult, cost: number): RateLimitDecision {
  const waits: number[] = [];
  const states = windows.map(({ name, limit, windowSeconds }, index) => {
    const counter = taken?.states?.[index];
    if (counter === undefined)
      throw new StoreError("The store of the rate limiter returned an invalid result");
    const resetSeconds = counter.resetMs / 1000;
    if (!hasRoom(limit, counter.used, cost)) waits.push(resetSeconds);
    return { name, limit, windowSeconds, remaining: Math.max(0, limit - counter.used), resetSeconds };
  });
  if (taken.allowed) return { allowed: taken.allowed, states };
  return { allowed: taken.allowed, states, retryAfterSeconds: Math.max(0, ...waits) };
}

type Take = (
  counters: readonly Counter[],
  cost: number,
  decide: (taken: TakeResult) => RateLimitDecision,
) => Awaitable<RateLimitDecision>;

/** A failure of the store reaches the verifier, which responds 503. */
function takeFrom(store: LimitStore): Take {
  return (counters, cost, decide) => mapAwaitable(store.take(counters, cost), decide);
}

/** A failure of the store is reported, and the request is allowed. */
function takeOrAllow(store: LimitStore, timeoutMs: number, onError: (error: unknown) => unknown): Take {
  const take = takeFrom(store);
  const allow = (error: unknown): RateLimitDecision => {
    callSafely(() => onError(error));
    return UNLIMITED;
  };
  return (counters, cost, decide) => {
    try {
      const decision = take(counters, cost, decide);
      if (!isPromiseLike(decision)) return decision;
      return withStoreTimeout(decision, timeoutMs, "The rate limiter").then((value) => value, allow);
    } catch (error) {
      return allow(error);
    }
  };
}
