import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import pg from "pg";
import { createClient, createCluster } from "redis";
import { afterEach, describe, expect, inject, test, vi } from "vitest";
import {
  type CachedStoreOptions,
  type IoRedisSubscriber,
  type NodeRedisSubscriber,
  postgresBus,
  redisBus,
} from "../../../src/cache/index.js";
import type { KeyRecord } from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { sqliteStore } from "../../../src/stores/sqlite.js";
import { serviceOver } from "../../contract/stores/service.js";
import { drivers } from "../../contract/stores/sqlite-drivers.js";
import { added, found, isHit, observed, revoked } from "../../unit/cache/fixtures.js";
import { busKinds, type OpenBus, through } from "./bus-kinds.js";
import { proxyTo, type TcpProxy } from "./bus-proxy.js";

const servers = inject("servers");
const CHILD = fileURLToPath(new URL("bus-child.ts", import.meta.url));
const PATIENT = { timeout: 60_000, interval: 5 };
// A lease of six seconds, which a busy machine can keep up.
const STEADY_HEARTBEAT_MS = 2_000;
const STEADY = { heartbeat: `${STEADY_HEARTBEAT_MS}ms` } as const;

const closing: (() => unknown)[] = [];

/** Fakes the timers of heartbeats. Connections and timeouts stay real. */
function holdHeartbeats(): void {
  vi.useFakeTimers({ toFake: ["performance", "setInterval", "clearInterval"] });
}

afterEach(async () => {
  vi.useRealTimers();
  for (const close of closing.splice(0).reverse()) await close();
});

for (const kind of busKinds) {
  const url = servers[kind.server] as string;

  describe.skipIf(url === undefined)(kind.name, () => {
    const open = async (channel: string, label = "keybearer-test", at = url): Promise<OpenBus> => {
      const opened = await kind.open(at, channel, label);
      closing.push(opened.close);
      return opened;
    };

    const proxied = async (): Promise<TcpProxy> => {
      const proxy = await proxyTo(url, kind.defaultPort);
      closing.push(proxy.close);
      return proxy;
    };

    /** Creates a cache over a new bus. */
    const instance = async (
      inner: ReturnType<typeof memoryStore>,
      channel: string,
      label?: string,
      at?: string,
      options: CachedStoreOptions = {},
    ) => {
      const { bus } = await open(channel, label, at);
      const remote = { ...inner, findByHash: async (hash: KeyRecord["hash"]) => inner.findByHash(hash) };
      const cache = observed(remote, { bus, ttl: "1h", ...STEADY, ...options });
      closing.push(cache.store.close);
      await cache.store.ready();
      return cache;
    };

    /** Caches a key. Retries, because the first message of another instance clears the cache. */
    const warm = async (store: Parameters<typeof found>[0], key: KeyRecord) => {
      await vi.waitFor(async () => {
        await found(store, key.hash);
        expect(await isHit(store, key.hash)).toBe(true);
      }, PATIENT);
    };

    /** Creates two caches. The second one connects through a proxy. */
    const two = async (label: string) => {
      const [inner, channel, proxy] = [memoryStore(), kind.channel(), await proxied()];
      const here = await instance(inner, channel);
      const there = await instance(inner, channel, label, through(url, proxy.port));
      const key = await added(inner);
      await warm(there.store, key);
      return { inner, proxy, here, there, key };
    };

    const revocationArrives = async ({
      inner,
      here,
      there,
    }: Pick<Awaited<ReturnType<typeof two>>, "inner" | "here" | "there">) => {
      const key = await added(inner);
      await warm(there.store, key);
      await revoked(here.store, key);
      await vi.waitFor(async () => {
        expect((await found(there.store, key.hash))?.revokedAt).toBeInstanceOf(Date);
      }, PATIENT);
    };

    test("delivers every message in order to every subscriber, including the sender", async () => {
      const channel = kind.channel();
      const buses = await Promise.all([open(channel), open(channel), open(kind.channel())]);
      const received: string[][] = [];
      const up = vi.fn();
      for (const [index, { bus }] of buses.entries()) {
        received[index] = [];
        closing.push(await bus.subscribe((message) => received[index]?.push(message), up));
      }
      await vi.waitFor(() => expect(up).toHaveBeenCalledTimes(3), PATIENT);
      const texts = Array.from(
        { length: 300 },
        (_, index) => `${index} ' " \\ \u2028 日本 😀 ${"x".repeat(index * 10)}`,
      );
      const [here, there] = buses as [OpenBus, OpenBus, OpenBus];
      await Promise.all(
        texts.flatMap((text) => [here.bus.publish(`here ${text}`), there.bus.publish(`there ${text}`)]),
      );
      const from = (name: string) => texts.map((text) => `${name} ${text}`);
      for (const messages of received.slice(0, 2)) {
        await vi.waitFor(() => expect(messages).toHaveLength(600), PATIENT);
        expect(messages.filter((text) => text.startsWith("here"))).toEqual(from("here"));
        expect(messages.filter((text) => text.startsWith("there"))).toEqual(from("there"));
      }
      expect(received[2]).toEqual([]);
      expect(up).toHaveBeenCalledTimes(3);
    });

    test("delivers a revocation to another instance long before the ttl ends", async () => {
      const all = await two("keybearer-test");
      await revocationArrives(all);
      expect(all.there.events).toEqual([]);
    });

    test("bypasses the cache when the server closes the connection and resumes it on a new one", async () => {
      const label = kind.channel().replaceAll(":", "_");
      const all = await two(label);
      const { inner, there, key } = all;
      for (let round = 1; round <= 2; round++) {
        await warm(there.store, key);
        expect(await kind.kill(url, label)).toBe(1);
        await vi.waitFor(() => expect(there.types().at(-1)).toBe("cache.resumed"), PATIENT);
        await vi.waitFor(() => expect(there.types()).toHaveLength(2 * round), PATIENT);
      }
      expect(there.types()).toEqual(["cache.bypassed", "cache.resumed", "cache.bypassed", "cache.resumed"]);
      await revoked(inner, key); // the cache was cleared
      await revocationArrives(all);
    });

    test("bypasses the cache while the server is unreachable", async () => {
      const all = await two("keybearer-test");
      const { inner, proxy, there, key } = all;
      proxy.cut();
      await vi.waitFor(() => expect(there.types()).toEqual(["cache.bypassed"]), PATIENT);
      for (let i = 0; i < 3; i++) {
        expect((await found(there.store, key.hash))?.revokedAt).toBeNull();
        expect(await isHit(there.store, key.hash)).toBe(false);
      }
      await revoked(inner, key);
      expect((await found(there.store, key.hash))?.revokedAt).toBeInstanceOf(Date);
      await sleep(500); // several attempts to reconnect
      expect(there.types()).toEqual(["cache.bypassed"]);
      proxy.heal();
      await vi.waitFor(() => expect(there.types()).toEqual(["cache.bypassed", "cache.resumed"]), PATIENT);
      await revocationArrives(all);
    });

    test("bypasses the cache within three heartbeats when the connection is dead but open", async () => {
      holdHeartbeats();
      const all = await two("keybearer-test");
      const { proxy, here, there, key } = all;
      proxy.stall();
      await revoked(here.store, key); // the message does not arrive
      await vi.advanceTimersByTimeAsync(3 * STEADY_HEARTBEAT_MS);
      expect(there.types()).toEqual(["cache.bypassed"]);
      expect((await found(there.store, key.hash))?.revokedAt).toBeInstanceOf(Date);
      await sleep(500);
      expect(await isHit(there.store, key.hash)).toBe(false);
      proxy.heal();
      await vi.waitFor(() => expect(there.types()).toEqual(["cache.bypassed", "cache.resumed"]), PATIENT);
      await revocationArrives(all);
    });

    test("subscribes once when a server that was silent at first responds", async () => {
      const [inner, channel, proxy] = [memoryStore(), kind.channel(), await proxied()];
      const here = await instance(inner, channel);
      const { bus, listeners } = await open(channel, "keybearer-test", through(url, proxy.port));
      const before = listeners();
      proxy.stall();
      const remote = { ...inner, findByHash: async (hash: KeyRecord["hash"]) => inner.findByHash(hash) };
      const there = observed(remote, { bus, ttl: "1h", heartbeat: "20ms" });
      closing.push(there.store.close);
      await sleep(1_000); // several attempts to subscribe
      expect(there.types()).toEqual(["cache.bypassed"]);
      proxy.heal();
      await there.store.ready();
      await revocationArrives({ inner, here, there });
      await there.store.close();
      expect(listeners()).toBe(before);
    });

    test("does not block changes during an outage, and invalidates them elsewhere afterwards", async () => {
      const { inner, proxy, here, there } = await two("keybearer-test");
      const key = await added(inner);
      await warm(here.store, key);
      for (const outage of ["stall", "cut"] as const) {
        proxy[outage]();
        const began = performance.now();
        const current = await there.store.findById(key.id);
        expect(await there.store.update(key.id, current?.version ?? 0, { name: outage }, auditFor(key))).toBe(
          true,
        );
        expect(performance.now() - began).toBeLessThan(15_000);
        await vi.waitFor(() => expect(there.types()).toContain("background.failed"), PATIENT);
        proxy.heal();
        await vi.waitFor(async () => {
          expect((await found(here.store, key.hash))?.name).toBe(outage);
        }, PATIENT);
      }
      expect(here.types().filter((type) => type === "background.failed")).toEqual([]);
    });

    test("leaves no listener and no connection behind after close()", async () => {
      const label = kind.channel().replaceAll(":", "_");
      const opened = await open(kind.channel(), label);
      const before = opened.listeners();
      const { store } = observed(memoryStore(), { bus: opened.bus });
      await store.ready();
      if (kind.server === "redis") expect(opened.listeners()).toBeGreaterThan(before);
      await store.close();
      // close() waits for at most a second, and the server notices a closed connection with a delay.
      await vi.waitFor(() => expect(opened.listeners()).toBe(before), PATIENT);
      if (kind.server === "postgres") await vi.waitFor(() => expectNone(url, label), PATIENT);
    });

    test("closes during an outage", async () => {
      for (const outage of ["stall", "cut"] as const) {
        const { proxy, there } = await two("keybearer-test");
        proxy[outage]();
        await there.store.close();
        proxy.heal();
        await sleep(200);
      }
    });

    test("serves two caches and keeps serving one when the other is closed", async () => {
      const [inner, { bus }] = [memoryStore(), await open(kind.channel())];
      const stores = [
        observed(inner, { bus, ttl: "1h" }).store,
        observed(inner, { bus, ttl: "1h" }).store,
      ] as const;
      await Promise.all(stores.map((store) => store.ready()));
      await stores[0].close();
      const key = await added(inner);
      await warm(stores[1], key);
      await revoked(stores[0], key);
      await vi.waitFor(async () => {
        expect((await found(stores[1], key.hash))?.revokedAt).toBeInstanceOf(Date);
      }, PATIENT);
      await stores[1].close();
    });

    describe("between processes", () => {
      const driver = drivers.find(({ available }) => available);

      const start = async (heartbeatMs: number) => {
        const directory = mkdtempSync(join(tmpdir(), "keybearer-"));
        closing.push(() => rmSync(directory, { recursive: true }));
        const file = join(directory, "keys.db");
        const connection = driver?.open(file);
        if (connection === undefined) throw new Error("no SQLite driver is available");
        closing.push(() => connection.close());
        connection.prepare("pragma journal_mode = wal").all();
        const inner = sqliteStore(connection);
        await inner.migrate();
        const channel = kind.channel();
        const { bus } = await open(channel);
        const { store } = observed(inner, { bus });
        closing.push(store.close);
        await store.ready();
        const { manager } = serviceOver(store);
        const input = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" };
        const { secret, key } = await manager.create(input);
        const given = [kind.name, url, channel, file, secret, `${heartbeatMs}`];
        const child = spawn(process.execPath, ["--no-warnings", "--import", "tsx", CHILD, ...given]);
        closing.push(() => child.kill("SIGKILL"));
        return { manager, key, child, next: linesOf(child) };
      };

      test.skipIf(driver === undefined)("denies a revoked key at once, and lets a process exit", async () => {
        const { manager, key, child, next } = await start(60_000);
        expect(await next()).toMatchObject({ ok: true });
        await sleep(100);
        await manager.revoke(key.id);
        expect(await next()).toMatchObject({ ok: false, events: [] });
        child.stdin.write("end\n");
        expect(await next()).toMatchObject({ ok: false });
        const [code] = child.exitCode === null ? await once(child, "exit") : [child.exitCode];
        expect(code).toBe(0);
      });

      test.skipIf(driver === undefined).each<[string, number, number, readonly string[]]>([
        ["less than its lease", 60_000, 1_000, []],
        ["longer than three heartbeats", 1_500, 5_000, ["cache.bypassed", "cache.resumed"]],
      ])(
        "a process that was stopped for %s denies a key revoked during that time",
        async (_, heartbeatMs, pause, events) => {
          const { manager, key, child, next } = await start(heartbeatMs);
          expect(await next()).toMatchObject({ ok: true });
          await sleep(100);
          child.kill("SIGSTOP");
          await manager.revoke(key.id);
          const revokedAt = process.hrtime.bigint();
          await sleep(pause);
          child.kill("SIGCONT");
          const { ok, accepted, ...reported } = await next();
          expect(ok).toBe(false);
          expect(BigInt(accepted)).toBeLessThan(revokedAt);
          while (reported.events.length < events.length) reported.events = (await next()).events;
          await sleep(300);
          child.stdin.write("end\n");
          const last = await next();
          expect(last).toMatchObject({ ok: false, accepted });
          expect(last.events).toEqual(events);
        },
      );
    });
  });
}

function linesOf(child: ChildProcessWithoutNullStreams): () => Promise<ReturnType<typeof JSON.parse>> {
  let stderr = "";
  child.stderr.on("data", (text) => {
    stderr += text;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(stderr || "the process ended");
    return JSON.parse(value);
  };
}

async function expectNone(connectionString: string, label: string): Promise<void> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  const { rows } = await client.query("select pid from pg_stat_activity where application_name = $1", [
    label,
  ]);
  await client.end();
  expect(rows).toEqual([]);
}

function auditFor({ id, ownerId }: KeyRecord) {
  const at = new Date();
  return {
    id: crypto.randomUUID(),
    at,
    action: "updated",
    keyId: id,
    ownerId,
    actor: null,
    details: {},
  } as const;
}

describe("a TypeError is thrown for", () => {
  const client = () => ({
    publish() {},
    subscribe() {},
    unsubscribe() {},
    on() {},
    off() {},
    status: "ready",
  });
  const shared = client();

  test.each<[string, unknown, RegExp]>([
    ["no options", undefined, /options object/],
    ["no publisher", { subscriber: client() }, /"publisher"/],
    ["no subscriber", { publisher: client() }, /"subscriber"/],
    [
      "a subscriber without subscribe()",
      { publisher: client(), subscriber: { on() {}, off() {} } },
      /subscribe\(\)/,
    ],
    [
      "a publisher without events",
      { publisher: { publish() {} }, subscriber: client() },
      /"publisher".*on\(\)/,
    ],
    ["one client for both", { publisher: shared, subscriber: shared }, /"subscriber" must be another client/],
    ["an empty channel", { publisher: client(), subscriber: client(), channel: "" }, /"channel"/],
    ["a channel that is a number", { publisher: client(), subscriber: client(), channel: 1 }, /"channel"/],
    ["a long channel", { publisher: client(), subscriber: client(), channel: "x".repeat(201) }, /"channel"/],
    ["an unknown option", { publisher: client(), subscriber: client(), url: "" }, /"url"/],
  ])("redisBus with %s", (_, options, message) => {
    const make = () => redisBus(options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });

  test("redisBus with a client of a cluster", () => {
    const cluster = new Redis.Cluster([{ port: 1 }], { lazyConnect: true });
    const other = createCluster({ rootNodes: [{ url: "redis://127.0.0.1:1" }] });
    for (const one of [cluster, other] as never[]) {
      expect(() => redisBus({ publisher: one, subscriber: client() as never })).toThrow(
        /"publisher".*cluster/,
      );
      expect(() => redisBus({ publisher: client() as never, subscriber: one })).toThrow(
        /"subscriber".*cluster/,
      );
    }
  });

  test.each<[string, unknown, RegExp]>([
    ["no options", undefined, /options object/],
    ["no connect", {}, /"connect"/],
    ["a client instead of connect", { connect: client() }, /"connect"/],
    ["an unknown option", { connect() {}, pool: {} }, /"pool"/],
    ...["", "1st", "a b", 'a"b', "a;b", "ä", "x".repeat(64), 1].map((channel): [string, unknown, RegExp] => [
      `channel ${channel}`,
      { connect() {}, channel },
      /"channel"/,
    ]),
  ])("postgresBus with %s", (_, options, message) => {
    const make = () => postgresBus(options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });
});

describe.skipIf(servers.redisCluster === undefined)("redisBus over single nodes of a cluster", () => {
  test("delivers messages from one node to the others", async () => {
    const [a, b, c] = servers.redisCluster as [string, string, string];
    const inner = memoryStore();
    const channel = `keybearer:test:${crypto.randomUUID()}`;
    const stores = [];
    for (const [publishAt, subscribeAt] of [
      [a, b],
      [c, a],
    ] as const) {
      const publisher = createClient({ url: publishAt });
      const subscriber = createClient({ url: subscribeAt });
      await Promise.all([publisher.connect(), subscriber.connect()]);
      closing.push(
        () => publisher.destroy(),
        () => subscriber.destroy(),
      );
      const one = observed(inner, {
        bus: redisBus({ publisher, subscriber, channel }),
        ttl: "1h",
      });
      closing.push(one.store.close);
      await one.store.ready();
      stores.push(one.store);
    }
    const [here, there] = stores as [(typeof stores)[number], (typeof stores)[number]];
    const key = await added(inner);
    await found(there, key.hash);
    await revoked(here, key);
    await vi.waitFor(async () => {
      expect((await found(there, key.hash))?.revokedAt).toBeInstanceOf(Date);
    }, PATIENT);
  });
});

describe.skipIf(servers.redis === undefined)("redisBus and its clients", () => {
  const url = servers.redis as string;
  const channel = () => `keybearer:test:${crypto.randomUUID()}`;

  test("works with clients that connect later", async () => {
    const [publisher, subscriber] = [createClient({ url }), createClient({ url })];
    const { store } = observed(memoryStore(), {
      bus: redisBus({ publisher, subscriber, channel: channel() }),
      heartbeat: "20ms",
    });
    closing.push(store.close);
    await sleep(100);
    await Promise.all([publisher.connect(), subscriber.connect()]);
    closing.push(
      () => publisher.destroy(),
      () => subscriber.destroy(),
    );
    await store.ready();
  });

  test("works with a key prefix of ioredis", async () => {
    const [publisher, subscriber] = [
      new Redis(url, { keyPrefix: "a:" }),
      new Redis(url, { keyPrefix: "b:" }),
    ];
    closing.push(
      () => publisher.disconnect(),
      () => subscriber.disconnect(),
    );
    const { store } = observed(memoryStore(), {
      bus: redisBus({ publisher, subscriber, channel: channel() }),
    });
    closing.push(store.close);
    await store.ready();
  });

  test("subscribes again if the client does not", async () => {
    const options = { autoResubscribe: false, connectionName: channel().replaceAll(":", "_") };
    const [publisher, subscriber] = [new Redis(url), new Redis(url, options)];
    closing.push(
      () => publisher.disconnect(),
      () => subscriber.disconnect(),
    );
    const bus = redisBus({ publisher, subscriber, channel: channel() });
    const { store, types } = observed(memoryStore(), { bus, ...STEADY });
    closing.push(store.close);
    await store.ready();
    expect(await busKinds[1]?.kill(url, options.connectionName)).toBe(1);
    await vi.waitFor(() => expect(types()).toEqual(["cache.bypassed", "cache.resumed"]), PATIENT);
  });

  test.each<
    [string, (at: string) => Promise<{ subscriber: NodeRedisSubscriber | IoRedisSubscriber; end(): void }>]
  >([
    [
      "node-redis",
      async (at) => {
        const subscriber = createClient({ url: at });
        await subscriber.connect();
        return { subscriber, end: () => subscriber.destroy() };
      },
    ],
    [
      "ioredis",
      async (at) => {
        const subscriber = new Redis(at);
        return { subscriber, end: () => subscriber.disconnect() };
      },
    ],
  ])("replaces a dead connection of %s", async (_, open) => {
    const proxy = await proxyTo(url, 6379);
    closing.push(proxy.close);
    const publisher = createClient({ url });
    await publisher.connect();
    closing.push(() => publisher.destroy());
    const { subscriber, end } = await open(through(url, proxy.port));
    closing.push(end);
    const bus = redisBus({ publisher, subscriber, channel: channel() });
    holdHeartbeats();
    const { store, types } = observed(memoryStore(), { bus });
    closing.push(store.close);
    await store.ready();
    let onPing = () => {};
    closing.push(
      await bus.subscribe(
        () => onPing(),
        () => {},
      ),
    );
    // More than ten heartbeats whose pings come back.
    for (let beat = 0; beat < 12; beat++) {
      const returned = new Promise<void>((resolve) => {
        onPing = resolve;
      });
      await vi.advanceTimersByTimeAsync(1_000);
      await returned;
    }
    expect(types()).toEqual([]);
    proxy.stall();
    proxy.abandon();
    await vi.advanceTimersByTimeAsync(10_000);
    await vi.waitFor(() => expect(types()).toEqual(["cache.bypassed", "cache.resumed"]), PATIENT);
  });

  test("keeps the cache bypassed and the process running when a client is closed", async () => {
    holdHeartbeats();
    const [publisher, subscriber] = [createClient({ url }), createClient({ url })];
    await Promise.all([publisher.connect(), subscriber.connect()]);
    const { store, types } = observed(memoryStore(), {
      bus: redisBus({ publisher, subscriber, channel: channel() }),
    });
    await store.ready();
    subscriber.destroy();
    expect(types()).toEqual(["cache.bypassed"]);
    publisher.destroy();
    await vi.advanceTimersByTimeAsync(15_000);
    await store.close();
    expect(types()).toEqual(["cache.bypassed"]);
  });
});

describe.skipIf(servers.postgres === undefined)("postgresBus and its connections", () => {
  const connectionString = servers.postgres as string;
  const channel = () => `keybearer_test_${crypto.randomUUID().replaceAll("-", "")}`;

  test.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("no");
      },
    ],
    ["rejects", () => Promise.reject(new Error("no"))],
    ["returns nothing", () => undefined],
    [
      "returns a client that is not connected",
      () => {
        const client = new pg.Client({ connectionString });
        void client.end();
        return client;
      },
    ],
  ])("a connect() that %s is called again", async (_, fail) => {
    let attempts = 0;
    const connect = async () => {
      attempts += 1;
      if (attempts < 3) return fail() as never;
      const client = new pg.Client({ connectionString });
      await client.connect();
      return client;
    };
    const bus = postgresBus({ connect, channel: channel() });
    const { store } = observed(memoryStore(), { bus, heartbeat: "50ms" });
    closing.push(store.close);
    await store.ready();
    expect(attempts).toBe(3);
  });

  test("replaces a dead connection", async () => {
    const proxy = await proxyTo(connectionString, 5432);
    closing.push(proxy.close);
    const connect = async () => {
      const client = new pg.Client({ connectionString: through(connectionString, proxy.port) });
      await client.connect();
      return client;
    };
    const bus = postgresBus({ connect, channel: channel() });
    holdHeartbeats();
    const { store, types } = observed(memoryStore(), { bus });
    closing.push(store.close);
    await store.ready();
    proxy.stall();
    proxy.abandon();
    await vi.advanceTimersByTimeAsync(3_000);
    await vi.waitFor(() => expect(types()).toEqual(["cache.bypassed", "cache.resumed"]), PATIENT);
  });

  test("publish() rejects at once without a connection", async () => {
    const bus = postgresBus({ connect: () => new Promise(() => {}), channel: channel() });
    await expect(bus.publish("a")).rejects.toThrow("no connection");
  });
});
