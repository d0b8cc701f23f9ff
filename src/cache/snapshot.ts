import { freezeRecord, type KeyHash, type KeyRecord, type VerifiableRecord } from "../kit.js";

/** Every member of a record, so that the compiler reports a new member that is not copied. */
type Members = { readonly [Member in keyof KeyRecord]: VerifiableRecord[Member] };

/**
 * Returns a frozen copy of a record. Its lists are frozen too, because verifiers compile an allowlist once per frozen
 * array. Returns `undefined` for anything that is not the record of this hash or cannot be copied; the verifier rejects
 * it, and it must not be cached.
 */
export function snapshot(result: VerifiableRecord, hash: KeyHash): VerifiableRecord | undefined {
  try {
    const copy = copyMembers(result);
    return copy.hash === hash ? freezeRecord(copy) : undefined;
  } catch {
    return undefined;
  }
}

/** Reads each member by name, because a row object may inherit them. */
function copyMembers(record: VerifiableRecord): Members {
  return {
    hash: record.hash,
    id: record.id,
    ownerId: record.ownerId,
    scopes: freezeList(record.scopes),
    environment: record.environment,
    revokedAt: copyDate(record.revokedAt),
    disabledAt: copyDate(record.disabledAt),
    expiresAt: copyDate(record.expiresAt),
    rotatedAt: copyDate(record.rotatedAt),
    ipAllowlist: isAbsent(record.ipAllowlist) ? record.ipAllowlist : freezeList(record.ipAllowlist),
    rateLimit: structuredClone(record.rateLimit),
    rotationRoot: record.rotationRoot,
    version: record.version,
    name: record.name,
    start: record.start,
    metadata: structuredClone(record.metadata),
    createdAt: copyDate(record.createdAt),
    updatedAt: copyDate(record.updatedAt),
    lastUsedAt: copyDate(record.lastUsedAt),
    revokedReason: record.revokedReason,
    replacedBy: record.replacedBy,
    replaces: record.replaces,
    disabledBy: record.disabledBy,
    createdBy: record.createdBy,
    createdByKey: record.createdByKey,
  };
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
