import {
  findExcess,
  isExpired,
  type KeyRecord,
  KeyStateError,
  OWNER_SUSPENDED,
  type OwnerQuota,
  quotaBytes,
  rejectExcess,
} from "../../kit.js";

/** Which owners are suspended, and upper bounds of their live keys and the bytes of those. */
export interface Owners {
  isSuspended(ownerId: string): boolean;
  setSuspended(ownerId: string, suspended: boolean): void;
  /** The keys of an owner that are neither revoked nor expired. */
  liveKeys(ownerId: string, now: Date): readonly KeyRecord[];
  /** @throws KeyStateError if the owner is suspended, and KeyLimitError if there is no room for the quota. */
  reserve(ownerId: string, quota: OwnerQuota): void;
}

/** A count is an upper bound, and is counted again when it reaches a ceiling. */
interface Counts {
  keys: number;
  bytes: number;
}

export function createOwners(keysOf: (ownerId: string) => Iterable<KeyRecord>): Owners {
  const suspended = new Set<string>();
  const countsByOwner = new Map<string, Counts>();

  const liveKeys = (ownerId: string, now: Date): readonly KeyRecord[] =>
    [...keysOf(ownerId)].filter((record) => record.revokedAt === null && !isExpired(record, now.getTime()));

  const recount = (ownerId: string, now: Date): Counts => {
    const keys = liveKeys(ownerId, now);
    return { keys: keys.length, bytes: keys.reduce((sum, record) => sum + quotaBytes(record), 0) };
  };

  return {
    isSuspended: (ownerId) => suspended.has(ownerId),

    setSuspended(ownerId, isSuspended) {
      if (isSuspended) suspended.add(ownerId);
      else suspended.delete(ownerId);
    },

    liveKeys,

    reserve(ownerId, quota) {
      if (suspended.has(ownerId)) throw new KeyStateError(OWNER_SUSPENDED);
      let counts = countsByOwner.get(ownerId) ?? { keys: 0, bytes: 0 };
      if (findExcess(counts, quota) !== undefined) {
        counts = recount(ownerId, quota.now);
        rejectExcess(counts, quota);
      }
      countsByOwner.set(ownerId, { keys: counts.keys + quota.keys, bytes: counts.bytes + quota.bytes });
    },
  };
}
