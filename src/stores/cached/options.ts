import { checkOptions, type Duration, milliseconds, type Observer } from "../../index.js";
import type { InvalidationBus } from "./bus.js";
import type { EntryLimits } from "./entries.js";

/** Options of `cachedStore`. */
export interface CachedStoreOptions {
  /**
   * How long a key is answered from memory, counted from the beginning of the look-up: `"5s"` by default, `"1h"`
   * at most and `"1m"` at most without a bus. For so long a revocation may go unnoticed where no bus tells of it.
   */
  readonly ttl?: Duration;
  /** How many keys are kept: 10,000 by default, at most 1,000,000. The one unused for longest goes first. */
  readonly max?: number;
  /**
   * How long it is remembered that no key has a hash; within the bounds of `ttl`. Off by default: where no bus
   * tells of it, a key that is made elsewhere is refused for so long, and one that is moved to another pepper too.
   */
  readonly negativeTtl?: Duration;
  /** How many such hashes are kept, apart from the keys: 10,000 by default, at most 1,000,000. */
  readonly negativeMax?: number;
  /** How the caches of several processes tell each other of changes; see `redisBus` and `postgresBus`. */
  readonly bus?: InvalidationBus;
  /**
   * How often the bus is tried, in milliseconds: 1,000 by default, 10 to 60,000. Three times as long after the
   * last successful try began, the cache is bypassed.
   */
  readonly heartbeatMs?: number;
  /** How long a look-up may take, in milliseconds: 250 by default. Use the `storeTimeoutMs` of your verifiers. */
  readonly timeoutMs?: number;
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
const OPTIONS = ["ttl", "max", "negativeTtl", "negativeMax", "bus", "heartbeatMs", "timeoutMs", "observers"];

/** @throws TypeError that names the option. */
export function readSettings(given: CachedStoreOptions): Settings {
  const options = checkOptions(WHERE, given, OPTIONS);
  const { bus, negativeTtl, observers = [] } = options;
  if (Object.hasOwn(options, "bus") && !(hasMethod(bus, "publish") && hasMethod(bus, "subscribe"))) {
    throw new TypeError(`${WHERE}: "bus" must have the methods publish() and subscribe(), or be left out`);
  }
  if (!Array.isArray(observers) || !observers.every((observer) => typeof observer === "function"))
    throw new TypeError(`${WHERE}: "observers" must be a list of functions`);
  const longest = bus === undefined ? "1m" : "1h";
  return {
    ttl: readDuration("ttl", options.ttl ?? "5s", longest),
    max: readCount("max", options.max ?? 10_000, 1, 1_000_000),
    negativeTtl: negativeTtl === undefined ? 0 : readDuration("negativeTtl", negativeTtl, longest),
    negativeMax: readCount("negativeMax", options.negativeMax ?? 10_000, 1, 1_000_000),
    bus,
    heartbeatMs: readCount("heartbeatMs", options.heartbeatMs ?? 1_000, 10, 60_000),
    timeoutMs: readCount("timeoutMs", options.timeoutMs ?? 250, 1, 2 ** 31 - 1),
    observers: [...observers],
  };
}

function readDuration(name: string, value: Duration, longest: Duration): number {
  const length = milliseconds(value);
  if (length !== undefined && length > 0 && length <= (milliseconds(longest) ?? 0)) return length;
  const bounds = `above 0 and at most "${longest}"`;
  throw new TypeError(`${WHERE}: "${name}" must be a duration such as "5s", ${bounds}`);
}

function readCount(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new TypeError(`${WHERE}: "${name}" must be a whole number from ${least} to ${most}`);
}

function hasMethod(value: unknown, method: string): boolean {
  return typeof (value as Record<string, unknown> | null | undefined)?.[method] === "function";
}
