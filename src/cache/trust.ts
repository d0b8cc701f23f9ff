import { withTimeout } from "../internal/timeout.js";
import { emit, type KeyStore, type Observer, StoreError } from "../kit.js";
import type { Entries } from "./entries.js";

/** Decides how long cached keys may be used. */
export interface Trust {
  /** Whether cached keys may be returned and lookups cached. */
  holds(now: number): boolean;
  ready(): Promise<void>;
  close(): void;
}

export interface TrustSettings {
  readonly heartbeatMs: number;
  readonly timeoutMs: number;
  readonly observers: readonly Observer[];
}

/** Trusts entries until the cache is closed. For stores that do not report changes; only the TTL bounds their entries. */
export function createTtlTrust(entries: Entries): Trust {
  let closed = false;
  return {
    holds: () => !closed,
    ready: async () => {},
    close() {
      closed = true;
      entries.clear();
    },
  };
}

/**
 * Reads the changes of the store at every heartbeat. Entries are trusted for one heartbeat and one store timeout after
 * the start of the last successful reading, because a change that returned before that start was reported by it.
 */
export function createFeedTrust(store: KeyStore, settings: TrustSettings, entries: Entries): Trust {
  const { heartbeatMs, timeoutMs, observers } = settings;
  const trustMs = heartbeatMs + timeoutMs;
  const readiness = deferred();
  let position: string | undefined;
  let end = Number.NEGATIVE_INFINITY;
  let inUse = false;
  let bypassedSince = performance.now();
  let bypassReported = false;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;

  const report = (type: "cache.bypassed" | "cache.resumed"): void => {
    bypassReported = type === "cache.bypassed";
    emit(observers, { type, at: new Date() });
  };

  const holds = (now: number): boolean => {
    if (now < end) return true;
    if (inUse) {
      inUse = false;
      bypassedSince = now;
      position = undefined; // a failover may have lost it
      entries.clear();
      report("cache.bypassed");
    }
    return false;
  };

  const apply = (changes: Changed, start: number): void => {
    const now = performance.now();
    const wasTrusted = holds(now);
    if (closed || now >= start + trustMs) return;
    if (!wasTrusted || changes.keyIds === "all") entries.clear();
    else for (const id of changes.keyIds) entries.evict(id);
    position = changes.position;
    end = start + trustMs;
    inUse = true;
    if (bypassReported) report("cache.resumed");
    readiness.resolve();
  };

  const read = async (): Promise<void> => {
    const start = performance.now();
    holds(start);
    try {
      const reading = (async () => store.changes?.(position))();
      apply(await withTimeout(reading, timeoutMs, { onTimeout, onFulfilled: checkChanges }), start);
    } catch {
      // Trust ends by itself, which is reported.
    }
    if (closed) return;
    const now = performance.now();
    if (!holds(now) && !bypassReported && now >= bypassedSince + trustMs) report("cache.bypassed");
    timer = setTimeout(read, Math.max(start + heartbeatMs - now, 0));
    timer.unref();
  };
  void read();

  return {
    holds,
    ready: () => readiness.promise,
    close() {
      closed = true;
      clearTimeout(timer);
      inUse = false;
      end = Number.NEGATIVE_INFINITY;
      entries.clear();
      readiness.reject(new StoreError("The cache was closed"));
    },
  };
}

interface Changed {
  readonly position: string;
  readonly keyIds: readonly string[] | "all";
}

/** Copies what the store returned. @throws if it is not a `KeyChanges`. */
function checkChanges(value: unknown): Changed {
  const { position, keyIds } = value as { position: unknown; keyIds: unknown };
  if (typeof position !== "string") throw new StoreError("The key store returned no position");
  if (keyIds === "all") return { position, keyIds };
  const ids: unknown[] = Array.isArray(keyIds) ? [...keyIds] : [undefined];
  if (ids.every((id) => typeof id === "string")) return { position, keyIds: ids };
  throw new StoreError("The key store returned an invalid list of changed keys");
}

function onTimeout(): Error {
  return new StoreError("The key store did not report its changes in time");
}

function deferred(): { readonly promise: Promise<void>; resolve(): void; reject(error: Error): void } {
  let resolve = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  promise.catch(() => {}); // ready() may never be called
  return { promise, resolve, reject };
}
