import { createAuditEntry } from "../../../src/core/keys/audit-entry.js";
import type { AuditEntry, KeyRecord } from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { sampleKey } from "../../../src/testing/fixtures.js";

export const NOON: Date = new Date("2030-06-15T12:00:00.123Z");

export type Store = Required<ReturnType<typeof memoryStore>>;
export const freshStore = (): Store => memoryStore() as Store;

let count = 0;

export function newKey(members: Partial<KeyRecord> = {}): KeyRecord {
  count += 1;
  return sampleKey({
    id: `key_${count.toString(16).padStart(32, "0")}`,
    environment: "live",
    scopes: ["vehicles:read", "vehicles:write"],
    createdAt: NOON,
    updatedAt: NOON,
    ...members,
  });
}

export const entryOf = (key: KeyRecord, at: Date = NOON): AuditEntry =>
  createAuditEntry("created", key, at, null);

export function added(store: Store, key: KeyRecord = newKey()): KeyRecord {
  store.insert(key, entryOf(key));
  return key;
}
