import { Redis } from "ioredis";
import { createClient } from "redis";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { createVerifier, defineScopes, hashSecret, keyFormat, StoreError } from "../../../src/index.js";
import { type RedisKeyStore, redisStore } from "../../../src/stores/redis.js";
import { at, sampleAudit, sampleKey } from "../../../src/testing/fixtures.js";
import {
  type RedisProxy,
  type RedisServer,
  startRedis,
  startRedisProxy,
  until,
} from "../../contract/stores/redis-server.js";
import { serviceOver } from "../../contract/stores/service.js";

const CREATE = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" };
const ANYTHING = { now: new Date(), limit: 1_000 };

type Client = Parameters<typeof redisStore>[0];

/** Connects a client. `queue`: whether it queues commands while it is disconnected. */
type Open = (port: number, queue?: boolean) => Promise<{ client: Client; close(): unknown }>;

const CLIENTS: [name: string, open: Open][] = [
  [
    "node-redis",
    async (port, queue = true) => {
      const client = createClient({
        socket: { host: "127.0.0.1", port, reconnectStrategy: 20 },
        disableOfflineQueue: !queue,
      });
      client.on("error", () => {}); // commands reject with their own errors
      await client.connect();
      return { client, close: () => client.destroy() };
    },
  ],
  [
    "ioredis",
    async (port, queue = true) => {
      const client = new Redis({
        port,
        lazyConnect: true,
        enableOfflineQueue: queue,
        maxRetriesPerRequest: null,
        retryStrategy: () => 20,
      });
      client.on("error", () => {}); // commands reject with their own errors
      await client.connect();
      return { client, close: () => client.disconnect() };
    },
  ],
];

// If the cluster of the tests is running, redis-server is installed.
for (const [name, open] of CLIENTS) {
  describe.skipIf(inject("servers").redisCluster === undefined)(`redisStore over ${name}`, () => {
    const closing: (() => unknown)[] = [];
    let server: RedisServer;

    afterEach(async () => {
      for (const close of closing.splice(0).reverse()) await close();
    });

    const started = async (...options: string[]): Promise<RedisKeyStore> => {
      server = await startRedis(...options);
      closing.push(server.dispose);
      return connected(server.port);
    };

    const connected = async (port: number, queue?: boolean): Promise<RedisKeyStore> => {
      const { client, close } = await open(port, queue);
      closing.push(close);
      return redisStore(client);
    };

    /** A client for direct access to the server. */
    const adminClient = (): Redis => {
      const client = new Redis({ port: server.port });
      client.on("error", () => {});
      closing.push(() => client.disconnect());
      return client;
    };

    const inserted = async (store: RedisKeyStore, key = sampleKey()) => {
      await store.insert(key, sampleAudit(key));
      return key;
    };

    const everything = async (store: RedisKeyStore) => ({
      keys: (await store.list(ANYTHING)).items,
      trail: (await store.auditTrail(ANYTHING)).items,
    });

    describe("after SCRIPT FLUSH", () => {
      it("sends the scripts again, also for concurrent calls", async () => {
        const store = await started();
        const redis = adminClient();
        const keys = await Promise.all(Array.from({ length: 20 }, () => inserted(store)));
        for (let round = 1; round <= 3; round++) {
          const changes = keys.map(({ id }, index) => {
            if (index === 10) void redis.script("FLUSH");
            return store.update(id, round, { name: `${round}` }, sampleAudit({ id, ownerId: "acme" }));
          });
          expect(await Promise.all(changes)).toEqual(keys.map(() => true));
          await redis.script("FLUSH");
          expect((await store.list(ANYTHING)).items.map((key) => key.name)).toEqual(
            keys.map(() => `${round}`),
          );
        }
        expect((await store.auditTrail(ANYTHING)).items).toHaveLength(80);
      });
    });

    describe("when its memory is full", () => {
      it("stops keys, and rejects other changes without writing anything; lookups, lists and removals work", async () => {
        const store = await started("--maxmemory-policy", "noeviction");
        const redis = adminClient();
        const [key, removed, revoked] = await Promise.all(
          [0, -1, -2].map((age) => inserted(store, sampleKey({ createdAt: at(age) }))),
        );
        if (!key || !removed || !revoked) throw new Error("unreachable");
        const before = await everything(store);
        await redis.config("SET", "maxmemory", "1");

        const [audit, next] = [sampleAudit(key), sampleKey()];
        const changes: (() => unknown)[] = [
          () => store.insert(next, audit),
          () => store.update(key.id, 1, { name: "x" }, audit),
          () => store.update(key.id, 1, { disabledAt: null }, audit),
          () => store.replace(key.id, 1, { rotatedAt: at(1) }, next, audit),
          () => store.rehash(key.id, key.hash, next.hash, audit),
          () => store.touch(new Map([[key.id, at(1)]])),
          () => store.appendAudit([audit]),
        ];
        const error = new StoreError(
          'Redis has reached its "maxmemory"; it can still revoke and disable keys',
        );
        for (const change of changes) await expect(change()).rejects.toThrow(error);
        expect(await everything(store)).toEqual(before);
        expect(await store.findByHash(key.hash)).toEqual(key);
        expect(await store.findById(key.id)).toEqual(key);
        const action = { action: "revoked", at: at(2) } as const;
        expect(await store.update(revoked.id, 1, { disabledAt: at(1) }, sampleAudit(revoked))).toBe(true);
        expect(await store.update(revoked.id, 2, { revokedAt: at(2) }, sampleAudit(revoked, action))).toBe(
          true,
        );
        expect(await store.findByHash(revoked.hash)).toMatchObject({ disabledAt: at(1), revokedAt: at(2) });
        expect((await store.auditTrail({ keyId: revoked.id, limit: 9 })).items).toHaveLength(3);
        // Removals must work, because they free memory.
        expect(await store.remove(removed.id, 1, sampleAudit(removed, { action: "purged" }))).toBe(true);
        expect((await store.auditTrail({ keyId: removed.id, limit: 9 })).items).toHaveLength(2);

        await redis.config("SET", "maxmemory", "0");
        expect(await store.update(key.id, 1, { revokedAt: at(1) }, audit)).toBe(true);
      });
    });

    describe("while it hangs", () => {
      it("bounds the lookups that wait, and serves others afterwards", async () => {
        await started();
        const proxy: RedisProxy = await startRedisProxy(server.port);
        closing.push(proxy.close);
        const store = await connected(proxy.port);
        const key = await inserted(store);
        proxy.forwardsReplies = () => false;
        const single = Array.from({ length: 600 }, () => store.findByHash(key.hash));
        const many = Array.from({ length: 600 }, () => store.findManyByHash([key.hash]));
        const settled = Promise.allSettled([...single, ...many]);
        await expect(store.findByHash(key.hash)).rejects.toThrow("More than 1000 lookups are pending");
        proxy.forwardsReplies = () => true;
        void store.findById(key.id); // makes the proxy forward what it held back
        const results = await settled;
        expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1_000);
        expect(await store.findByHash(key.hash)).toEqual(key);
      });
    });

    describe("after the server became a replica", () => {
      it("rejects every change without writing anything", async () => {
        const store = await started();
        const redis = adminClient();
        const key = await inserted(store);
        const before = await everything(store);
        await redis.call("REPLICAOF", "127.0.0.1", "1");
        const [audit, next] = [sampleAudit(key), sampleKey()];
        const changes: (() => unknown)[] = [
          () => store.insert(next, audit),
          () => store.update(key.id, 1, { revokedAt: at(1) }, audit),
          () => store.replace(key.id, 1, { rotatedAt: at(1) }, next, audit),
          () => store.remove(key.id, 1, audit),
          () => store.rehash(key.id, key.hash, next.hash, audit),
          () => store.touch(new Map([[key.id, at(1)]])),
          () => store.appendAudit([audit]),
        ];
        for (const change of changes) await expect(change()).rejects.toThrow(StoreError);
        await redis.call("REPLICAOF", "NO", "ONE");
        expect(await everything(store)).toEqual(before);
        expect(await store.update(key.id, 1, { revokedAt: at(1) }, audit)).toBe(true);
      });
    });

    describe("while a foreign script runs forever", () => {
      it("throws, and works again after the script was killed", async () => {
        const store = await started("--lua-time-limit", "50");
        const [redis, looping] = [adminClient(), adminClient()];
        await redis.ping(); // connects before Redis is busy
        const key = await inserted(store);
        const loop = looping.eval("while true do end", 0).catch((error) => `${error}`);
        await until(() =>
          redis.ping().then(
            () => false,
            () => true,
          ),
        );
        await expect(store.findByHash(key.hash)).rejects.toThrow("BUSY");
        await expect(store.update(key.id, 1, { name: "x" }, sampleAudit(key))).rejects.toThrow(StoreError);
        await redis.script("KILL");
        expect(await loop).toContain("killed");
        expect(await store.update(key.id, 1, { name: "y" }, sampleAudit(key))).toBe(true);
        expect(await store.findByHash(key.hash)).toMatchObject({ name: "y", version: 2 });
        expect((await store.auditTrail(ANYTHING)).items).toHaveLength(2);
      });
    });

    describe("while Redis is down", () => {
      it("a verifier times out, and works again when Redis is back", async () => {
        const store = await started("--appendonly", "yes");
        const scopes = defineScopes({ "vehicles:read": {} });
        const format = keyFormat({ prefix: "ezt", environments: ["live"] });
        const { secret } = await serviceOver(store).manager.create(CREATE);
        const headers = { authorization: `Bearer ${secret}` };
        const verifier = createVerifier({ store, scopes, format, storeTimeout: "100ms" });
        // A busy machine may exceed the timeout once.
        const isAllowed = () =>
          verifier.verify({ headers }).then(
            ({ ok }) => ok,
            () => false,
          );
        await until(isAllowed);
        await server.kill();
        for (let attempt = 0; attempt < 3; attempt++) {
          await expect(verifier.verify({ headers })).rejects.toThrow(StoreError);
        }
        await server.start();
        await until(isAllowed);
      });

      it("a client without an offline queue fails at once with the kind of the error", async () => {
        await started("--appendonly", "yes");
        const store = await connected(server.port, false);
        const key = await inserted(store);
        await server.kill();
        await until(async () => !(await alive(store)));
        const calls = [
          () => store.findByHash(key.hash),
          () => store.findManyByHash([key.hash]),
          () => store.findById(key.id),
          () => store.list(ANYTHING),
          () => store.update(key.id, 1, { name: "x" }, sampleAudit(key)),
          () => store.auditTrail(ANYTHING),
        ];
        for (const call of calls) {
          const error = await Promise.resolve(call()).catch((thrown) => thrown);
          expect(error).toBeInstanceOf(StoreError);
          expect(error.message).toMatch(/^Redis failed \(\w+( \w+)?\)$/);
        }
        await server.start();
        await until(() => alive(store));
        expect(await store.update(key.id, 1, { name: "y" }, sampleAudit(key))).toBe(true);
      });
    });

    it("keeps keys and audit trail consistent when Redis is killed during rotations", async () => {
      const store = await started("--appendonly", "yes", "--appendfsync", "always");
      const { manager } = serviceOver(store);
      let head = (await manager.create(CREATE)).key.id;
      let rotations = 0;
      for (let round = 0; round < 6; round++) {
        let ending = false;
        const rotate = async () => {
          for (let current = head; !ending; rotations++) current = (await manager.rotate(current)).key.id;
        };
        const rotating = rotate().catch((error) => error);
        const wanted = rotations + 1 + Math.floor(Math.random() * 30);
        await until(async () => rotations >= wanted);
        await server.kill();
        ending = true;
        await server.start();
        const failure = await rotating;
        // By default ioredis sends commands without a reply again.
        if (name === "ioredis") expect(failure).toBeUndefined();
        else if (failure !== undefined) expect(failure).toBeInstanceOf(StoreError);
        await until(() => alive(store));

        const { keys, trail } = await everything(store);
        const heads = keys.filter(({ rotatedAt }) => rotatedAt === null);
        expect(heads).toHaveLength(1);
        head = heads[0]?.id ?? "";
        const rotated = trail.filter(({ action }) => action === "rotated");
        expect(rotated.length).toBeGreaterThanOrEqual(rotations);
        expect(keys).toHaveLength(rotated.length + 1);
        expect(new Set(rotated.map(({ details }) => details.replacedBy)).size).toBe(rotated.length);
        for (const { id, replacedBy, version } of keys) {
          if (id === head) continue;
          expect(keys.find((key) => key.id === replacedBy)?.replaces).toBe(id);
          expect(version).toBe(2);
        }
        rotations = rotated.length;
      }
    });

    const alive = async (store: RedisKeyStore): Promise<boolean> => {
      try {
        await store.findById("anything");
        return true;
      } catch {
        return false;
      }
    };

    describe("through a proxy", () => {
      let proxy: RedisProxy;
      let store: RedisKeyStore;

      beforeEach(async () => {
        await started();
        proxy = await startRedisProxy(server.port);
        closing.push(proxy.close);
        store = await connected(proxy.port);
      });

      it("pipelines 64 concurrent lookups", async () => {
        const key = await inserted(store);
        proxy.forwardsReplies = (sent) => (sent.match(/\r\nget\r\n/gi) ?? []).length >= 64;
        const hashes = Array.from({ length: 64 }, (_, index) =>
          index === 40 ? key.hash : hashSecret(`${index}`),
        );
        const found = await Promise.all(hashes.map((hash) => store.findByHash(hash)));
        expect(found.map((record) => record?.id)).toEqual(
          hashes.map((hash) => (hash === key.hash ? key.id : undefined)),
        );
      });

      it("batches the lookups of 64 concurrent requests into three commands", async () => {
        const { manager, verify } = serviceOver(store);
        const secrets: string[] = [];
        for (let index = 0; index < 64; index++) secrets.push((await manager.create(CREATE)).secret);
        let all = "";
        proxy.forwardsReplies = (sent) => {
          all = sent;
          return true;
        };
        const results = await Promise.all(secrets.map((secret) => verify(secret)));
        expect(results.every(({ ok }) => ok)).toBe(true);
        expect(all.match(/\r\nm?get\r\n/gi)).toHaveLength(3);
      });

      it("applies a change once when its reply is lost, and returns true or throws", async () => {
        // Loads the scripts, so that the dropped reply is not NOSCRIPT.
        const known = await inserted(store, sampleKey({ ownerId: "other" }));
        const again = sampleKey({ ownerId: "other" });
        await store.update(known.id, 1, {}, sampleAudit(known));
        await store.replace(known.id, 2, {}, again, sampleAudit(known));
        await store.rehash(known.id, known.hash, hashSecret("known"), sampleAudit(known));
        await store.appendAudit([sampleAudit(known)]);
        await store.remove(known.id, 3, sampleAudit(known));
        await store.remove(again.id, 1, sampleAudit(again));

        const key = await inserted(store);
        const [next, other] = [sampleKey({ replaces: key.id }), sampleKey()];
        const to = hashSecret("another pepper");
        const audit = (members = {}) => sampleAudit(key, members);
        const changes: (() => unknown)[] = [
          () => store.insert(other, sampleAudit(other)),
          () => store.update(key.id, 1, { name: "x" }, audit()),
          () => store.replace(key.id, 2, { replacedBy: next.id }, next, audit()),
          () => store.rehash(key.id, key.hash, to, audit()),
          () => store.appendAudit([audit(), audit()]),
          () => store.remove(other.id, 1, sampleAudit(other)),
        ];
        for (const change of changes) {
          proxy.dropNextReply();
          const result = await Promise.resolve(change()).catch((error) => error);
          expect(result === true || result === undefined || result instanceof StoreError).toBe(true);
          // By default ioredis sends commands without a reply again.
          if (name === "ioredis") expect(result).not.toBeInstanceOf(Error);
          await until(() => alive(store));
        }
        const { keys, trail } = await everything(store);
        expect(keys.map(({ id, version }) => [id, version])).toEqual([
          [next.id, 1],
          [key.id, 3],
        ]);
        expect(await store.findByHash(to)).toMatchObject({ id: key.id, name: "x" });
        expect(trail.filter(({ ownerId }) => ownerId === "acme")).toHaveLength(8);
      });
    });
  });
}
