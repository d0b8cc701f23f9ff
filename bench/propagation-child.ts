// A process of the propagation benchmark. It verifies one key in a loop, and reports when the key was last accepted.

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

/** What a process needs to open the cache, its store and its bus. */
export interface Config {
  readonly bus: "redis" | "postgres" | "none";
  readonly busUrl: string;
  readonly store: "redis" | "postgres";
  readonly storeUrl: string;
  /** The name of the channel, the table and the prefix; unique for a run. */
  readonly name: string;
  readonly ttl: `${number}s`;
  /** Milliseconds between two verifications; 0 for one turn of the event loop. */
  readonly pause: number;
}

export interface Opened {
  /** The store without the cache. */
  readonly inner: ManagedKeyStore & { migrate?(): Promise<void> };
  readonly store: CachedManagedKeyStore;
  close(): Promise<void>;
}

export async function open(config: Config): Promise<Opened> {
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
    const { busUrl, name: channel } = config;
    if (config.bus === "redis") {
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
    config.store === "redis"
      ? redisStore(await redisAt(config.storeUrl), { prefix: config.name })
      : postgresStore(poolAt(config.storeUrl), { table: config.name });
  const options: CachedStoreOptions = { ttl: config.ttl, storeTimeout: "5000ms" };
  const store = cachedStore(inner, config.bus === "none" ? options : { ...options, bus: await openBus() });
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

/** A message from the parent: the key to verify next, or `undefined` to stop. */
export interface Command {
  readonly round: number;
  readonly secret: string | undefined;
}

/** A message to the parent. Times are nanoseconds of the monotonic clock, which all processes share. */
export type Report =
  | { readonly type: "ready" }
  /** The key of this round is cached; with start and end of the last accepted request of the round before. */
  | { readonly type: "cached"; readonly round: number; readonly start: string; readonly end: string }
  | { readonly type: "denied"; readonly round: number };

async function verifyInLoop(config: Config): Promise<void> {
  const { store, close } = await open(config);
  const verifier = createVerifier({ store, scopes, format, storeTimeout: "5000ms" });
  const send = (report: Report) => process.send?.(report);

  let command: Command | undefined;
  process.on("message", (message) => {
    command = message as Command;
  });
  send({ type: "ready" });
  while (command === undefined) await sleep(1);

  let last = { start: "0", end: "0" };
  while (command.secret !== undefined) {
    const { round, secret }: Command = command;
    const request = { headers: { authorization: `Bearer ${secret}` } };
    let [start, end] = [0n, 0n];
    let count = 0;
    let denied = false;
    while (command.round === round) {
      const startedAt = hrtime.bigint();
      const { ok } = await verifier.verify(request, "vehicles:read");
      if (ok) {
        [start, end] = [startedAt, hrtime.bigint()];
        count += 1;
        if (count === 3) send({ type: "cached", round, ...last });
      } else if (!denied) {
        denied = true;
        send({ type: "denied", round });
      }
      await (config.pause > 0 ? sleep(config.pause) : turn());
    }
    last = { start: String(start), end: String(end) };
  }
  send({ type: "cached", round: command.round, ...last });
  await close();
  process.disconnect();
}

if (import.meta.url === pathToFileURL(argv[1] ?? "").href)
  await verifyInLoop(JSON.parse(argv[2] ?? "") as Config);
