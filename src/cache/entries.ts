import { createSharedCache, weightOf } from "../internal/shared-cache.js";
import type { KeyHash, VerifiableRecord } from "../kit.js";
import { createChanges } from "./changes.js";
import { snapshot } from "./snapshot.js";

type LookupResult = VerifiableRecord | null | undefined;

/** The start of a lookup. */
export interface LookupStart {
  /** Milliseconds of the monotonic clock. */
  readonly time: number;
  /** Position in the changes of keys. */
  readonly position: number;
}

export interface EntryLimits {
  readonly ttlMs: number;
  readonly max: number;
}

/** The cached records. */
export interface Entries {
  get(hash: KeyHash, now: number): VerifiableRecord | undefined;
  /** Must be called before the store is called. */
  startLookup(): LookupStart;
  /**
   * Caches the result of a lookup unless the key changed since the start. Returns a frozen copy of a record, and any
   * other result as it is.
   */
  set(hash: KeyHash, result: LookupResult, start: LookupStart): LookupResult;
  /** Evicts a key before a write. Lookups that start before the returned function is called are not cached. */
  beginWrite(id: string): () => void;
  evict(id: string): void;
  clear(): void;
}

interface Entry {
  readonly record: VerifiableRecord;
  readonly start: number;
  readonly end: number;
}

export function createEntries({ ttlMs, max }: EntryLimits): Entries {
  const changes = createChanges();
  const hashById = new Map<string, KeyHash>();
  const entries = createSharedCache<Entry>(max, (hash, { record: { id } }) => {
    if (hashById.get(id) === hash) hashById.delete(id);
  });

  const remove = (id: string): void => {
    const hash = hashById.get(id);
    if (hash !== undefined) entries.delete(hash);
  };

  const store = (hash: KeyHash, record: VerifiableRecord, { time, position }: LookupStart): void => {
    if (changes.hasChanged(record.id, position)) return;
    // The TTL counts from the start, because the store may have read the key at that time.
    const now = performance.now();
    const end = Math.min(time + ttlMs, now + timeLeft(record.expiresAt));
    if (!(now < end)) return;
    remove(record.id); // a key has one hash at a time
    const weight = weightOf(record.ipAllowlist, record.metadata);
    entries.set(hash, { record, start: time, end }, record.ownerId, weight);
    if (entries.peek(hash) !== undefined) hashById.set(record.id, hash); // it may be too large
  };

  return {
    get(hash, now) {
      const entry = entries.get(hash);
      if (entry === undefined) return undefined;
      if (now < entry.end) return entry.record;
      entries.delete(hash);
      return undefined;
    },

    startLookup: () => ({ time: performance.now(), position: changes.position() }),

    set(hash, result, start) {
      const isMissing = result === undefined || result === null;
      const record = isMissing ? undefined : snapshot(result, hash);
      const cached = entries.peek(hash);
      if (cached === undefined || cached.start <= start.time) {
        if (record !== undefined) store(hash, record, start);
        else if (isMissing) entries.delete(hash);
      }
      return record ?? result;
    },

    beginWrite(id) {
      const end = changes.begin(id);
      remove(id);
      return end;
    },

    evict(id) {
      changes.add(id);
      remove(id);
    },

    clear() {
      changes.addAll();
      entries.clear();
    },
  };
}

/** Milliseconds until the expiry. `NaN`, which fails every comparison, if the expiry cannot be read. */
function timeLeft(expiresAt: unknown): number {
  if (expiresAt === undefined || expiresAt === null) return Number.POSITIVE_INFINITY;
  return expiresAt instanceof Date ? expiresAt.getTime() - Date.now() : Number.NaN;
}
