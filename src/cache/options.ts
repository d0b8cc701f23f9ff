import { type Duration, readDuration } from "../internal/duration.js";
import { checkMethods, checkOptions, readInteger, rejectUndefined } from "../internal/validate.js";
import { checkObservers, type Observer } from "../kit.js";
import type { InvalidationBus } from "./bus/bus.js";
import type { EntryLimits } from "./entries.js";

/** Options of {@link cachedStore}. */
export interface CachedStoreOptions {
  /**
   * How long a key is cached, counted from the start of its lookup. If the store has no method `changes`, another
   * process may accept a revoked key for this long. `"5s"` by default; at most `"1m"`, or `"1h"` with `changes`.
   */
  readonly ttl?: Duration;
  /**
   * The maximum number of cached keys: 10,000 by default, up to 1,000,000. A key counts once more for each KiB of its
   * allowlist and metadata. A full cache evicts the least recently used key: of the same owner, if that owner has more
   * than a sixteenth of the cache, otherwise of all.
   */
  readonly max?: number;
  /** Evicts changed keys within milliseconds; see {@link redisBus} and {@link postgresBus}. None by default. */
  readonly bus?: InvalidationBus;
  /**
   * How often the changes of the store are read. Cached keys are used for this long plus `storeTimeout` after the start
   * of the last successful reading. `"1s"` by default, from `"10ms"` to `"1m"`.
   */
  readonly heartbeat?: Duration;
  /** The time limit of a lookup and of reading changes. Use the `storeTimeout` of your verifiers. `"250ms"` by default. */
  readonly storeTimeout?: Duration;
  /** Receive `cache.bypassed`, `cache.resumed`, and `background.failed` if a change could not be announced. */
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

/** @throws TypeError that names the invalid option. */
export function readSettings(given: CachedStoreOptions, reportsChanges: boolean): Settings {
  const options = checkOptions(WHERE, given, OPTIONS);
  const { bus, observers = [] } = options;
  rejectUndefined(WHERE, options, "bus");
  if (bus !== undefined) checkMethods(WHERE, "bus", bus, ["subscribe"]);
  checkObservers(WHERE, observers);
  return {
    ttlMs: readDuration(WHERE, "ttl", options.ttl ?? "5s", { max: reportsChanges ? "1h" : "1m" }),
    max: readInteger(WHERE, "max", options.max ?? 10_000, 1, 1_000_000),
    bus,
    heartbeatMs: readDuration(WHERE, "heartbeat", options.heartbeat ?? "1s", { min: "10ms", max: "1m" }),
    timeoutMs: readDuration(WHERE, "storeTimeout", options.storeTimeout ?? "250ms"),
    observers: [...observers],
  };
}
