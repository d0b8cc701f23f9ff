import { type Duration, readDuration } from "../internal/duration.js";
import { checkOptions, hasMethod, readInteger } from "../internal/validate.js";
import type { Observer } from "../kit.js";
import type { InvalidationBus } from "./bus/bus.js";
import type { EntryLimits } from "./entries.js";

/** Options of `cachedStore`. */
export interface CachedStoreOptions {
  /**
   * How long a key is answered from memory, counted from the beginning of the lookup: `"5s"` by default, `"1h"`
   * at most and `"1m"` at most without a bus. For so long a revocation may go unnoticed where no bus tells of it.
   */
  readonly ttl?: Duration;
  /** How many keys are kept: 10,000 by default, at most 1,000,000. The one unused for longest goes first. */
  readonly max?: number;
  /** How the caches of several processes tell each other of changes; see `redisBus` and `postgresBus`. */
  readonly bus?: InvalidationBus;
  /**
   * How often the bus is tried, in milliseconds: 1,000 by default, 10 to 60,000. Three times as long after the
   * last successful try began, the cache is bypassed.
   */
  readonly heartbeat?: Duration;
  /** How long a lookup may take, in milliseconds: 250 by default. Use the `storeTimeout` of your verifiers. */
  readonly storeTimeout?: Duration;
  /** Told when the cache is bypassed and used again, and when others could not be told of a change. */
  readonly observers?: readonly Observer[];
}

export interface Settings extends EntryLimits {
  readonly bus: InvalidationBus | undefined;
  readonly heartbeatMs: number;
  readonly timeoutMs: number;
  readonly observers: readonly Observer[];
}

const WHERE = "cachedStore";
const OPTIONS = ["ttl", "max", "bus", "heartbeat", "storeTimeout", "observers"];

/** @throws TypeError that names the option. */
export function readSettings(given: CachedStoreOptions): Settings {
  const options = checkOptions(WHERE, given, OPTIONS);
  const { bus, observers = [] } = options;
  if (Object.hasOwn(options, "bus") && !(hasMethod(bus, "publish") && hasMethod(bus, "subscribe"))) {
    throw new TypeError(`${WHERE}: "bus" must have the methods publish() and subscribe(), or be left out`);
  }
  if (!Array.isArray(observers) || !observers.every((observer) => typeof observer === "function"))
    throw new TypeError(`${WHERE}: "observers" must be a list of functions`);
  const longest = bus === undefined ? "1m" : "1h";
  return {
    ttl: readDuration(WHERE, "ttl", options.ttl ?? "5s", { max: longest }),
    max: readInteger(WHERE, "max", options.max ?? 10_000, 1, 1_000_000),
    negativeTtl: 0,
    negativeMax: 1,
    bus,
    heartbeatMs: readDuration(WHERE, "heartbeat", options.heartbeat ?? "1s", { min: "10ms", max: "1m" }),
    timeoutMs: readDuration(WHERE, "storeTimeout", options.storeTimeout ?? "250ms"),
    observers: [...observers],
  };
}
