import type { KeyHash, KeyRecord, VerifiableRecord } from "../kit.js";

/** Every member of a record, so that one that is added to it cannot be forgotten here. */
type Members = { readonly [Member in keyof KeyRecord]: VerifiableRecord[Member] };

/**
 * A copy of what a store answered that nobody outside can change, lists included: a frozen allowlist is what a
 * verifier compiles once. `undefined` for what is not the record of this hash, or cannot be copied: that is for
 * the verifier to refuse, not for a cache to keep.
 */
export function sealed(answer: VerifiableRecord, hash: KeyHash): VerifiableRecord | undefined {
  try {
    const copy = copyOf(answer);
    return copy.hash === hash && isReadable(copy) ? Object.freeze(copy) : undefined;
  } catch {
    return undefined;
  }
}

/** Reads the members one by one: a row of some class may inherit them. What is needed most comes first. */
function copyOf(record: VerifiableRecord): Members {
  return {
    hash: record.hash,
    id: record.id,
    ownerId: record.ownerId,
    scopes: frozenList(record.scopes),
    environment: record.environment,
    revokedAt: dateOf(record.revokedAt),
    disabledAt: dateOf(record.disabledAt),
    expiresAt: dateOf(record.expiresAt),
    rotatedAt: dateOf(record.rotatedAt),
    ipAllowlist: isAbsent(record.ipAllowlist) ? record.ipAllowlist : frozenList(record.ipAllowlist),
    rateLimit: structuredClone(record.rateLimit),
    version: record.version,
    name: record.name,
    start: record.start,
    metadata: structuredClone(record.metadata),
    createdAt: dateOf(record.createdAt),
    updatedAt: dateOf(record.updatedAt),
    lastUsedAt: dateOf(record.lastUsedAt),
    revokedReason: record.revokedReason,
    replacedBy: record.replacedBy,
    replaces: record.replaces,
  };
}

/** What is no date stays what it is: it counts against the key, and must go on doing so. */
function dateOf<T>(date: T): T | Date {
  return date instanceof Date ? new Date(date) : date;
}

function frozenList(list: readonly string[]): readonly string[] {
  if (!Array.isArray(list)) throw new TypeError("not a list");
  return Object.isFrozen(list) ? list : Object.freeze([...list]);
}

function isReadable({ id, ownerId, environment }: Members): boolean {
  return isText(id) && isText(ownerId) && (isAbsent(environment) || isText(environment));
}

function isAbsent(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}

function isText(value: unknown): boolean {
  return typeof value === "string" && value !== "";
}
