import { StoreError } from "../errors.js";
import { emit, lifecycleEvent, type Observer } from "../events.js";
import { createAuditEntry } from "../keys/audit-entry.js";
import { type Hashers, hashKind, type KeyHash, sameHash } from "../keys/hash.js";
import type { VerifiableRecord } from "../keys/record.js";
import type { KeyStore } from "../keys/store.js";
import { toStoreError, withStoreTimeout } from "../store-calls.js";

/** Moves the key of a secret to the current hash, behind the request, if it is stored under an older one. */
export type Rehash = (record: VerifiableRecord, secret: string) => void;

const MAX_AT_ONCE = 100;
// A store that is read-only would else be asked in vain with each request.
const PAUSE_MS = 60_000;

/**
 * Makes what a verifier does with keys that it let through; `undefined` when there is nothing to do: there are
 * no older hashes, or the store has no `rehash`. A key under one of the `newer` versions stays: a process that
 * knows more has moved it, and the two would move it to and fro.
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
  const underWay = new Set<string>();
  let rest = Number.NEGATIVE_INFINITY;

  const move = async (record: VerifiableRecord, to: KeyHash, at: Date): Promise<void> => {
    const from = record.hash as KeyHash;
    const audit = createAuditEntry("rehashed", record, at, null, { from: hashKind(from), to: hashKind(to) });
    const answer = Promise.resolve(store.rehash?.(record.id, from, to, audit));
    const moved: unknown = await withStoreTimeout(answer, timeoutMs);
    if (typeof moved !== "boolean")
      throw new StoreError("The key store did not say whether it moved the key");
    if (moved) emit(observers, lifecycleEvent(audit));
  };

  return (record, secret) => {
    if (underWay.size >= MAX_AT_ONCE || underWay.has(record.id) || performance.now() < rest) return;
    const to = current(secret);
    if (sameHash(record.hash, to) || newer.includes(hashKind(record.hash))) return;
    const at = new Date(now());
    underWay.add(record.id);
    move(record, to, at)
      .catch((error: unknown) => {
        rest = performance.now() + PAUSE_MS;
        const told = { at, task: "rehash", keyId: record.id, error: toStoreError(error) } as const;
        emit(observers, { type: "background.failed", ...told });
      })
      .finally(() => underWay.delete(record.id));
  };
}
