import { copyRecord, freezeRecord, type KeyHash, type VerifiableRecord } from "../kit.js";

/**
 * Returns a frozen copy of a record. Its lists are frozen too, because verifiers compile an allowlist once per frozen
 * array. Returns `undefined` for anything that is not the record of this hash or cannot be copied; the verifier rejects
 * it, and it must not be cached.
 */
export function snapshot(result: VerifiableRecord, hash: KeyHash): VerifiableRecord | undefined {
  try {
    const record = copyRecord(result) as VerifiableRecord;
    if (record.hash !== hash) return undefined;
    return freezeRecord({
      ...record,
      scopes: freezeList(record.scopes),
      ipAllowlist: isAbsent(record.ipAllowlist) ? record.ipAllowlist : freezeList(record.ipAllowlist),
      rateLimit: structuredClone(record.rateLimit),
      metadata: structuredClone(record.metadata),
      createdAt: copyDate(record.createdAt),
      updatedAt: copyDate(record.updatedAt),
      expiresAt: copyDate(record.expiresAt),
      lastUsedAt: copyDate(record.lastUsedAt),
      disabledAt: copyDate(record.disabledAt),
      suspendedAt: copyDate(record.suspendedAt),
      revokedAt: copyDate(record.revokedAt),
      rotatedAt: copyDate(record.rotatedAt),
    });
  } catch {
    return undefined;
  }
}

/** Leaves a value that is not a date as it is, because the verifier counts it against the key. */
function copyDate<T>(date: T): T | Date {
  return date instanceof Date ? new Date(date) : date;
}

function freezeList(list: readonly string[]): readonly string[] {
  if (!Array.isArray(list)) throw new TypeError("not an array");
  return Object.isFrozen(list) ? list : Object.freeze([...list]);
}

function isAbsent(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}
