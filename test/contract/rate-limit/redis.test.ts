import { randomBytes, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster, Redis } from "ioredis";
import { createClient, createCluster } from "redis";
import { describe, expect, inject, it, onTestFinished } from "vitest";
import { StoreError } from "../../../src/index.js";
import { createRateLimiter, redisLimits } from "../../../src/rate-limit/index.js";
import { thrownBy } from "../../unit/core/fixtures.js";

const { redis: url = "", redisCluster: nodes = [] } = inject("servers");

const prefix = () => `t${randomBytes(6).toString("hex")}`;
const counter = (limit = 5, windowMs = 60_000) => ({ key: `{o}:${randomUUID()}`, limit, windowMs });
const WINDOWS = (["key", "environment", "owner"] as const).map((per) => ({
  name: per,
  per,
  limit: 50,
  window: "1m" as const,
}));

describe("redisLimits", () => {
  it("rejects invalid clients and prefixes", () => {
    for (const wrong of [undefined, null, {}, url, new Map(), new Redis({ lazyConnect: true }).multi()]) {
      expect(() => redisLimits(wrong as never)).toThrow(/^redisLimits: the client must be a node-redis/);
    }
    for (const wrong of ["", "a b", "a{b}", "é", "a".repeat(65), 7, null]) {
      expect(() => redisLimits(createClient(), { prefix: wrong as string })).toThrow('"prefix"');
    }
    expect(() => redisLimits(createClient(), { prefx: "a" } as never)).toThrow('"prefx"');
  });

  it.each([undefined, null, "OK", [], [1], [1, 2, "x"], [1, 2, null], [1, 1, 1, 1]])(
    "rejects an invalid reply: %j",
    async (reply) => {
      const client = { evalSha: async () => reply, eval: async () => reply, on: () => {} };
      expect(await thrownBy(() => redisLimits(client).take([counter(), counter()], 1))).toBeInstanceOf(
        StoreError,
      );
    },
  );

  it("rejects a reply that is no promise", async () => {
    const client = { evalSha: () => 1, eval: () => 1, on: () => {} };
    expect(await thrownBy(() => redisLimits(client as never).take([counter()], 1))).toBeInstanceOf(
      StoreError,
    );
  });
});

describe.skipIf(url === "")("redisLimits over Redis", () => {
  const connect = async () => {
    const client = await createClient({ url }).connect();
    onTestFinished(async () => client.close());
    return client;
  };

  it("sends the script again after SCRIPT FLUSH", async () => {
    const client = await connect();
    const io = new Redis(url);
    onTestFinished(async () => void (await io.quit()));
    for (const store of [redisLimits(client), redisLimits(io)]) {
      const one = counter();
      await store.take([one], 1);
      await client.scriptFlush();
      expect((await store.take([one], 1)).states[0]?.used).toBe(2);
    }
  });

  it("stores one key with a value and a TTL per counter, and nothing else", async () => {
    const client = await connect();
    const name = prefix();
    const store = redisLimits(client, { prefix: name });
    const { consume } = createRateLimiter({ store, windows: WINDOWS });
    const key = { id: "key_1", ownerId: "acme {corp}", environment: "live" };
    await consume(key, { headers: {} });
    const owner = "{acme%20%7Bcorp%7D}";
    const names = (await client.keys(`${name}:*`)).sort();
    expect(names).toEqual([
      `${name}:limit:${owner}:environment:60:environment:live`,
      `${name}:limit:${owner}:key:60:key:key_1`,
      `${name}:limit:${owner}:owner:60:owner`,
    ]);
    for (const one of names) {
      expect(await client.get(one)).toBe("1");
      expect(await client.pTTL(one)).toBeGreaterThan(50_000);
    }
  });

  it("replaces a counter without a TTL", async () => {
    const client = await connect();
    const name = prefix();
    const store = redisLimits(client, { prefix: name });
    const one = counter(1);
    await store.take([one], 1);
    await client.persist(`${name}:limit:${one.key}`);
    expect((await store.take([one], 1)).allowed).toBe(true);
    expect((await store.take([one], 1)).allowed).toBe(false);
    expect(await client.pTTL(`${name}:limit:${one.key}`)).toBeGreaterThan(50_000);
  });

  it("ends a window one length from now at the latest, if the clock of Redis was set back", async () => {
    const client = await connect();
    const name = prefix();
    const store = redisLimits(client, { prefix: name });
    const [one, other] = [counter(1, 2_000), counter(1, 60_000)];
    await store.take([one, other], 1);
    // The state after a step of an hour: the end of the window is that of the later time.
    for (const { key, windowMs } of [one, other])
      await client.pExpire(`${name}:limit:${key}`, 3_600_000 + windowMs);
    expect(await store.take([one, other], 1)).toEqual({
      allowed: false,
      states: [
        { used: 1, resetMs: 2_000 },
        { used: 1, resetMs: 60_000 },
      ],
    });
    const remaining = await Promise.all([one, other].map(({ key }) => client.pTTL(`${name}:limit:${key}`)));
    expect(remaining[0]).toBeLessThanOrEqual(2_000);
    expect(remaining[1]).toBeLessThanOrEqual(60_000);
    await sleep(2_000);
    expect((await store.take([one], 1)).allowed).toBe(true);
  });

  it("rejects a counter of another Redis type and counts in no window", async () => {
    const client = await connect();
    const name = prefix();
    const store = redisLimits(client, { prefix: name });
    const [one, other] = [counter(), counter()];
    await client.sAdd(`${name}:limit:${other.key}`, "x");
    await client.expire(`${name}:limit:${other.key}`, 60);
    expect(await thrownBy(() => store.take([one, other], 1))).toBeInstanceOf(Error);
    expect((await store.take([one], 0)).states[0]?.used).toBe(0);
  });

  it("supports numbers up to Number.MAX_SAFE_INTEGER", async () => {
    const store = redisLimits(await connect(), { prefix: prefix() });
    const one = counter(Number.MAX_SAFE_INTEGER, 3_153_600_000_000);
    const most = await store.take([one], Number.MAX_SAFE_INTEGER - 1);
    expect([most.allowed, most.states[0]?.used]).toEqual([true, Number.MAX_SAFE_INTEGER - 1]);
    expect((await store.take([one], 2)).allowed).toBe(false);
    // node-redis rounds Number.MAX_SAFE_INTEGER up by one.
    const last = await store.take([one], 1);
    expect(last.states[0]?.used).toBeGreaterThanOrEqual(Number.MAX_SAFE_INTEGER);
    expect((await store.take([one], 1)).allowed).toBe(false);
  });
});

describe.skipIf(nodes.length === 0)("redisLimits over Redis Cluster", () => {
  const [host = "", port = ""] = (nodes[0] ?? "").replace(/^redis:\/\//, "").split(":");

  it("counts all windows of an owner atomically", async () => {
    const nodeRedis = await createCluster({
      rootNodes: nodes.map((one) => ({ url: one.includes("://") ? one : `redis://${one}` })),
    }).connect();
    const io = new Cluster([{ host, port: Number(port) }]);
    onTestFinished(async () => {
      nodeRedis.destroy();
      io.disconnect();
    });
    for (const client of [nodeRedis, io]) {
      const { consume } = createRateLimiter({
        store: redisLimits(client, { prefix: prefix() }),
        windows: WINDOWS,
      });
      for (let i = 0; i < 20; i++) {
        const key = { id: "key_1", ownerId: `owner ${i}`, environment: "live" };
        const all = await Promise.all(Array.from({ length: 60 }, () => consume(key, { headers: {} })));
        expect(all.filter(({ allowed }) => allowed)).toHaveLength(50);
      }
    }
  });
});
