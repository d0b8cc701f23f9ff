import { Redis } from "ioredis";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { StoreError } from "../../../src/index.js";
import { at, sampleAudit, sampleKey } from "../../../src/testing/fixtures.js";
import { type OpenRedisStore, redisBackends } from "./backends/redis.js";
import { until } from "./redis-server.js";

const ANYTHING = { now: new Date(), limit: 1_000 };

const { redisCluster } = inject("servers");

/** One node of the cluster. */
interface Node {
  readonly client: Redis;
  readonly id: string;
  readonly port: number;
}

for (const { name, missing, create, drop } of redisBackends(undefined, redisCluster).slice(2)) {
  describe.skipIf(missing)(name, () => {
    let opened: OpenRedisStore;
    let nodes: Node[];
    let slot: string;

    const nodeClient = (url: string) => new Redis(url);

    beforeEach(async () => {
      opened = await create();
      nodes = await Promise.all(
        opened.urls.map(async (url) => {
          const client = nodeClient(url);
          return { client, id: `${await client.cluster("MYID")}`, port: Number(new URL(url).port) };
        }),
      );
      slot = `${await nodes[0]?.client.cluster("KEYSLOT", `{${opened.prefix}}:keys`)}`;
    });

    afterEach(async () => {
      await Promise.all(nodes.map(({ client }) => client.quit()));
      await opened.close();
      await drop(opened.place);
    });

    const namesAt = async ({ client }: Node): Promise<string[]> =>
      (await client.call("CLUSTER", "GETKEYSINSLOT", slot, "1000")) as string[];

    const startMigration = async (): Promise<[from: Node, to: Node]> => {
      const holdings = await Promise.all(nodes.map(namesAt));
      const from = nodes[holdings.findIndex(({ length }) => length > 0)] as Node;
      const to = nodes.find((node) => node !== from) as Node;
      await to.client.call("CLUSTER", "SETSLOT", slot, "IMPORTING", from.id);
      await from.client.call("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id);
      return [from, to];
    };
    const migrate = (from: Node, to: Node, name: string) =>
      from.client.call("MIGRATE", "127.0.0.1", to.port, name, 0, 5_000);
    const endMigration = async (from: Node, to: Node) => {
      for (const { client } of [to, from, ...nodes])
        await client.call("CLUSTER", "SETSLOT", slot, "NODE", to.id);
    };

    const inserted = async (key = sampleKey()) => {
      await opened.store.insert(key, sampleAudit(key));
      return key;
    };

    it("stores everything in one slot", async () => {
      for (const ownerId of ["acme", "globex {}", "} initech"])
        await inserted(sampleKey({ ownerId, id: `{${ownerId}}` }));
      const found = await Promise.all(nodes.map(({ client }) => client.keys(`{${opened.prefix}}:*`)));
      expect(found.map(({ length }) => length).sort((a, b) => a - b)).toEqual([0, 0, 2 + 3 * 7]);
    });

    it("rejects changes until the last Redis key of its slot is migrated", async () => {
      const { store } = opened;
      const { id, ownerId, version } = await inserted();
      const [from, to] = await startMigration();
      const isFeed = (name: string) => name.endsWith(":changes");
      const names = await namesAt(from);
      for (const name of names.filter((one) => !isFeed(one))) await migrate(from, to, name);
      const update = () =>
        store.update(id, version, { name: "new" }, sampleAudit({ id, ownerId }, { at: at(1) }));
      await expect(update()).rejects.toBeInstanceOf(StoreError);
      for (const name of names.filter(isFeed)) await migrate(from, to, name);
      await endMigration(from, to);
      await until(async () => (await store.findById(id)) !== undefined);
      expect(await update()).toBe(true);
    });

    it("finds every key and keeps changes atomic while its slot is migrated", async () => {
      const { store } = opened;
      const keys = await Promise.all(Array.from({ length: 8 }, () => inserted()));
      const names = new Map(keys.map(({ id }) => [id, "none"]));
      let entries = keys.length;

      const [from, to] = await startMigration();

      let rejected = 0;
      const updateSome = async (name: string) => {
        for (const { id, hash, ownerId } of keys.slice(0, 3)) {
          expect((await store.findByHash(hash))?.id).toBe(id);
          try {
            const { version = 0 } = (await store.findById(id)) ?? {};
            expect(
              await store.update(id, version, { name }, sampleAudit({ id, ownerId }, { at: at(1) })),
            ).toBe(true);
            names.set(id, name);
            entries += 1;
          } catch (error) {
            rejected += 1;
            expect(error).toBeInstanceOf(StoreError);
          }
        }
      };
      // In random order: it must not matter which Redis keys are on which node.
      const moving = (await namesAt(from)).sort(() => Math.random() - 0.5);
      for (const [index, one] of moving.entries()) {
        await migrate(from, to, one);
        if (index % Math.ceil(moving.length / 3) === 0) await updateSome(`${index}`);
      }
      await endMigration(from, to);
      await until(async () => (await store.findById(keys[0]?.id ?? "")) !== undefined);

      expect(rejected).toBeGreaterThan(0);
      const { items } = await store.list(ANYTHING);
      expect(items.map(({ id, name }) => [id, name ?? "none"]).sort()).toEqual([...names].sort());
      expect((await store.auditTrail(ANYTHING)).items).toHaveLength(entries);
      await updateSome("after");
      expect([...names.values()].filter((name) => name === "after")).toHaveLength(3);
    });
  });
}
