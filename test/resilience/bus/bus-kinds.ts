import { randomUUID } from "node:crypto";
import { Redis } from "ioredis";
import pg from "pg";
import { createClient } from "redis";
import { type InvalidationBus, postgresBus, redisBus } from "../../../src/cache/index.js";

/** A bus and the clients of its host. */
export interface OpenBus {
  readonly bus: InvalidationBus;
  /** The number of event listeners on the clients. */
  listeners(): number;
  /** Closes the clients. */
  close(): Promise<void>;
}

/** A bus and client library that the tests run over. */
export interface BusKind {
  readonly name: string;
  readonly server: "redis" | "postgres";
  readonly defaultPort: number;
  /** Returns a unique channel. */
  channel(): string;
  /** `label` is the name of the connections on the server. */
  open(url: string, channel: string, label: string): Promise<OpenBus>;
  /** Makes the server close the subscribed connections with the label. Returns their number. */
  kill(url: string, label: string): Promise<number>;
}

interface Emitter {
  eventNames(): (string | symbol)[];
  listenerCount(event: string | symbol): number;
}

function countListeners(...emitters: Emitter[]): number {
  const counts = emitters.flatMap((emitter) =>
    emitter.eventNames().map((name) => emitter.listenerCount(name)),
  );
  return counts.reduce((sum, one) => sum + one, 0);
}

const nodeRedis: BusKind = {
  name: "redisBus over node-redis",
  server: "redis",
  defaultPort: 6379,
  channel: () => `keybearer:test:${randomUUID()}`,
  async open(url, channel, label) {
    const publisher = createClient({ url, name: `${label}-publisher` });
    const subscriber = createClient({ url, name: label });
    await Promise.all([publisher.connect(), subscriber.connect()]);
    return {
      bus: redisBus({ publisher, subscriber, channel }),
      listeners: () => countListeners(publisher as unknown as Emitter, subscriber as unknown as Emitter),
      async close() {
        publisher.destroy();
        subscriber.destroy();
      },
    };
  },
  kill: killRedis,
};

const ioRedis: BusKind = {
  ...nodeRedis,
  name: "redisBus over ioredis",
  async open(url, channel, label) {
    const publisher = new Redis(url, { connectionName: `${label}-publisher` });
    const subscriber = new Redis(url, { connectionName: label });
    return {
      bus: redisBus({ publisher, subscriber, channel }),
      listeners: () => countListeners(publisher, subscriber),
      async close() {
        publisher.disconnect();
        subscriber.disconnect();
      },
    };
  },
};

const postgres: BusKind = {
  name: "postgresBus over pg",
  server: "postgres",
  defaultPort: 5432,
  channel: () => `keybearer_test_${randomUUID().replaceAll("-", "")}`,
  async open(url, channel, label) {
    const connect = async () => {
      const client = new pg.Client({ connectionString: url, application_name: label });
      await client.connect();
      return client;
    };
    return { bus: postgresBus({ connect, channel }), listeners: () => 0, close: async () => {} };
  },
  async kill(url, label) {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const text = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1";
    const { rowCount } = await client.query(text, [label]);
    await client.end();
    return rowCount ?? 0;
  },
};

async function killRedis(url: string, label: string): Promise<number> {
  const client = createClient({ url });
  await client.connect();
  const list = String(await client.sendCommand(["CLIENT", "LIST"])).split("\n");
  const ids = list
    .filter((line) => line.includes(` name=${label} `))
    .map((line) => /^id=(\d+)/.exec(line)?.[1]);
  for (const id of ids) await client.sendCommand(["CLIENT", "KILL", "ID", String(id)]);
  client.destroy();
  return ids.length;
}

export const busKinds: readonly BusKind[] = [nodeRedis, ioRedis, postgres];

/** Returns the URL of a proxy to the server. */
export function through(url: string, port: number): string {
  const changed = new URL(url);
  changed.host = `127.0.0.1:${port}`;
  return changed.href;
}
