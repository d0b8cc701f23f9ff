// Memory and pauses of memoryStore, one JSON line for each figure:
//
//   node --expose-gc --import tsx bench/memory.ts [keys] [part]
//
// Measures 1,000,000 keys by default. Without a part, each part runs in its own process. `bytesPerKey` is the growth of
// heapUsed + external after a garbage collection.

import { execFileSync } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
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
const VERIFICATIONS = 1_000_000;

const scopes = defineScopes({ "vehicles:read": {}, "vehicles:write": {} });
const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });
const began = Date.now();

/** Parts that measure memory. Each returns what it filled, so that it is not collected. */
const MEMORY_PARTS: Readonly<Record<string, () => unknown>> = {
  "Map of records by hash": () => {
    const map = new Map<string, KeyRecord>();
    for (const key of newKeys()) map.set(key.hash, key);
    return map;
  },

  "memoryStore, keys with an audit entry each": () => filledStore(),

  "memoryStore, keys with an owner each": () =>
    filledStore((key) => ({ ...key, ownerId: `owner_${randomUUID().slice(0, 8)}` })),

  "memoryStore, keys with UUIDs as ids": () => filledStore((key) => ({ ...key, id: randomUUID() })),

  "memoryStore, keys created by a key manager": async () => {
    const store = memoryStore();
    const manager = createKeyManager({ store, scopes, format });
    for (const { ownerId } of newKeys()) {
      await manager.create({ ownerId, environment: "live", scopes: ["vehicles:read", "vehicles:write"] });
    }
    return store;
  },
};

const OTHER_PARTS: Readonly<Record<string, () => Promise<void>>> = {
  "memoryStore, keys without audit entries": measureKeys,
  "growth during verifications": measureVerifications,
  "longest insert": measureLongestInsert,
};

if (part === undefined) {
  for (const name of [...Object.keys(MEMORY_PARTS), ...Object.keys(OTHER_PARTS)]) {
    const args = [...process.execArgv, fileURLToPath(import.meta.url), keys, name];
    execFileSync(process.execPath, args, { stdio: "inherit" });
  }
} else if (Object.hasOwn(MEMORY_PARTS, part)) await measureMemory(part);
else if (Object.hasOwn(OTHER_PARTS, part)) await OTHER_PARTS[part]?.();
else throw new Error(`bench/memory.ts: unknown part "${part}"`);

async function measureMemory(name: string): Promise<void> {
  const before = usedBytes();
  const filled = await MEMORY_PARTS[name]?.();
  print(name, { bytesPerKey: round((usedBytes() - before) / KEYS) });
  if (filled === undefined) throw new Error(`bench/memory.ts: part "${name}" returned nothing`);
}

/** The memory of keys with audit entries minus that of as many audit entries. */
async function measureKeys(): Promise<void> {
  const start = usedBytes();
  const trail = memoryStore();
  let version = 0;
  for (const key of newKeys()) {
    if (version === 0) trail.insert({ ...key, id: "only" }, newEntry(key));
    else trail.update("only", version, {}, newEntry(key));
    version += 1;
  }
  const middle = usedBytes();
  const store = filledStore();
  const end = usedBytes();
  print("memoryStore, keys without audit entries", {
    bytesPerKey: round((end - middle - (middle - start)) / KEYS),
    bytesPerAuditEntry: round((middle - start) / KEYS),
  });
  for (const { list } of [trail, store]) await list({ now: new Date(), limit: 1 }); // keeps both alive
}

/** Verifies well-formed unknown secrets. */
async function measureVerifications(): Promise<void> {
  const store = filledStore();
  const verifier = createVerifier({ store, scopes, format });
  const before = usedBytes();
  for (let index = 0; index < VERIFICATIONS; index++) {
    const headers = { authorization: `Bearer ${format.generate("live")}` };
    const { ok } = await verifier.verify({ headers, remoteAddress: "192.0.2.7" }, "vehicles:read");
    if (ok) throw new Error("bench/memory.ts: an unknown secret was allowed");
  }
  print("growth during verifications", {
    verifications: VERIFICATIONS,
    megabytes: round((usedBytes() - before) / 1e6),
  });
  const { items } = await store.list({ now: new Date(), limit: 1 });
  if (items.length !== 1) throw new Error("bench/memory.ts: the store is empty");
}

/**
 * Wall-clock time of the slowest insert, garbage collection included. Yields to the event loop as a server does, where V8
 * finishes incremental marking. Needs an idle machine.
 */
async function measureLongestInsert(): Promise<void> {
  const store = memoryStore();
  const durations = new Float64Array(KEYS);
  let count = 0;
  for (const key of newKeys()) {
    const entry = newEntry(key);
    const start = performance.now();
    store.insert(key, entry);
    durations[count] = performance.now() - start;
    count += 1;
    if (count % 100 === 0) await turn();
  }
  durations.sort();
  print("longest insert", {
    milliseconds: round(durations.at(-1) ?? 0),
    p9999: round(durations[Math.floor(KEYS * 0.9999)] ?? 0),
  });
}

function print(name: string, figures: Readonly<Record<string, number>>): void {
  console.log(JSON.stringify({ part: name, keys: KEYS, ...figures }));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function usedBytes(): number {
  if (globalThis.gc === undefined) throw new Error("Run with --expose-gc");
  for (let round = 0; round < 5; round++) globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function filledStore(change = (key: KeyRecord): KeyRecord => key): ReturnType<typeof memoryStore> {
  const store = memoryStore();
  for (const created of newKeys()) {
    const key = change(created);
    store.insert(key, newEntry(key));
  }
  return store;
}

/** Generates keys as a database driver returns them: no object or string is shared between two keys. */
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
    };
  }
}

function newEntry(key: KeyRecord): AuditEntry {
  return createAuditEntry("created", key, key.createdAt, null, { scopes: [...key.scopes] });
}
