import { Cluster, Redis } from "ioredis";
import { createClient, createClientPool, createCluster, createSentinel, RESP_TYPES } from "redis";
import { afterEach, describe, expect, inject, it } from "vitest";
import { type RedisStoreOptions, redisStore } from "../../../src/stores/redis.js";
import { fullKey, sampleAudit } from "../../../src/testing/fixtures.js";

type Client = Parameters<typeof redisStore>[0];

const ADDRESS = { host: "127.0.0.1", port: 1 };
const rootNodes = [{ url: "redis://127.0.0.1:1" }];
const { redis: url = "" } = inject("servers");

describe("redisStore", () => {
  it("accepts clients of every kind before they connect", () => {
    const clients: Client[] = [
      createClient(),
      createClient({ RESP: 2 }),
      createClientPool(),
      createCluster({ rootNodes }),
      createSentinel({ name: "mymaster", sentinelRootNodes: [ADDRESS] }),
      new Redis({ lazyConnect: true }),
      new Cluster([ADDRESS], { lazyConnect: true }),
    ];
    for (const client of clients) expect(Object.isFrozen(redisStore(client))).toBe(true);
  });

  it("rejects values that are not a client", () => {
    const nodeRedis3 = Object.fromEntries(
      ["get", "mget", "eval", "evalsha", "send_command"].map((name) => [name, () => true]),
    );
    const withoutPromises = [
      createClient().legacy(),
      createClient().multi(),
      new Redis({ lazyConnect: true }).multi(),
    ];
    for (const wrong of [undefined, null, {}, url, new Map(), nodeRedis3, ...withoutPromises]) {
      expect(() => redisStore(wrong as never)).toThrow(/^redisStore: the client must be a client of/);
    }
    const legacy = Object.create(createClient(), { options: { value: { legacyMode: true } } });
    expect(() => redisStore(legacy)).toThrow("legacy mode");
  });

  it("rejects clients that may return outdated keys", () => {
    const clients: Client[] = [
      createClient({ readonly: true }),
      createCluster({ rootNodes, useReplicas: true }),
      new Redis({ lazyConnect: true, readOnly: true }),
      new Redis({ lazyConnect: true, sentinels: [ADDRESS], name: "mymaster", role: "slave" }),
      new Cluster([ADDRESS], { lazyConnect: true, scaleReads: "slave" }),
      new Cluster([ADDRESS], { lazyConnect: true, scaleReads: "all" }),
    ];
    for (const client of clients) expect(() => redisStore(client)).toThrow("replicas");
    const clientSideCache = { ttl: 0, maxEntries: 0, evictPolicy: "LRU" } as const;
    expect(() => redisStore(createClient({ clientSideCache }))).toThrow("clientSideCache");
    expect(() => redisStore(createCluster({ rootNodes, clientSideCache }))).toThrow("clientSideCache");
    expect(() => redisStore(createClientPool({}, { clientSideCache }))).toThrow("clientSideCache");
  });

  it.each(["", "a b", "a{b", "a}", "{a}", "a*", "a?", "[a]", "é", "a\n", "a".repeat(65), 7, null])(
    "rejects the prefix %j",
    (prefix) => {
      expect(() => redisStore(createClient(), { prefix: prefix as string })).toThrow('"prefix"');
    },
  );

  it.each(["", "90", "0d", "0ms", "-1d", "1w", "36501d", 90, null])(
    "rejects deleteRevokedAfter: %j",
    (deleteRevokedAfter) => {
      const options = { deleteRevokedAfter } as RedisStoreOptions;
      expect(() => redisStore(createClient(), options)).toThrow('"deleteRevokedAfter"');
    },
  );

  it("rejects unknown options", () => {
    expect(() => redisStore(createClient(), { prefx: "a" } as never)).toThrow('"prefx"');
    expect(() => redisStore(createClient(), null as never)).toThrow(TypeError);
  });
});

describe.skipIf(url === "")("redisStore", () => {
  const closing: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  const nodeRedis = async <C extends { connect(): Promise<unknown>; close(): unknown }>(
    client: C,
  ): Promise<C> => {
    await client.connect();
    closing.push(() => client.close());
    return client;
  };

  const ioredis = (client: Redis) => {
    closing.push(() => client.quit());
    return client;
  };

  const raw = () => ioredis(new Redis(url));

  const clients: [name: string, keyPrefix: string, open: () => Promise<Client> | Client][] = [
    ["node-redis with RESP2", "", () => nodeRedis(createClient({ url, RESP: 2 }))],
    [
      "node-redis that returns Buffers",
      "",
      async () =>
        (await nodeRedis(createClient({ url }))).withTypeMapping({
          [RESP_TYPES.BLOB_STRING]: Buffer,
          [RESP_TYPES.NUMBER]: String,
        }),
    ],
    [
      "node-redis that returns Buffers by its options",
      "",
      async () =>
        await nodeRedis(
          createClient({ url, commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } } }),
        ),
    ],
    ["node-redis with a keyPrefix", "host:", () => nodeRedis(createClient({ url, keyPrefix: "host:" }))],
    ["a pool of node-redis", "", () => nodeRedis(createClientPool({ url }))],
    ["ioredis with a keyPrefix", "host:", () => ioredis(new Redis(url, { keyPrefix: "host:" }))],
    [
      "ioredis with a keyPrefix that is a hash tag",
      "{host}",
      () => ioredis(new Redis(url, { keyPrefix: "{host}" })),
    ],
    ["ioredis with enableAutoPipelining", "", () => ioredis(new Redis(url, { enableAutoPipelining: true }))],
    [
      "ioredis with RESP3",
      "",
      () => {
        const client = new Redis(url, { protocol: 3, replyMapping: "resp3" });
        closing.push(() => client.quit());
        return client;
      },
    ],
    ["ioredis that returns numbers as strings", "", () => ioredis(new Redis(url, { stringNumbers: true }))],
  ];

  it.each(clients)("works over %s", async (_, keyPrefix, open) => {
    const prefix = `test-${crypto.randomUUID()}`;
    const client = await open();
    const server = raw();
    const names = async () => (await server.keys(`*{${prefix}}:*`)).sort();
    closing.push(async () => server.unlink(...(await names())));

    const store = redisStore(client, { prefix });
    const [key, next] = [fullKey(), fullKey()];
    await store.insert(key, sampleAudit(key));
    expect(await store.findByHash(key.hash)).toEqual(key);
    expect(await store.findById(key.id)).toEqual(key);
    expect(await store.findManyByHash?.([next.hash, key.hash])).toEqual([undefined, key]);
    expect(await store.replace(key.id, key.version, { name: "old" }, next, sampleAudit(key))).toBe(true);
    expect(await store.update(key.id, key.version, { name: "older" }, sampleAudit(key))).toBe(false);
    await store.touch(new Map([[next.id, new Date(1e13)]]));
    const { items } = await store.list({ ownerId: key.ownerId, now: new Date(), limit: 10 });
    expect(items).toEqual([
      { ...next, lastUsedAt: new Date(1e13) },
      { ...key, name: "old", version: key.version + 1 },
    ]);
    expect((await store.auditTrail({ keyId: key.id, limit: 10 })).items).toHaveLength(2);
    for (const name of await names()) expect(name.startsWith(`${keyPrefix}{${prefix}}:`)).toBe(true);
    expect(await names()).toHaveLength(11);
    const { position } = await store.changes(undefined);
    expect(await store.remove(next.id, next.version, sampleAudit(next))).toBe(true);
    expect(await store.findByHash(next.hash)).toBeUndefined();
    expect(await names()).toHaveLength(10);
    expect(await store.changes(position)).toMatchObject({ keyIds: [next.id] });
  });
});
