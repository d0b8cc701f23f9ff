// What keys take in memory.
//
//   node --expose-gc --import tsx bench/memory.ts [keys] [part]
//
// 1,000,000 keys by default, and every part, each in a process of its own. A figure is the growth of heapUsed +
// external after garbage collection. Node counts array buffers in `external`, and again in `arrayBuffers`; the
// sum of all three, which counts them twice, stands in brackets.

import { execFileSync } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { createAuditEntry } from "../src/core/keys/audit-entry.js";
import {
  type AuditEntry,
  createKeyManager,
  createVerifier,
  defineScopes,
  hashSecret,
  type KeyRecord,
  keyFormat,
} from "../src/index.js";
import { memoryStore } from "../src/stores/memory.js";

const [keys = "1000000", part] = process.argv.slice(2);
const KEYS = Number(keys);
const OWNERS = 1_000;
const LOOK_UPS = 1_000_000;

const scopes = defineScopes({ "vehicles:read": {}, "vehicles:write": {} });
const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });
const began = Date.now();

/** Each part answers what it has filled, so that it is still there when it is measured. */
const PARTS: Readonly<Record<string, () => unknown>> = {
  "a Map of records by their hash": () => {
    const map = new Map<string, KeyRecord>();
    for (const key of newKeys()) map.set(key.hash, key);
    return map;
  },

  "memoryStore, with an audit entry for each key": () => {
    const store = memoryStore();
    for (const key of newKeys()) store.insert(key, newEntry(key));
    return store;
  },

  "memoryStore, the audit entries alone": () => {
    const store = memoryStore();
    let version = 0;
    for (const key of newKeys()) {
      if (version === 0) store.insert({ ...key, id: "only" }, newEntry(key));
      else store.update("only", version, {}, newEntry(key));
      version += 1;
    }
    return store;
  },

  "memoryStore, with an owner of its own for each key": () => {
    const store = memoryStore();
    for (const key of newKeys()) {
      const owned = { ...key, ownerId: `owner_${randomUUID().slice(0, 8)}` };
      store.insert(owned, newEntry(owned));
    }
    return store;
  },

  "memoryStore, with ids of another form": () => {
    const store = memoryStore();
    for (const key of newKeys()) {
      const named = { ...key, id: randomUUID() };
      store.insert(named, newEntry(named));
    }
    return store;
  },

  "memoryStore, filled by createKeyManager().create()": async () => {
    const store = memoryStore();
    const manager = createKeyManager({ store, scopes, format });
    for (const { ownerId } of newKeys()) {
      await manager.create({ ownerId, environment: "live", scopes: ["vehicles:read", "vehicles:write"] });
    }
    return store;
  },
};

if (part === undefined) {
  for (const name of [...Object.keys(PARTS), "lookups"]) {
    const args = [...process.execArgv, fileURLToPath(import.meta.url), keys, name];
    execFileSync(process.execPath, args, { stdio: "inherit" });
  }
} else if (part === "lookups") await measureLookUps();
else await measure(part);

async function measure(name: string): Promise<void> {
  const before = used();
  const filled = await PARTS[name]?.();
  const after = used();
  const once = (after.once - before.once) / KEYS;
  const twice = (after.twice - before.twice) / KEYS;
  console.log(`${once.toFixed(1).padStart(7)} (${twice.toFixed(1)}) bytes a key: ${name}`);
  if (filled === undefined) throw new Error(`There is no part ${name}`);
}

/** Verifies secrets that are well-formed and unknown. */
async function measureLookUps(): Promise<void> {
  const store = memoryStore();
  for (const key of newKeys()) store.insert(key, newEntry(key));
  const verifier = createVerifier({ store, scopes, format });
  const before = used();
  for (let index = 0; index < LOOK_UPS; index++) {
    const headers = { authorization: `Bearer ${format.generate("live")}` };
    const { ok } = await verifier.verify({ headers, remoteAddress: "192.0.2.7" }, "vehicles:read");
    if (ok) throw new Error("An unknown secret was let in");
  }
  const growth = (used().once - before.once) / 1e6;
  const { items } = await store.list({ now: new Date(), limit: 1 });
  if (items.length !== 1) throw new Error("The keys are gone");
  console.log(`${growth.toFixed(1).padStart(7)} MB more after ${LOOK_UPS} verifications of unknown secrets`);
}

function used(): { readonly once: number; readonly twice: number } {
  if (globalThis.gc === undefined) throw new Error("Run with --expose-gc");
  for (let round = 0; round < 5; round++) globalThis.gc();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return { once: heapUsed + external, twice: heapUsed + external + arrayBuffers };
}

/** Keys as a database's driver would hand them over: nothing in one is shared with another. */
function* newKeys(): Generator<KeyRecord> {
  for (let index = 0; index < KEYS; index++) {
    const secret = format.generate("live");
    yield {
      id: `key_${randomBytes(16).toString("hex")}`,
      hash: hashSecret(secret),
      version: 1,
      ownerId: `org_${index % OWNERS}`,
      environment: JSON.parse('"live"'),
      start: Buffer.from(secret.slice(0, "ezt_live_ab12".length)).toString(),
      name: null,
      scopes: JSON.parse('["vehicles:read","vehicles:write"]'),
      ipAllowlist: null,
      rateLimit: null,
      metadata: null,
      createdAt: new Date(began + index),
      updatedAt: new Date(began + index),
      expiresAt: null,
      lastUsedAt: null,
      disabledAt: null,
      revokedAt: null,
      revokedReason: null,
      rotatedAt: null,
      replacedBy: null,
      replaces: null,
    };
  }
}

function newEntry(key: KeyRecord): AuditEntry {
  return createAuditEntry("created", key, key.createdAt, null, { scopes: [...key.scopes] });
}
