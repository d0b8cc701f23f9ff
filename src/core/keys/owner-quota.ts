import { KeyLimitError } from "../errors.js";
import type { KeyRecord } from "./record.js";

/**
 * What a change adds to the live keys of its owner, and how much the owner may have. A key is live until it is revoked or
 * expired, also if it is disabled, suspended or rotated.
 */
export interface OwnerQuota {
  /** The number of live keys that the change adds: 1, or 0 if it adds none or ends another one. */
  readonly keys: number;
  /** The bytes that the change adds to the allowlists and metadata of live keys, as UTF-8 JSON. */
  readonly bytes: number;
  /** The most live keys of the owner; `Infinity` for no ceiling. Not checked if the change adds none. */
  readonly maxKeys: number;
  /** The most bytes of the owner; `Infinity` for no ceiling. Not checked if the change adds none. */
  readonly maxBytes: number;
  /** The time at which the expiry of keys is evaluated. */
  readonly now: Date;
}

/**
 * How long after its expiry `suspendOwner` still marks a key. A process whose clock is behind by less accepts the key for that
 * long.
 */
export const CLOCK_TOLERANCE_MS = 60_000;

/** Returns the bytes of a key that count towards `bytes` of a quota. */
export function quotaBytes({ ipAllowlist, metadata }: Pick<KeyRecord, "ipAllowlist" | "metadata">): number {
  return [ipAllowlist, metadata].reduce((sum, value) => sum + jsonBytes(value), 0);
}

/** Returns the quota of a new key whose owner has no ceilings. */
export function unlimitedQuota(record: KeyRecord): OwnerQuota {
  const [maxKeys, maxBytes] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  return { keys: 1, bytes: quotaBytes(record), maxKeys, maxBytes, now: record.updatedAt };
}

/** Returns the ceiling of a quota that an owner with these live keys and bytes would exceed. */
export function findExcess(
  counts: { readonly keys: number; readonly bytes: number },
  { keys, bytes, maxKeys, maxBytes }: OwnerQuota,
): "keys" | "bytes" | undefined {
  if (keys > 0 && counts.keys + keys > maxKeys) return "keys";
  return bytes > 0 && counts.bytes + bytes > maxBytes ? "bytes" : undefined;
}

/** @throws KeyLimitError if an owner with these live keys and bytes would exceed the quota. */
export function rejectExcess(
  counts: { readonly keys: number; readonly bytes: number },
  quota: OwnerQuota,
): void {
  const excess = findExcess(counts, quota);
  if (excess !== undefined)
    throw new KeyLimitError(excess, excess === "keys" ? quota.maxKeys : quota.maxBytes);
}

function jsonBytes(value: unknown): number {
  return value === null || value === undefined ? 0 : Buffer.byteLength(JSON.stringify(value));
}
