import { Redis } from "ioredis";
import { createClient } from "redis";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { createVerifier, defineScopes, hashSecret, keyFormat, StoreError } from "../../../src/index.js";
import { type RedisKeyStore, redisStore } from "../../../src/stores/redis.js";
import { at, sampleAudit, sampleKey } from "../../../src/testing/fixtures.js";
import {
  type RedisServer,
  type Relay,
  startRedis,
  startRelay,
  until,
} from "../../contract/stores/redis-server.js";
import { serviceOver } from "../../contract/stores/service.js";

const CREATE = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" };
const ANYTHING = { now: new Date(), limit: 1_000 };

type Client = Parameters<typeof redisStore>[0];

/** How a client connects; `queue`: whether it keeps commands while it is not connected. */
type Open = (port: number, queue?: boolean) => Promise<{ client: Client; close(): unknown }>;

const CLIENTS: [name: string, open: Open][] = [
  [
    "node-redis",
    async (port, queue = true) => {
      const client = createClient({
        socket: { host: "127.0.0.1", port, reconnectStrategy: 20 },
        disableOfflineQueue: !queue,
      });
      client.on("error", () => {}); // every command tells its own
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
      client.on("error", () => {}); // every command tells its own
      await client.connect();
      return { client, close: () => client.disconnect() };
    },
  ],
];

// The cluster of the tests runs on this machine, so there is a redis-server to start.
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

    /** For what the store does not do. */
    const administrator = (): Redis => {
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

    describe("when Redis has forgotten its scripts", () => {
      test("goes on, however many calls find out at once", async () => {
        const store = await started();
        const redis = administrator();
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
      test("refuses every change whole; lookups, lists and removals work", async () => {
        const store = await started("--maxmemory-policy", "noeviction");
        const redis = administrator();
        const [key, doomed] = [
          await inserted(store),
          await inserted(store, sampleKey({ createdAt: at(-1) })),
        ];
        const before = await everything(store);
        await redis.config("SET", "maxmemory", "1");

        const [audit, next] = [sampleAudit(key), sampleKey()];
        const changes: (() => unknown)[] = [
          () => store.insert(next, audit),
          () => store.update(key.id, 1, { revokedAt: at(1) }, audit),
          () => store.replace(key.id, 1, { rotatedAt: at(1) }, next, audit),
          () => store.rehash(key.id, key.hash, next.hash, audit),
          () => store.touch(new Map([[key.id, at(1)]])),
          () => store.appendAudit([audit]),
        ];
        for (const change of changes) await expect(change()).rejects.toThrow(StoreError);
        expect(await everything(store)).toEqual(before);
        expect(await store.findByHash(key.hash)).toEqual(key);
        expect(await store.findById(key.id)).toEqual(key);
        // Space is made by removing, so that must be possible.
        expect(await store.remove(doomed.id, 1, sampleAudit(doomed, { action: "purged" }))).toBe(true);
        expect((await store.auditTrail({ keyId: doomed.id, limit: 9 })).items).toHaveLength(2);

        await redis.config("SET", "maxmemory", "0");
        expect(await store.update(key.id, 1, { revokedAt: at(1) }, audit)).toBe(true);
      });
    });

    describe("when it has become a replica", () => {
      test("refuses every change whole", async () => {
        const store = await started();
        const redis = administrator();
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

    describe("while somebody else's script does not end", () => {
      test("fails, and goes on when that is killed", async () => {
        const store = await started("--lua-time-limit", "50");
        const [redis, looping] = [administrator(), administrator()];
        await redis.ping(); // while Redis is busy, nobody who connects becomes ready
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

    describe("while Redis is not there", () => {
      test("a verifier gives up in time, whatever the client does; all is well when Redis is back", async () => {
        const store = await started("--appendonly", "yes");
        const scopes = defineScopes({ "vehicles:read": {} });
        const format = keyFormat({ prefix: "ezt", environments: ["live"] });
        const { secret } = await serviceOver(store).manager.create(CREATE);
        const headers = { authorization: `Bearer ${secret}` };
        const verifier = createVerifier({ store, scopes, format, storeTimeout: "100ms" });
        // So little time may be too little on a busy machine, once.
        const passes = () =>
          verifier.verify({ headers }).then(
            ({ ok }) => ok,
            () => false,
          );
        await until(passes);
        await server.kill();
        for (let attempt = 0; attempt < 3; attempt++) {
          await expect(verifier.verify({ headers })).rejects.toThrow(StoreError);
        }
        await server.start();
        await until(passes);
      });

      test("a client that keeps nothing back fails at once, and says of what kind the failure is", async () => {
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

    test("after kill -9 of Redis in the middle of rotations, keys and audit trail agree", async () => {
      const store = await started("--appendonly", "yes", "--appendfsync", "always");
      const { manager } = serviceOver(store);
      let head = (await manager.create(CREATE)).key.id;
      let told = 0;
      for (let round = 0; round < 6; round++) {
        let ending = false;
        const rotate = async () => {
          for (let current = head; !ending; told++) current = (await manager.rotate(current)).key.id;
        };
        const rotating = rotate().catch((error) => error);
        const wanted = told + 1 + Math.floor(Math.random() * 30);
        await until(async () => told >= wanted);
        await server.kill();
        ending = true;
        await server.start();
        const failure = await rotating;
        // By default ioredis sends again what was not answered, and nobody notices.
        if (name === "ioredis") expect(failure).toBeUndefined();
        else if (failure !== undefined) expect(failure).toBeInstanceOf(StoreError);
        await until(() => alive(store));

        const { keys, trail } = await everything(store);
        const heads = keys.filter(({ rotatedAt }) => rotatedAt === null);
        expect(heads).toHaveLength(1);
        head = heads[0]?.id ?? "";
        const rotated = trail.filter(({ action }) => action === "rotated");
        expect(rotated.length).toBeGreaterThanOrEqual(told);
        expect(keys).toHaveLength(rotated.length + 1);
        expect(new Set(rotated.map(({ details }) => details.replacedBy)).size).toBe(rotated.length);
        for (const { id, replacedBy, version } of keys) {
          if (id === head) continue;
          expect(keys.find((key) => key.id === replacedBy)?.replaces).toBe(id);
          expect(version).toBe(2);
        }
        told = rotated.length;
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

    describe("through a connection that is watched", () => {
      let relay: Relay;
      let store: RedisKeyStore;

      beforeEach(async () => {
        await started();
        relay = await startRelay(server.port);
        closing.push(relay.close);
        store = await connected(relay.port);
      });

      test("64 lookups that arrive together are on their way before the first is answered", async () => {
        const key = await inserted(store);
        relay.passes = (sent) => (sent.match(/\r\nget\r\n/gi) ?? []).length >= 64;
        const hashes = Array.from({ length: 64 }, (_, index) =>
          index === 40 ? key.hash : hashSecret(`${index}`),
        );
        const found = await Promise.all(hashes.map((hash) => store.findByHash(hash)));
        expect(found.map((record) => record?.id)).toEqual(
          hashes.map((hash) => (hash === key.hash ? key.id : undefined)),
        );
      });

      test("64 requests that arrive together are one command", async () => {
        const { manager, verify } = serviceOver(store);
        const secrets: string[] = [];
        for (let index = 0; index < 64; index++) secrets.push((await manager.create(CREATE)).secret);
        let all = "";
        relay.passes = (sent) => {
          all = sent;
          return true;
        };
        const results = await Promise.all(secrets.map((secret) => verify(secret)));
        expect(results.every(({ ok }) => ok)).toBe(true);
        expect(all.match(/\r\nm?get\r\n/gi)).toHaveLength(1);
      });

      test("a change whose answer is lost is made once, and answered by true or an error", async () => {
        // So that Redis knows the scripts, and the first answer is not that it does not.
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
          relay.loseNextAnswer();
          const answer = await Promise.resolve(change()).catch((error) => error);
          expect(answer === true || answer === undefined || answer instanceof StoreError).toBe(true);
          // By default ioredis sends again what was not answered.
          if (name === "ioredis") expect(answer).not.toBeInstanceOf(Error);
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
