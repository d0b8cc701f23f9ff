import { Cluster, Redis } from "ioredis";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { hashSecret, type KeyRecord, StoreError } from "../../../src/index.js";
import type { RedisKeyStore } from "../../../src/stores/redis.js";
import { at, fullKey, NOON, sampleAudit, sampleKey } from "../../../src/testing/fixtures.js";
import { type OpenRedisStore, redisBackends } from "../../contract/stores/backends/redis.js";
import { serviceOver } from "../../contract/stores/service.js";

const CREATE = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" };

const { redis, redisCluster } = inject("servers");

for (const { name, missing, create, drop } of redisBackends(redis, redisCluster)) {
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

    describe("a record that cannot be read", () => {
      const DAMAGE: [member: string, json: string][] = [
        ["expiresAt", '"soon"'],
        ["expiresAt", '"2030-01-01T00:00:00.000Z"'],
        ["expiresAt", "9e15"],
        ["expiresAt", "1.5"],
        ["expiresAt", "true"],
        ["revokedAt", "8640000000000001"],
        ["disabledAt", '""'],
        ["scopes", '"vehicles:read"'],
        ["scopes", "{}"],
        ["scopes", "[1]"],
        ["scopes", "null"],
        ["ipAllowlist", '""'],
        ["ipAllowlist", "false"],
        ["ipAllowlist", "[null]"],
        ["metadata", "[]"],
        ["rateLimit", "{}"],
        ["rateLimit", '{"limit":"5","windowSeconds":60}'],
        ["ownerId", "null"],
        ["version", '"1"'],
        ["version", "1.5"],
        ["name", "7"],
      ];

      it.each(DAMAGE)("is rejected: %s is %s", async (member, json) => {
        const { manager, verify } = serviceOver(store);
        const { secret, key } = await manager.create(CREATE);
        const name = `${p}:key:${hashSecret(secret)}`;
        const intact = (await server.get(name)) ?? "";
        await server.set(name, intact.replace(new RegExp(`"${member}":.*`), `"${member}":${json}`));
        const message = `The member "${member}" of "${key.id}" cannot be read`;
        await expect(verify(secret)).rejects.toThrow(message);
        await expect(manager.get(key.id)).rejects.toThrow(message);
        expect(await manager.list()).toEqual({ items: [], damaged: [key.id] });
        await expect(manager.revoke(key.id)).rejects.toThrow(StoreError);
      });

      it("is rejected when a member is missing", async () => {
        const key = await inserted();
        const name = `${p}:key:${key.hash}`;
        const intact = (await server.get(name)) ?? "";
        // Records of version 0.1 do not have these.
        const added = ["disabledBy", "rotationRoot", "createdBy", "createdByKey"];
        for (const member of Object.keys(key).filter((name) => !added.includes(name))) {
          const { [member]: _, ...rest } = JSON.parse(intact);
          await server.set(name, JSON.stringify(rest));
          await expect(store.findByHash(key.hash), member).rejects.toThrow(`"${member}"`);
        }
      });

      it.each(["", "null", "[]", "7", "{", "foreign", '{"id":"key_1"}'])("is rejected: %j", async (text) => {
        const key = await inserted();
        const trail = await store.auditTrail({ limit: 10 });
        await server.set(`${p}:key:${key.hash}`, text);
        await expect(store.findByHash(key.hash)).rejects.toBeInstanceOf(StoreError);
        await expect(store.findById(key.id)).rejects.toBeInstanceOf(StoreError);
        expect(await store.list({ now: NOON, limit: 10 })).toEqual({ items: [], damaged: [key.id] });
        const audit = sampleAudit(key);
        const changes = [
          () => store.update(key.id, key.version, { name: "x" }, audit),
          () => store.replace(key.id, key.version, { name: "x" }, sampleKey(), audit),
          () => store.remove(key.id, key.version, audit),
          () => store.rehash(key.id, key.hash, hashSecret("x"), audit),
        ];
        for (const change of changes) await expect(change()).rejects.toBeInstanceOf(StoreError);
        await store.touch(new Map([[key.id, new Date()]]));
        expect(await server.get(`${p}:key:${key.hash}`)).toBe(text);
        expect(await store.auditTrail({ limit: 10 })).toEqual(trail);
      });

      it("is rejected when only its id is left, as after an eviction", async () => {
        const key = await inserted();
        await server.del(`${p}:key:${key.hash}`);
        expect(await store.findByHash(key.hash)).toBeUndefined();
        await expect(store.findById(key.id)).rejects.toBeInstanceOf(StoreError);
        expect(await store.list({ now: NOON, limit: 10 })).toEqual({ items: [], damaged: [key.id] });
        await expect(store.update(key.id, key.version, {}, sampleAudit(key))).rejects.toThrow(
          `The record of "${key.id}" is missing or cannot be read`,
        );
      });

      it("is not skipped when its creation time differs from its position in the list", async () => {
        const key = await inserted();
        const name = `${p}:key:${key.hash}`;
        const intact = (await server.get(name)) ?? "";
        for (const json of ["1", "null", '"soon"', "20000000000000000"]) {
          await server.set(name, intact.replace(/"createdAt":.*/, `"createdAt":${json}`));
          expect(await store.list({ now: NOON, limit: 10 })).toEqual({ items: [], damaged: [key.id] });
          expect(await server.zcard(`${p}:keys`)).toBe(1);
        }
      });

      it("is named on its page, with the others, until it is deleted", async () => {
        const { manager, verify } = serviceOver(store);
        const [first, damaged, last] = await Promise.all([1, 2, 3].map(() => manager.create(CREATE)));
        const id = damaged?.key.id ?? "";
        const idKey = `${p}:id:${id}`;
        const record = `${p}:key:${await server.get(idKey)}`;
        await server.set(record, "damaged");
        const seen: (string | undefined)[] = [];
        for (let cursor: string | undefined, pages = 0; pages === 0 || cursor !== undefined; pages++) {
          const page = await manager.list({ limit: 1, ...(cursor !== undefined && { cursor }) });
          seen.push(...page.items.map((key) => key.id), ...(page.damaged ?? []));
          cursor = page.nextCursor;
        }
        expect(seen.toSorted()).toEqual([first?.key.id, id, last?.key.id].sort());
        expect(await manager.list({ status: "active" })).toMatchObject({ damaged: [id] });
        await server.del(record, idKey); // as in docs/operations.md
        const ids = (await manager.list()).items.map((key) => key.id);
        expect(ids.sort()).toEqual([first?.key.id, last?.key.id].sort());
        expect(await verify(damaged?.secret ?? "")).toMatchObject({
          ok: false,
          error: { code: "invalid_key" },
        });
      });

      it("fails only its own lookup in a batch", async () => {
        const { manager, verify } = serviceOver(store);
        const issued = await Promise.all([1, 2, 3].map(() => manager.create(CREATE)));
        const [, { secret } = { secret: "" }] = issued;
        const name = `${p}:key:${hashSecret(secret)}`;
        await server.set(
          name,
          ((await server.get(name)) ?? "").replace('"expiresAt":null', '"expiresAt":"soon"'),
        );
        const results = await Promise.allSettled(issued.map((one) => verify(one.secret)));
        expect(results).toMatchObject([
          { value: { ok: true } },
          { reason: { message: expect.stringContaining('"expiresAt"') } },
          { value: { ok: true } },
        ]);
      });

      it("is rejected in the audit trail", async () => {
        const key = await inserted();
        const [member = ""] = await server.zrange(`${p}:audit`, "0", "-1");
        const [position = ""] = member.split("\n");
        const damaged = [position.slice(17)];
        for (const body of ["", "{", "null", "[]", "{}", '{"action":"created"}']) {
          await server.del(`${p}:audit`);
          await server.zadd(`${p}:audit`, "0", `${position}\n${body}`);
          expect(await store.auditTrail({ limit: 5 }), body).toEqual({ items: [], damaged });
          expect(await store.auditTrail({ limit: 5, keyId: key.id }), body).toEqual({ items: [], damaged });
        }
        await server.del(`${p}:audit`);
        expect(await store.auditTrail({ limit: 5, keyId: key.id })).toEqual({ items: [], damaged });
      });
    });

    describe("a Redis key of another type under its prefix", () => {
      const NAMES: [name: string, of: (key: KeyRecord, next: KeyRecord) => string][] = [
        ["all keys", () => "keys"],
        ["all entries", () => "audit"],
        ["the id", ({ id }) => `id:${id}`],
        ["the record", ({ hash }) => `key:${hash}`],
        ["the keys of the owner", ({ ownerId }) => `owner:${ownerId}`],
        ["the entries of the key", ({ id }) => `audit:key:${id}`],
        ["the entries of the owner", ({ ownerId }) => `audit:owner:${ownerId}`],
        ["the id of a new key", (_, { id }) => `id:${id}`],
        ["the record of a new key", (_, { hash }) => `key:${hash}`],
      ];

      it.each(NAMES)("makes changes fail without writing anything: %s", async (_, nameOf) => {
        const key = await inserted(sampleKey());
        const next = sampleKey();
        const name = `${p}:${nameOf(key, next)}`;
        await server.del(name);
        await server.rpush(name, "foreign");
        const before = await everything();

        const audit = () => sampleAudit(key, { at: at(5) });
        const changes: Record<string, () => Promise<unknown>> = {
          insert: async () => store.insert(next, audit()),
          update: async () => store.update(key.id, 1, { name: "x", revokedAt: at(5) }, audit()),
          replace: async () => store.replace(key.id, 1, { name: "x" }, next, audit()),
          remove: async () => store.remove(key.id, 1, audit()),
          rehash: async () => store.rehash(key.id, key.hash, next.hash, audit()),
          appendAudit: async () => store.appendAudit([audit(), sampleAudit(key)]),
        };
        let rejections = 0;
        for (const [change, make] of Object.entries(changes)) {
          const result = await make().catch((error) => error);
          // Changes that do not use the key succeed, and are undone.
          if (!(result instanceof Error)) {
            await restore(before);
            continue;
          }
          rejections += 1;
          expect(result, change).toBeInstanceOf(StoreError);
          expect(await everything(), change).toEqual(before);
        }
        expect(rejections).toBeGreaterThan(0);
      });

      /** Every Redis key of the store, serialized by DUMP. */
      const everything = async (): Promise<Record<string, string>> => {
        const nodes = server instanceof Cluster ? server.nodes("master") : [server];
        const names = (await Promise.all(nodes.map((node) => node.keys(`${p}:*`)))).flat().sort();
        const values = await Promise.all(names.map((name) => server.dumpBuffer(name)));
        return Object.fromEntries(names.map((name, index) => [name, values[index]?.toString("hex") ?? ""]));
      };

      const restore = async (before: Record<string, string>): Promise<void> => {
        for (const name of Object.keys(await everything())) await server.del(name);
        for (const [name, value] of Object.entries(before))
          await server.restore(name, 0, Buffer.from(value, "hex"));
      };
    });
  });
}
