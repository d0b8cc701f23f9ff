// One process of the propagation benchmark: verifies one key after the other, as fast as it can, and tells its
// parent when it accepted each for the last time.

import { argv, hrtime } from "node:process";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import pg from "pg";
import { createClient } from "redis";
import {
  type CachedManagedKeyStore,
  type CachedStoreOptions,
  cachedStore,
  type InvalidationBus,
  postgresBus,
  redisBus,
} from "../src/cache/index.js";
import { createVerifier, defineScopes, keyFormat, type ManagedKeyStore } from "../src/index.js";
import { postgresStore } from "../src/stores/postgres.js";
import { redisStore } from "../src/stores/redis.js";

export const scopes = defineScopes({ "vehicles:read": {} });
export const format = keyFormat({ prefix: "ezt" });

/** Where everything is, as one process tells another. */
export interface Place {
  readonly bus: "redis" | "postgres" | "none";
  readonly busUrl: string;
  readonly store: "redis" | "postgres";
  readonly storeUrl: string;
  /** Names the channel, the table and the prefix; nobody else's. */
  readonly name: string;
  readonly ttl: `${number}s`;
  /** Milliseconds between two verifications; 0 for none but a turn of the event loop. */
  readonly rest: number;
}

export interface Opened {
  /** Without the cache. */
  readonly inner: ManagedKeyStore & { migrate?(): Promise<void> };
  readonly store: CachedManagedKeyStore;
  close(): Promise<void>;
}

export async function open(place: Place): Promise<Opened> {
  const closing: (() => unknown)[] = [];
  const redisAt = async (url: string) => {
    const client = createClient({ url });
    client.on("error", () => {});
    await client.connect();
    closing.push(() => client.destroy());
    return client;
  };
  const poolAt = (url: string) => {
    const pool = new pg.Pool({ connectionString: url, max: 4 });
    pool.on("error", () => {});
    closing.push(() => pool.end());
    return pool;
  };
  const openBus = async (): Promise<InvalidationBus> => {
    const { busUrl, name: channel } = place;
    if (place.bus === "redis") {
      const [publisher, subscriber] = [await redisAt(busUrl), await redisAt(busUrl)];
      return redisBus({ publisher, subscriber, channel });
    }
    const connect = async () => {
      const client = new pg.Client({ connectionString: busUrl });
      await client.connect();
      return client;
    };
    return postgresBus({ connect, channel });
  };

  const inner =
    place.store === "redis"
      ? redisStore(await redisAt(place.storeUrl), { prefix: place.name })
      : postgresStore(poolAt(place.storeUrl), { table: place.name });
  const options: CachedStoreOptions = { ttl: place.ttl, storeTimeout: "5000ms" };
  const store = cachedStore(inner, place.bus === "none" ? options : { ...options, bus: await openBus() });
  await store.ready();
  return {
    inner,
    store,
    async close() {
      await store.close();
      for (const close of closing) await close();
    },
  };
}

/** From the parent: the key to verify from now on, or nothing more. */
export interface Order {
  readonly round: number;
  readonly secret: string | undefined;
}

/** To the parent. Times are nanoseconds of the system's monotonic clock, which all processes share. */
export type Report =
  | { readonly type: "ready" }
  /** The key of this round is accepted from memory; and when the last accepted request of the one before it came and went. */
  | { readonly type: "watching"; readonly round: number; readonly came: string; readonly went: string }
  | { readonly type: "refused"; readonly round: number };

async function watch(place: Place): Promise<void> {
  const { store, close } = await open(place);
  const verifier = createVerifier({ store, scopes, format, storeTimeout: "5000ms" });
  const say = (report: Report) => process.send?.(report);

  let order: Order | undefined;
  process.on("message", (message) => {
    order = message as Order;
  });
  say({ type: "ready" });
  while (order === undefined) await sleep(1);

  let before = { came: "0", went: "0" };
  while (order.secret !== undefined) {
    const { round, secret }: Order = order;
    const request = { headers: { authorization: `Bearer ${secret}` } };
    let [came, went] = [0n, 0n];
    let count = 0;
    let refused = false;
    while (order.round === round) {
      const began = hrtime.bigint();
      const { ok } = await verifier.verify(request, "vehicles:read");
      if (ok) {
        [came, went] = [began, hrtime.bigint()];
        count += 1;
        if (count === 3) say({ type: "watching", round, ...before });
      } else if (!refused) {
        refused = true;
        say({ type: "refused", round });
      }
      await (place.rest > 0 ? sleep(place.rest) : turn());
    }
    before = { came: String(came), went: String(went) };
  }
  say({ type: "watching", round: order.round, ...before });
  await close();
  process.disconnect();
}

if (import.meta.url === pathToFileURL(argv[1] ?? "").href) await watch(JSON.parse(argv[2] ?? "") as Place);
