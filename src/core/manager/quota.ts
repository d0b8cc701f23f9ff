import { type OwnerQuota, quotaBytes } from "../keys/owner-quota.js";
import { isExpired, isPresent, type KeyRecord } from "../keys/record.js";

/**
 * Returns what a change adds to the live keys of an owner; `undefined` for a change without a new key that adds nothing.
 * Every change of one key is a compare-and-set, so the record before it is known.
 */
export function quotaOf(
  ceilings: Pick<OwnerQuota, "maxKeys" | "maxBytes">,
  now: Date,
  before: KeyRecord | undefined,
  ...after: readonly KeyRecord[]
): OwnerQuota | undefined {
  const isLive = (record: KeyRecord | undefined): record is KeyRecord =>
    record !== undefined && !isPresent(record.revokedAt) && !isExpired(record, now.getTime());
  const bytesOf = (records: readonly KeyRecord[]) =>
    records.reduce((sum, record) => sum + quotaBytes(record), 0);
  const [was, is] = [[before].filter(isLive), after.filter(isLive)];
  const keys = Math.max(0, is.length - was.length);
  const bytes = Math.max(0, bytesOf(is) - bytesOf(was));
  const hasNewKey = before === undefined || after.length > 1;
  return keys > 0 || bytes > 0 || hasNewKey ? { ...ceilings, keys, bytes, now } : undefined;
}
