import { StoreError } from "../errors.js";
import { emit, lifecycleEvent, type Observer } from "../events.js";
import { createAuditEntry } from "../keys/audit-entry.js";
import { type Hashers, hashKind, type KeyHash } from "../keys/hash.js";
import type { VerifiableRecord } from "../keys/record.js";
import type { KeyStore } from "../keys/store.js";
import { toStoreError, withStoreTimeout } from "../store-calls.js";

/** Moves the key of a secret to the current hash in the background, if it is stored under an older one. */
export type Rehash = (record: VerifiableRecord, secret: string) => void;

const MAX_CONCURRENT = 100;
/** Pause after a failure, so that a read-only store is not called on every request. */
const PAUSE_MS = 60_000;

/**
 * Creates the rehash of a verifier; `undefined` if there are no older hashes or the store has no `rehash`. A key under
 * one of the `newer` versions is not moved: processes of different age would move it back and forth.
 */
export function createRehash(
  store: KeyStore,
  [current, ...older]: Hashers,
  newer: readonly string[],
  timeoutMs: number,
  now: () => number,
  observers: readonly Observer[],
): Rehash | undefined {
  if (older.length === 0 || store.rehash === undefined) return undefined;
  const moving = new Set<string>();
  let pausedUntil = Number.NEGATIVE_INFINITY;

  const move = async (record: VerifiableRecord, to: KeyHash, at: Date): Promise<void> => {
    const from = record.hash as KeyHash;
    const audit = createAuditEntry("rehashed", record, at, null, { from: hashKind(from), to: hashKind(to) });
    const result = Promise.resolve<unknown>(store.rehash?.(record.id, from, to, audit));
    const moved = await withStoreTimeout(result, timeoutMs, undefined, (value) => {
      if (typeof value === "boolean") return value;
      throw new StoreError("The key store did not return whether it moved the key");
    });
    if (moved) emit(observers, lifecycleEvent(audit));
  };

  return (record, secret) => {
    if (moving.size >= MAX_CONCURRENT || moving.has(record.id) || performance.now() < pausedUntil) return;
    const to = current(secret);
    if (record.hash === to || newer.includes(hashKind(record.hash))) return;
    const at = new Date(now());
    moving.add(record.id);
    move(record, to, at)
      .catch((error: unknown) => {
        pausedUntil = performance.now() + PAUSE_MS;
        const failure = { at, task: "rehash", keyId: record.id, error: toStoreError(error) } as const;
        emit(observers, { type: "background.failed", ...failure });
      })
      .finally(() => moving.delete(record.id));
  };
}
