import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import pg from "pg";
import { createCluster } from "redis";
import { afterEach, describe, expect, inject, test, vi } from "vitest";
import { type InvalidationBus, postgresBus, redisBus } from "../../../src/cache/index.js";
import type { KeyRecord } from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { added, found, isHit, observed, settled } from "../../unit/cache/fixtures.js";
import { type BusKind, busKinds, type OpenBus, through } from "./bus-kinds.js";
import { proxyTo, type TcpProxy } from "./bus-proxy.js";

const servers = inject("servers");
const PATIENT = { timeout: 60_000, interval: 5 };

const closing: (() => unknown)[] = [];

afterEach(async () => {
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
    ) => {
      const { bus } = await open(channel, label, at);
      const remote = { ...inner, findByHash: async (hash: KeyRecord["hash"]) => inner.findByHash(hash) };
      const cache = observed(remote, { bus, ttl: "1m" });
      closing.push(cache.store.close);
      return { ...cache, bus };
    };

    /** Caches a key, after the bus has subscribed. */
    const warm = async (store: Parameters<typeof found>[0], key: KeyRecord) => {
      await sleep(200);
      await found(store, key.hash);
      expect(await isHit(store, key.hash)).toBe(true);
    };

    test("delivers ids with any characters to every cache of the channel", async () => {
      const [inner, channel] = [memoryStore(), kind.channel()];
      const [here, there] = [await instance(inner, channel), await instance(inner, channel)];
      for (const id of ["plain", `' " \\ \u2028 日本 😀`, "x".repeat(1_000)]) {
        const key = await added(inner, { id });
        await warm(there.store, key);
        await announce(url, kind, channel, here.bus, key.id);
        await vi.waitFor(async () => expect(await isHit(there.store, key.hash)).toBe(false), PATIENT);
      }
      expect(there.events).toEqual([]);
    });

    test("delivers again after the server closed the connection or was unreachable", async () => {
      const [inner, channel, proxy] = [memoryStore(), kind.channel(), await proxied()];
      const label = channel.replaceAll(":", "_");
      const here = await instance(inner, channel);
      const there = await instance(inner, channel, label, through(url, proxy.port));
      const outages = [
        () => kind.kill(url, label),
        async () => {
          proxy.cut();
          await sleep(300);
          proxy.heal();
        },
      ];
      for (const outage of outages) {
        const key = await added(inner);
        await warm(there.store, key);
        await outage();
        await vi.waitFor(async () => {
          await announce(url, kind, channel, here.bus, key.id);
          await settled();
          await sleep(20);
          expect(await isHit(there.store, key.hash)).toBe(false);
        }, PATIENT);
      }
    });

    test("leaves no listener and no connection behind after close()", async () => {
      const label = kind.channel().replaceAll(":", "_");
      const opened = await open(kind.channel(), label);
      const before = opened.listeners();
      const { store } = observed(memoryStore(), { bus: opened.bus });
      await sleep(200);
      if (kind.server === "redis") expect(opened.listeners()).toBeGreaterThan(before);
      await store.close();
      // close() waits for at most a second, and the server notices a closed connection with a delay.
      await vi.waitFor(() => expect(opened.listeners()).toBe(before), PATIENT);
      if (kind.server === "postgres") await vi.waitFor(() => expectNone(url, label), PATIENT);
    });
  });
}

/** Announces a key as a store or another cache does. */
async function announce(
  url: string,
  kind: BusKind,
  channel: string,
  bus: InvalidationBus,
  id: string,
): Promise<void> {
  if (kind.server === "redis") return bus.publish?.(id);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("select pg_notify($1, $2)", [channel, id]);
  await client.end();
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
