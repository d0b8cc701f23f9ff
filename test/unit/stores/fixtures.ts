import { createAuditEntry } from "../../../src/core/keys/audit-entry.js";
import { type AuditEntry, hashSecret, type KeyRecord } from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";

export const NOON: Date = new Date("2030-06-15T12:00:00.123Z");

export type Store = Required<ReturnType<typeof memoryStore>>;
export const freshStore = (): Store => memoryStore() as Store;

let count = 0;

export function newKey(members: Partial<KeyRecord> = {}): KeyRecord {
  count += 1;
  return {
    id: `key_${count.toString(16).padStart(32, "0")}`,
    hash: hashSecret(`secret ${count}`),
    version: 1,
    ownerId: "acme",
    environment: "live",
    start: "ezt_live_ab12",
    name: null,
    scopes: ["vehicles:read", "vehicles:write"],
    ipAllowlist: null,
    rateLimit: null,
    metadata: null,
    createdAt: NOON,
    updatedAt: NOON,
    expiresAt: null,
    lastUsedAt: null,
    disabledAt: null,
    revokedAt: null,
    revokedReason: null,
    rotatedAt: null,
    replacedBy: null,
    replaces: null,
    ...members,
  };
}

export const entryOf = (key: KeyRecord, at: Date = NOON): AuditEntry =>
  createAuditEntry("created", key, at, null);

export function added(store: Store, key: KeyRecord = newKey()): KeyRecord {
  store.insert(key, entryOf(key));
  return key;
}
