import { createHash } from "node:crypto";
import {
  type AuditEntry,
  defineScopes,
  hashSecret,
  type KeyRecord,
  keyFormat,
  type ManagedKeyStore,
} from "../dist/index.js";
import { createAuditEntry } from "../dist/kit.js";

/** The service that all sections use: its scopes and its key format. */
export const scopes = defineScopes({
  "vehicles:read": { description: "List and view vehicles" },
  "vehicles:write": { description: "Create and update vehicles", implies: ["vehicles:read"] },
});
export const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });
export const SCOPE = "vehicles:read";

/** A key and its secret. */
export interface Issued {
  readonly secret: string;
  readonly record: KeyRecord;
}

const STARTED_AT = Date.now() - 86_400_000;
let issued = 0;

/** Creates a key as a key manager would. */
export function newKey(change: Partial<KeyRecord> = {}): Issued {
  const secret = flat(format.generate("live"));
  const hash = hashSecret(secret);
  const createdAt = new Date(STARTED_AT + issued);
  issued += 1;
  return {
    secret,
    record: {
      id: `key_${createHash("md5").update(secret).digest("hex")}`,
      hash,
      version: 1,
      ownerId: `org_${issued % 1_000}`,
      environment: "live",
      start: flat(secret.slice(0, "ezt_live_ab12".length)),
      name: null,
      scopes: ["vehicles:read", "vehicles:write"],
      ipAllowlist: null,
      rateLimit: null,
      metadata: null,
      createdAt,
      updatedAt: createdAt,
      expiresAt: null,
      lastUsedAt: null,
      disabledAt: null,
      suspendedAt: null,
      revokedAt: null,
      revokedReason: null,
      rotatedAt: null,
      replacedBy: null,
      replaces: null,
      disabledBy: null,
      rotationRoot: null,
      createdBy: null,
      createdByKey: null,
      ...change,
    },
  };
}

/** Inserts new keys into a store. */
export async function fill(
  store: ManagedKeyStore,
  count: number,
  change?: Partial<KeyRecord>,
): Promise<readonly Issued[]> {
  const keys: Issued[] = [];
  for (let index = 0; index < count; index++) {
    const key = newKey(change);
    await store.insert(key.record, created(key.record));
    keys.push(key);
  }
  return keys;
}

export function created(record: KeyRecord): AuditEntry {
  return createAuditEntry("created", record, record.createdAt, null, {});
}

/** Returns a flat string, as an HTTP parser creates it, instead of a concatenated one. */
export function flat(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}

const ORDER_LENGTH = 2 ** 16;

/** Returns a function that picks random items, in an order that is computed in advance to keep the cost low. */
export function createPicker<T>(list: readonly T[]): () => T {
  const order = Uint32Array.from({ length: ORDER_LENGTH }, () => Math.floor(Math.random() * list.length));
  let next = 0;
  return () => {
    next = (next + 1) % ORDER_LENGTH;
    return list[order[next] as number] as T;
  };
}
