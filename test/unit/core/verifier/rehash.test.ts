import { createHash } from "node:crypto";
import { inspect } from "node:util";
import { describe, expect, it, vi } from "vitest";
import {
  createKeyManager,
  createVerifier,
  hashSecret,
  type KeyEvent,
  type KeyHash,
  type LegacyHash,
  type ManagedKeyStore,
  type Pepper,
  StoreError,
  type VerifierOptions,
} from "../../../../src/index.js";
import { memoryStore } from "../../../../src/stores/memory.js";
import { allowed, bearer, type FleetScope, format, scopes, sleep } from "../fixtures.js";

const INPUT = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" } as const;
const V1 = "the first pepper, long enough";
const V2 = "the second pepper, long enough";
const OLD: Pepper = V1;
const LONG_MS = 60_000;
const NEW: Pepper = { current: "v2", keys: { v1: V1, v2: V2 } };

async function issued(pepper?: Pepper) {
  const store = memoryStore();
  const manager = createKeyManager({ store, scopes, format, ...(pepper === undefined ? {} : { pepper }) });
  return { store, manager, ...(await manager.create(INPUT)) };
}

function verifying(store: ManagedKeyStore, more: Partial<VerifierOptions<FleetScope>>) {
  const events: KeyEvent[] = [];
  const observers = [(event: KeyEvent) => events.push(event)];
  const verifier = createVerifier({ store, scopes, format, observers, ...more });
  const background = () => events.filter(({ type }) => !type.startsWith("auth."));
  return { verify: (secret: string) => verifier.verify(bearer(secret)), background };
}

describe("a key under an older hash", () => {
  it("of an older pepper works and moves to the current one when it is used", async () => {
    const { store, manager, secret, key } = await issued(OLD);
    const { verify, background } = verifying(store, { pepper: NEW });
    expect(allowed(await verify(secret)).id).toBe(key.id);
    await vi.waitFor(() => expect(store.findByHash(hashSecret(secret, NEW))).toBeDefined(), LONG_MS);
    expect(store.findByHash(hashSecret(secret, OLD))).toBeUndefined();
    expect(allowed(await verify(secret)).id).toBe(key.id);
    expect(background()).toMatchObject([
      { type: "key.rehashed", keyId: key.id, ownerId: "acme", details: { from: "v1", to: "v2" } },
    ]);
    const { items } = await manager.auditTrail({ keyId: key.id });
    expect(items.map(({ action }) => action).sort()).toEqual(["created", "rehashed"]);
    // The old pepper is no longer needed.
    const later = verifying(store, { pepper: { current: "v2", keys: { v2: V2 } } });
    expect((await later.verify(secret)).ok).toBe(true);
  });

  it("from before there was a pepper works and moves with unpeppered", async () => {
    const { store, secret } = await issued();
    expect((await verifying(store, { pepper: V1 }).verify(secret)).ok).toBe(false);
    const pepper = { current: "v1", keys: { v1: V1 }, unpeppered: true };
    const { verify, background } = verifying(store, { pepper });
    expect((await verify(secret)).ok).toBe(true);
    await vi.waitFor(() => expect(background()).toHaveLength(1), LONG_MS);
    expect(background()).toMatchObject([{ details: { from: "plain SHA-256", to: "v1" } }]);
    expect((await verifying(store, { pepper: V1 }).verify(secret)).ok).toBe(true);
  });

  it("that was imported works by its legacy hash and moves", async () => {
    const store = memoryStore();
    const legacy: LegacyHash = {
      name: "old",
      hash: async (secret) => createHash("sha512").update(secret).digest("base64"),
    };
    const manager = createKeyManager({ store, scopes, format, legacyHashes: [legacy] });
    const secret = "acct-1234567-abcdefghijkl";
    const hash = (await legacy.hash(secret)) as string;
    const key = await manager.import({ hash, hashedBy: "old", ownerId: "acme", scopes: ["vehicles:read"] });
    const old = { parse: (text: string) => (/^acct-\d+-[a-z]{12}$/.test(text) ? {} : undefined) };
    const { verify, background } = verifying(store, { format: [format, old], legacyHashes: [legacy] });
    expect(allowed(await verify(secret)).id).toBe(key.id);
    await vi.waitFor(() => expect(background()).toMatchObject([{ type: "key.rehashed" }]), LONG_MS);
    expect(allowed(await verifying(store, { format: old }).verify(secret)).id).toBe(key.id);
    expect((await verify("acct-1234567-abcdefghijkm")).ok).toBe(false);
  });

  it("stays with rehash: false, or if the store has no rehash", async () => {
    for (const without of [{ rehash: false }, {}]) {
      const { store, secret } = await issued(OLD);
      const { rehash, ...rest } = store;
      const kept = "rehash" in without ? store : (rest as ManagedKeyStore);
      const { verify, background } = verifying(kept, { pepper: NEW, ...without });
      expect(rehash).toBeTypeOf("function");
      for (let i = 0; i < 3; i++) expect((await verify(secret)).ok).toBe(true);
      await sleep(5);
      expect(background()).toEqual([]);
      expect(store.findByHash(hashSecret(secret, OLD))).toBeDefined();
    }
  });

  it("does not move if the request is denied", async () => {
    const { store, manager, secret, key } = await issued(OLD);
    await manager.disable(key.id);
    const { verify, background } = verifying(store, { pepper: NEW });
    expect((await verify(secret)).ok).toBe(false);
    await sleep(5);
    expect(background()).toEqual([]);
    expect(store.findByHash(hashSecret(secret, OLD))).toBeDefined();
  });

  it("does not include a key under the current hash", async () => {
    const { store, secret } = await issued(NEW);
    const rehash = vi.fn(() => true);
    const { verify } = verifying({ ...store, rehash }, { pepper: NEW });
    for (let i = 0; i < 3; i++) expect((await verify(secret)).ok).toBe(true);
    expect(rehash).not.toHaveBeenCalled();
  });
});

describe("a failed move", () => {
  it.each<[string, () => never | Promise<boolean>]>([
    [
      "throws",
      () => {
        throw new Error("read-only");
      },
    ],
    ["rejects", () => Promise.reject(new Error("read-only"))],
    ["hangs", () => new Promise(() => {})],
  ])("of a store that %s is reported, decides nothing and pauses further moves", async (_, rehash) => {
    const { store, secret, key } = await issued(OLD);
    const failing = vi.fn(rehash);
    const { verify, background } = verifying(
      { ...store, rehash: failing },
      { pepper: NEW, storeTimeout: "20ms" },
    );
    expect((await verify(secret)).ok).toBe(true);
    await vi.waitFor(() => expect(background()).toHaveLength(1), LONG_MS);
    expect(background()).toMatchObject([
      { type: "background.failed", task: "rehash", keyId: key.id, error: expect.any(StoreError) },
    ]);
    for (let i = 0; i < 5; i++) expect((await verify(secret)).ok).toBe(true);
    expect(failing).toHaveBeenCalledOnce();
    for (const hidden of [secret, hashSecret(secret, OLD), hashSecret(secret, NEW)]) {
      expect(inspect(background(), { depth: 9, getters: true })).not.toContain(hidden);
    }
  });

  it("does not include a move that another process made first", async () => {
    const { store, secret } = await issued(OLD);
    const rehash = vi.fn(async () => false);
    const { verify, background } = verifying({ ...store, rehash }, { pepper: NEW });
    for (let i = 1; i < 3; i++) {
      expect((await verify(secret)).ok).toBe(true);
      await sleep(5);
      expect(rehash).toHaveBeenCalledTimes(i);
    }
    expect(background()).toEqual([]);
  });
});

it("a process with an older current pepper moves no key back", async () => {
  const { store, secret, manager, key } = await issued(OLD);
  const before = verifying(store, { pepper: { current: "v1", keys: { v1: V1, v2: V2 } } });
  const after = verifying(store, { pepper: NEW });
  for (let i = 0; i < 10; i++) {
    for (const { verify } of [before, after]) expect((await verify(secret)).ok).toBe(true);
    await sleep(1);
  }
  const { items } = await manager.auditTrail({ keyId: key.id });
  expect(items.map(({ action }) => action).sort()).toEqual(["created", "rehashed"]);
});

it("a store that does not return a boolean is reported once", async () => {
  const { store, secret } = await issued(OLD);
  const rehash = vi.fn(async () => undefined as never);
  const { verify, background } = verifying({ ...store, rehash }, { pepper: NEW });
  for (let i = 0; i < 5; i++) {
    expect((await verify(secret)).ok).toBe(true);
    await sleep(1);
  }
  expect(rehash).toHaveBeenCalledOnce();
  const error = new StoreError("The key store did not return whether it moved the key");
  expect(background()).toMatchObject([{ type: "background.failed", error }]);
});

it("at most a hundred keys move concurrently, each once, and the others later", async () => {
  const store = memoryStore();
  const manager = createKeyManager({ store, scopes, format, pepper: OLD });
  const moving = new Map<string, () => void>();
  const rehash = vi.fn(
    (id: string) => new Promise<boolean>((resolve) => moving.set(id, () => resolve(true))),
  );
  const secrets: string[] = [];
  for (let i = 0; i < 102; i++) secrets.push((await manager.create(INPUT)).secret);
  const { verify, background } = verifying({ ...store, rehash }, { pepper: NEW, storeTimeout: "60000ms" });
  for (let round = 0; round < 2; round++) {
    for (const secret of secrets) expect((await verify(secret)).ok).toBe(true);
    expect([rehash.mock.calls.length, moving.size]).toEqual([100, 100]);
  }
  for (const done of moving.values()) done();
  await sleep(5);
  expect(background()).toHaveLength(100);
  for (const secret of secrets.slice(100)) expect((await verify(secret)).ok).toBe(true);
  expect(moving.size).toBe(102);
  for (const done of moving.values()) done();
});

it("concurrent requests move a key once and are all allowed", async () => {
  const { store, secret } = await issued(OLD);
  const later = <T>(value: T) => new Promise<T>((resolve) => setTimeout(resolve, Math.random() * 3, value));
  const slow: ManagedKeyStore = {
    ...store,
    findByHash: async (hash: KeyHash) => later(await store.findByHash(hash)),
    rehash: async (...move) => {
      await later(undefined);
      return store.rehash?.(...move) ?? false;
    },
  };
  const { verify, background } = verifying(slow, { pepper: NEW, storeTimeout: "60000ms" });
  for (let round = 0; round < 20; round++) {
    const results = await Promise.all(Array.from({ length: 20 }, () => verify(secret)));
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
  }
  expect(background().map(({ type }) => type)).toEqual(["key.rehashed"]);
});

it.each([["yes"], [1], [null]])("the option rehash rejects %j", (rehash) => {
  expect(() => verifying(memoryStore(), { rehash: rehash as never })).toThrow('"rehash"');
});
