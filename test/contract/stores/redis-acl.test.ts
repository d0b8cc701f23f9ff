import { readFileSync } from "node:fs";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { createRateLimiter, redisLimits } from "../../../src/rate-limit/index.js";
import { redisStore } from "../../../src/stores/redis.js";
import { keyStoreContract } from "../../../src/testing/index.js";
import { type RedisServer, startRedis } from "./redis-server.js";

const DOCUMENT = new URL("../../../docs/stores.md", import.meta.url);
const COMMAND = /^ACL SETUSER keybearer[^`]*/m
  .exec(readFileSync(DOCUMENT, "utf8"))?.[0]
  .split(/\s+/)
  .filter(Boolean);

// If the cluster of the tests is running, redis-server is installed.
describe.skipIf(inject("servers").redisCluster === undefined)("a Redis user with the documented ACL", () => {
  let server: RedisServer;
  let admin: Redis;
  let nodeRedis: ReturnType<typeof createClient>;
  let ioRedis: Redis;

  beforeAll(async () => {
    server = await startRedis();
    admin = new Redis(server.url);
    const [name = "", ...args] = COMMAND ?? [];
    await admin.call(name, ...args);
    const user = { username: "keybearer", password: "password" };
    nodeRedis = createClient({ url: server.url, ...user });
    nodeRedis.on("error", () => {});
    await nodeRedis.connect();
    ioRedis = new Redis(server.url, user);
  });
  afterAll(async () => {
    for (const client of [admin, ioRedis]) client?.disconnect();
    nodeRedis?.destroy();
    await server?.dispose();
  });

  const clients = [
    ["node-redis", () => nodeRedis],
    ["ioredis", () => ioRedis],
  ] as const;

  describe.each(clients)("over %s", (_, client) => {
    const cases = keyStoreContract(async () => {
      await admin.flushall();
      return redisStore(client());
    });
    it.each(cases.map(({ name, run }) => [name, run] as const))("%s", (_, run) => run());

    it("counts requests", async () => {
      const windows = [{ name: "minute", per: "key", limit: 1, window: "1m" }] as const;
      const { consume } = createRateLimiter({ store: redisLimits(client()), windows });
      const key = { id: "key_1", ownerId: client().constructor.name, environment: "live" };
      expect((await consume(key, { headers: {} })).allowed).toBe(true);
      expect((await consume(key, { headers: {} })).allowed).toBe(false);
    });
  });

  it("is denied any other key", async () => {
    await expect(nodeRedis.get("other")).rejects.toThrow("NOPERM");
  });
});
