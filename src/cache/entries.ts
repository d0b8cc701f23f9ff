import { LRUCache } from "lru-cache";
import type { KeyHash, VerifiableRecord } from "../kit.js";
import { createChanges } from "./changes.js";
import { sealed } from "./snapshot.js";

type Answer = VerifiableRecord | null | undefined;

/** The moment at which a lookup began. */
export interface Mark {
  /** In milliseconds of the monotonic clock. */
  readonly began: number;
  readonly keys: number;
  readonly absences: number;
}

/** How long and how many. */
export interface EntryLimits {
  /** Milliseconds. */
  readonly ttl: number;
  readonly max: number;
  /** Milliseconds; 0 for none. */
  readonly negativeTtl: number;
  readonly negativeMax: number;
}

/** What is remembered of a store's answers. */
export interface Entries {
  /** The record; `null` when it is known that there is none; `undefined` when nothing is known. */
  find(hash: KeyHash, now: number): VerifiableRecord | null | undefined;
  /** To be taken before the store is asked. */
  mark(): Mark;
  /** Remembers an answer, if nothing overtook it. Answers a frozen copy of a record, else what it was given. */
  keep(hash: KeyHash, answer: Answer, mark: Mark): Answer;
  /**
   * A write to the key begins, that may give a key the hash `added`. Until the answer is called nothing is kept
   * of either, nor of lookups that began before.
   */
  changing(id: string, added: KeyHash | undefined): () => void;
  forget(id: string): void;
  forgetAbsences(): void;
  forgetAll(): void;
}

interface Entry {
  readonly record: VerifiableRecord;
  readonly began: number;
  readonly until: number;
}

/**
 * Absences have a place of their own, so that no number of unknown secrets can drive out a key. The times are
 * compared here and not by lru-cache, which may hold on to its reading of the clock until a timer fires; in a
 * process that is busy none does.
 */
export function createEntries({ ttl, max, negativeTtl, negativeMax }: EntryLimits): Entries {
  const keys = createChanges();
  const absences = createChanges();
  const absent = negativeTtl > 0 ? new LRUCache<KeyHash, number>({ max: negativeMax }) : undefined;
  const hashOf = new Map<string, KeyHash>();
  const present = new LRUCache<KeyHash, Entry>({
    max,
    dispose: ({ record: { id } }, hash) => {
      if (hashOf.get(id) === hash) hashOf.delete(id);
    },
  });

  const drop = (id: string): void => {
    const hash = hashOf.get(id);
    if (hash !== undefined) present.delete(hash);
  };

  const keepRecord = (record: VerifiableRecord, hash: KeyHash, { began, keys: mark }: Mark): void => {
    if (keys.overtook(record.id, mark)) return;
    // From the beginning of the lookup: the store may have read the key right then, and answered late.
    const now = performance.now();
    const until = Math.min(began + ttl, now + timeLeft(record.expiresAt));
    if (!(now < until)) return;
    drop(record.id); // a key has one hash; this one is the latest
    absent?.delete(hash);
    present.set(hash, { record, began, until });
    hashOf.set(record.id, hash);
  };

  const keepAbsence = (hash: KeyHash, { began, absences: mark }: Mark): void => {
    present.delete(hash);
    if (!absences.overtook(hash, mark)) absent?.set(hash, began + negativeTtl);
  };

  return {
    find(hash, now) {
      const entry = present.get(hash);
      if (entry !== undefined) {
        if (now < entry.until) return entry.record;
        present.delete(hash);
      }
      const until = absent?.get(hash);
      if (until === undefined) return undefined;
      if (now < until) return null;
      absent?.delete(hash);
      return undefined;
    },

    mark: () => ({ began: performance.now(), keys: keys.mark(), absences: absences.mark() }),

    keep(hash, answer, mark) {
      const none = answer === undefined || answer === null;
      const record = none ? undefined : sealed(answer, hash);
      const known = present.peek(hash);
      if (known === undefined || known.began <= mark.began) {
        if (record !== undefined) keepRecord(record, hash, mark);
        else if (none) keepAbsence(hash, mark);
      }
      return record ?? answer;
    },

    changing(id, added) {
      const endOfKey = keys.begin(id);
      const endOfAbsence = added === undefined ? undefined : absences.begin(added);
      drop(id);
      if (added !== undefined) absent?.delete(added);
      return () => {
        endOfKey();
        endOfAbsence?.();
      };
    },

    forget(id) {
      keys.note(id);
      drop(id);
    },

    forgetAbsences() {
      absences.noteAll();
      absent?.clear();
    },

    forgetAll() {
      keys.noteAll();
      absences.noteAll();
      present.clear();
      absent?.clear();
    },
  };
}

/** Milliseconds; NaN, which no comparison passes, for an expiry that cannot be read. */
function timeLeft(expiresAt: unknown): number {
  if (expiresAt === undefined || expiresAt === null) return Number.POSITIVE_INFINITY;
  return expiresAt instanceof Date ? expiresAt.getTime() - Date.now() : Number.NaN;
}
