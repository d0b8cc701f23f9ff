import { inspect } from "node:util";
import { Cluster, Redis } from "ioredis";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { hashSecret, type KeyRecord, KeyStateError, StoreError } from "../../../src/index.js";
import { type RedisKeyStore, type RedisStoreOptions, redisStore } from "../../../src/stores/redis.js";
import { at, fullKey, NOON, sampleAudit, sampleKey } from "../../../src/testing/fixtures.js";
import { keyStoreContract } from "../../../src/testing/index.js";
import { type OpenRedisStore, redisBackends } from "./backends/redis.js";
import { until } from "./redis-server.js";
import { serviceOver } from "./service.js";

const CREATE = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" };
const DAY_MS = 86_400_000;

const { redis, redisCluster } = inject("servers");

for (const { name, missing, create, open, drop } of redisBackends(redis, redisCluster)) {
  describe.skipIf(missing)(`${name}: contract`, () => {
    const opened = async () => {
      const { store, place, close } = await create();
      return {
        store,
        close: async () => {
          await close();
          await drop(place);
        },
      };
    };
    for (const { name, run } of keyStoreContract(opened)) it(name, run);
  });

  describe.skipIf(missing)(name, () => {
    let opened: OpenRedisStore;
    let store: RedisKeyStore;
    let server: Redis | Cluster;
    let p: string;

    beforeEach(async () => {
      opened = await create();
      store = opened.store;
      p = `{${opened.prefix}}`;
      const [url = ""] = opened.urls;
      server = opened.urls.length > 1 ? new Cluster([...opened.urls]) : new Redis(url);
    });

    afterEach(async () => {
      await server.quit();
      await opened.close();
      await drop(opened.place);
    });

    const inserted = async (key = fullKey()) => {
      await store.insert(key, sampleAudit(key));
      return key;
    };

    const over = (options: RedisStoreOptions) =>
      redisStore(opened.client, { prefix: opened.prefix, ...options });

    it("reads, disables, rotates and removes a record of version 0.1, which lacks later members", async () => {
      const key = await inserted(sampleKey());
      const name = `${p}:key:${key.hash}`;
      const record = (await server.get(name)) as string;
      const old = record.replace(/\n,"(disabledBy|rotationRoot|createdBy|createdByKey)":null/g, "");
      expect(old.length).toBeLessThan(record.length - 60);
      await server.set(name, old);
      expect(await store.findByHash(key.hash)).toEqual(key);
      const change = { disabledAt: at(1), disabledBy: "operator" } as const;
      expect(await store.update(key.id, 1, change, sampleAudit(key))).toBe(true);
      expect(await store.findById(key.id)).toEqual({ ...key, ...change, version: 2 });
      expect(await store.update(key.id, 2, { disabledBy: "owner" }, sampleAudit(key))).toBe(true);
      const successor = sampleKey({ rotationRoot: key.id });
      expect(await store.replace(key.id, 3, { rotatedAt: at(2) }, successor, sampleAudit(key))).toBe(true);
      expect(await store.findById(key.id)).toMatchObject({
        disabledBy: "owner",
        rotatedAt: at(2),
        version: 4,
      });
      await store.insert(sampleKey({ createdByKey: key.id }), sampleAudit(key));
      expect(await store.remove(key.id, 4, sampleAudit(key))).toBe(true);
    });

    const exists = async (...names: string[]) => server.exists(...names.map((one) => `${p}:${one}`));

    it("issues, verifies, restricts, rotates and revokes keys", async () => {
      let now = new Date("2030-01-01T00:00:00Z");
      const { manager, verify } = serviceOver(store, () => now);
      const { secret, key } = await manager.create({ ...CREATE, ipAllowlist: ["192.0.2.0/24"] });
      expect(await verify(secret)).toMatchObject({ ok: true, principal: { id: key.id, ownerId: "acme" } });
      expect(await verify(secret, "198.51.100.1")).toMatchObject({ error: { code: "ip_not_allowed" } });

      const { secret: next, key: successor } = await manager.rotate(key.id, { overlap: "1h" });
      expect([(await verify(secret)).ok, (await verify(next)).ok]).toEqual([true, true]);
      now = new Date("2030-01-01T01:00:00Z");
      expect([(await verify(secret)).ok, (await verify(next)).ok]).toEqual([false, true]);

      await manager.revoke(successor.id, { reason: "leaked", actor: "ada" });
      expect((await verify(next)).ok).toBe(false);
      const { items } = await manager.auditTrail();
      expect(items.map(({ action }) => action)).toEqual(["revoked", "rotated", "created"]);
    });

    it("has one winner of 50 rotations over two connections", async () => {
      const other = await open(opened.place);
      const services = [serviceOver(store), serviceOver(other.store)] as const;
      const { key } = await services[0].manager.create(CREATE);
      const rotations = Array.from({ length: 50 }, (_, i) =>
        services[i % 2 === 0 ? 0 : 1].manager.rotate(key.id),
      );
      const results = await Promise.allSettled(rotations);
      const lost = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
      expect(lost).toHaveLength(49);
      for (const reason of lost) expect(reason).toBeInstanceOf(KeyStateError);
      expect((await store.list({ now: new Date(), limit: 100 })).items).toHaveLength(2);
      await other.close();
    });

    it("separates stores with different prefixes", async () => {
      const other = await create();
      const key = await inserted();
      expect(await other.store.findByHash(key.hash)).toBeUndefined();
      await other.store.insert(key, sampleAudit(key));
      expect(await other.store.remove(key.id, key.version, sampleAudit(key))).toBe(true);
      expect(await store.findById(key.id)).toEqual(key);
      expect((await store.auditTrail({ limit: 10 })).items).toHaveLength(1);
      await other.close();
      await drop(other.place);
    });

    it("deletes everything of a removed key except its audit trail, and does not recreate it by a touch", async () => {
      const key = await inserted();
      expect(await store.remove(key.id, key.version, sampleAudit(key))).toBe(true);
      await store.touch(new Map([[key.id, new Date()]]));
      expect(await exists("keys", "owner:acme", `id:${key.id}`, `key:${key.hash}`)).toBe(0);
      expect(await exists("audit", `audit:key:${key.id}`, "audit:owner:acme")).toBe(3);
      expect(await store.rehash(key.id, key.hash, hashSecret("other"), sampleAudit(key))).toBe(false);
      expect((await store.auditTrail({ limit: 10 })).items).toHaveLength(2);
    });

    it("distinguishes strings with the same UTF-8 encoding", async () => {
      const [a, b] = ["\ud800", "\udfff"].map((end) =>
        fullKey({ id: `key ${end}`, ownerId: `owner ${end}` }),
      );
      await inserted(a as KeyRecord);
      await inserted(b as KeyRecord);
      for (const key of [a, b] as KeyRecord[]) {
        expect(await store.findById(key.id)).toEqual(key);
        const { items } = await store.list({ ownerId: key.ownerId, now: NOON, limit: 10 });
        expect(items).toEqual([key]);
        const trail = await store.auditTrail({ keyId: key.id, limit: 10 });
        expect(trail.items.map(({ keyId, ownerId }) => [keyId, ownerId])).toEqual([[key.id, key.ownerId]]);
      }
      const awkward = sampleKey({ id: 'a\u2028b\u2029\0\r\n\t\u000b"\\' });
      await store.insert(awkward, sampleAudit(awkward, { id: awkward.id, at: at(1) }));
      expect((await store.auditTrail({ limit: 1 })).items[0]?.id).toBe(awkward.id);
      expect((await store.list({ now: NOON, limit: 10 })).items).toContainEqual(awkward);
      expect(await store.findById("key \ufffd")).toBeUndefined();
    });

    it("touches more keys than fit into one script", async () => {
      const keys = Array.from({ length: 1_203 }, () => sampleKey());
      await Promise.all(keys.map(inserted));
      await store.touch(new Map(keys.map(({ id }, index) => [id, new Date(index + 1)])));
      const { items } = await store.list({ now: NOON, limit: 2_000 });
      const uses = new Map(items.map(({ id, lastUsedAt }) => [id, lastUsedAt?.getTime()]));
      expect(keys.map(({ id }) => uses.get(id))).toEqual(keys.map((_, index) => index + 1));
    });

    it("filters many keys page by page", async () => {
      const keys = Array.from({ length: 1_000 }, (_, index) =>
        sampleKey({
          createdAt: at(Math.floor(index / 90)),
          environment: index % 300 === 7 ? "test" : "live",
          expiresAt: index % 250 === 3 ? at(-index) : null,
        }),
      );
      await Promise.all(keys.map(inserted));
      const found = async (query: object, limit: number) => {
        const seen: string[] = [];
        for (let cursor: string | undefined; ; ) {
          const page = await store.list({ now: NOON, limit, cursor, ...query });
          seen.push(...page.items.map(({ id }) => id));
          cursor = page.nextCursor;
          if (cursor === undefined) return seen;
        }
      };
      const ids = (matches: (key: KeyRecord) => boolean) =>
        keys
          .filter(matches)
          .map(({ id }) => id)
          .reverse();
      for (const limit of [1, 3, 4, 1_000]) {
        expect(await found({ environment: "test" }, limit)).toEqual(ids((key) => key.environment === "test"));
        const ended = ids((key) => key.expiresAt !== null);
        expect(await found({ endedBefore: NOON }, limit)).toEqual(ended);
        expect(await found({ status: "expired", ownerId: "acme" }, limit)).toEqual(ended);
      }
    });

    it("rejects times that cannot be sorted", async () => {
      const key = sampleKey({ createdAt: new Date(-1) });
      await expect(store.insert(key, sampleAudit(key))).rejects.toThrow(StoreError);
      const other = sampleKey();
      await expect(store.insert(other, sampleAudit(other, { at: new Date(-1) }))).rejects.toThrow(StoreError);
      await expect(store.insert(other, sampleAudit(other, { at: new Date(Number.NaN) }))).rejects.toThrow();
      expect((await store.list({ now: NOON, limit: 10 })).items).toEqual([]);
      const latest = sampleKey({ createdAt: new Date(8.64e15) });
      await inserted(latest);
      expect((await store.list({ now: NOON, limit: 10 })).items).toEqual([latest]);
    });

    it("does not take an existing audit entry for a repeated change", async () => {
      const key = sampleKey({ version: 2 });
      const audit = sampleAudit(key);
      await store.insert(key, audit);
      for (const version of [4, 5, 100]) {
        expect(await store.update(key.id, version, { name: "x" }, audit)).toBe(false);
        expect(await store.replace(key.id, version, {}, sampleKey(), audit)).toBe(false);
        expect(await store.remove(key.id, version, audit)).toBe(false);
      }
      expect(await store.rehash(key.id, hashSecret("x"), hashSecret("y"), audit)).toBe(false);
      await expect(store.insert(sampleKey(), audit)).rejects.toThrow("An audit entry of this id exists");
      const same = sampleKey({ id: key.id });
      await expect(store.insert(same, sampleAudit(same))).rejects.toThrow("A key of this id or hash exists");
      expect((await store.list({ now: NOON, limit: 10 })).items).toEqual([key]);
    });

    it("reports the kind of an error and never a hash", async () => {
      const key = await inserted();
      const name = `${p}:key:${key.hash}`;
      await server.del(name);
      await server.rpush(name, "foreign");
      const calls = [
        async () => store.findByHash(key.hash),
        async () => store.findById(key.id),
        async () => store.insert(key, sampleAudit(key)),
        async () => store.update(key.id, key.version, {}, sampleAudit(key)),
        async () => store.rehash(key.id, key.hash, hashSecret("x"), sampleAudit(key)),
      ];
      for (const call of calls) {
        const error = await call().catch((thrown) => thrown);
        expect(error).toBeInstanceOf(StoreError);
        const printed = [
          inspect(error, { depth: 10, showHidden: true, getters: true }),
          error.stack,
          String(error),
          JSON.stringify(error),
        ].join();
        expect(printed).not.toContain(key.hash);
        expect(printed).not.toContain(p);
      }
      await expect(store.findByHash(key.hash)).rejects.toThrow("WRONGTYPE");
    });

    describe("with deleteRevokedAfter", () => {
      it("deletes a revoked key after that time and keeps its audit trail", async () => {
        const short = over({ deleteRevokedAfter: "300ms" });
        const [key, other] = [await inserted(sampleKey()), await inserted(sampleKey())];
        expect(await short.update(key.id, 1, { revokedAt: new Date() }, sampleAudit(key))).toBe(true);
        await until(async () => (await short.findByHash(key.hash)) === undefined);
        await until(async () => (await short.findById(key.id)) === undefined);
        expect(await server.zcard(`${p}:keys`)).toBe(2);
        expect((await store.list({ ownerId: "acme", now: NOON, limit: 10 })).items).toEqual([other]);
        expect(await server.zcard(`${p}:keys`)).toBe(1);
        expect(await server.zcard(`${p}:owner:acme`)).toBe(1);
        expect((await store.auditTrail({ keyId: key.id, limit: 10 })).items).toHaveLength(2);
        expect(await short.update(key.id, 2, {}, sampleAudit(key))).toBe(false);
      });

      it("sets the expiry of the record and of its id", async () => {
        const long = over({ deleteRevokedAfter: "90d" });
        const revokedAt = new Date(Date.now() - DAY_MS);
        const [updated, created, replaced, kept] = [
          sampleKey(),
          sampleKey({ revokedAt }),
          sampleKey(),
          sampleKey(),
        ];
        for (const key of [updated, created, replaced, kept]) await long.insert(key, sampleAudit(key));
        await long.update(updated.id, 1, { revokedAt }, sampleAudit(updated));
        const [successor, revokedSuccessor] = [sampleKey(), sampleKey({ revokedAt })];
        await long.replace(replaced.id, 1, { revokedAt }, successor, sampleAudit(replaced));
        await long.replace(kept.id, 1, {}, revokedSuccessor, sampleAudit(kept));
        const ttls = async (key: KeyRecord) => [
          await server.pttl(`${p}:key:${key.hash}`),
          await server.pttl(`${p}:id:${key.id}`),
        ];
        const isExpected = (milliseconds = 0) => Math.abs(milliseconds - 89 * DAY_MS) < 60_000;
        for (const key of [updated, created, replaced, revokedSuccessor])
          expect((await ttls(key)).every(isExpected), key.id).toBe(true);
        for (const key of [kept, successor]) expect(await ttls(key)).toEqual([-1, -1]);

        // Later changes do not extend it.
        const to = hashSecret("another pepper");
        await store.touch(new Map([[updated.id, new Date()]]));
        await store.update(updated.id, 2, { name: "x" }, sampleAudit(updated));
        expect((await ttls(updated)).every(isExpected)).toBe(true);
        expect(await store.rehash(updated.id, updated.hash, to, sampleAudit(updated))).toBe(true);
        expect((await ttls({ ...updated, hash: to })).every(isExpected)).toBe(true);
        expect(await store.update(updated.id, 3, { revokedAt: null }, sampleAudit(updated))).toBe(true);
        expect(await ttls({ ...updated, hash: to })).toEqual([-1, -1]);
      });

      it("deletes a key that was revoked longer ago at once", async () => {
        const long = over({ deleteRevokedAfter: "90d" });
        const key = await inserted(sampleKey());
        const revokedAt = new Date(Date.now() - 91 * DAY_MS);
        expect(await long.update(key.id, 1, { revokedAt }, sampleAudit(key))).toBe(true);
        expect(await long.findByHash(key.hash)).toBeUndefined();
        expect(await long.findById(key.id)).toBeUndefined();
        expect((await long.list({ now: NOON, limit: 10 })).items).toEqual([]);
        await inserted({ ...key, ownerId: "globex" });
        expect((await long.list({ ownerId: "acme", now: NOON, limit: 10 })).items).toEqual([]);
        expect((await long.list({ now: NOON, limit: 10 })).items).toHaveLength(1);
      });

      it("lists a key once that was inserted again with the id of a deleted one", async () => {
        const long = over({ deleteRevokedAfter: "90d" });
        const key = await inserted(sampleKey());
        await long.update(key.id, 1, { revokedAt: new Date(0) }, sampleAudit(key));
        const again = await inserted(sampleKey({ id: key.id, createdAt: at(-9) }));
        for (const ownerId of ["acme", undefined]) {
          expect((await long.list({ ownerId, now: NOON, limit: 10 })).items).toEqual([again]);
        }
        expect(await server.zcard(`${p}:keys`)).toBe(1);
      });
    });

    it.each([10, 5_000])("returns the metadata of a record as it is now: %i characters", async (length) => {
      const note = (letter: string) => ({ note: { text: letter.repeat(length) } });
      const key = await inserted(sampleKey({ metadata: note("a") }));
      for (const _ of [1, 2]) expect((await store.findByHash(key.hash))?.metadata).toEqual(note("a"));
      await store.update(key.id, 1, { metadata: note("b") }, sampleAudit(key));
      for (const _ of [1, 2]) expect((await store.findByHash(key.hash))?.metadata).toEqual(note("b"));
    });

    it("returns the same frozen array for equal allowlists", async () => {
      const ipAllowlist = ["192.0.2.0/24"];
      const [a, b] = [await inserted(sampleKey({ ipAllowlist })), await inserted(sampleKey({ ipAllowlist }))];
      const first = (await store.findByHash(a.hash))?.ipAllowlist;
      expect(Object.isFrozen(first)).toBe(true);
      expect((await store.findByHash(b.hash))?.ipAllowlist).toBe(first);
      await store.update(a.id, 1, { ipAllowlist: ["192.0.2.1"] }, sampleAudit(a));
      expect((await store.findByHash(a.hash))?.ipAllowlist).toEqual(["192.0.2.1"]);
    });
  });
}
