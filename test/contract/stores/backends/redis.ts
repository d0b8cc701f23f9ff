import { randomUUID } from "node:crypto";
import { Cluster, Redis } from "ioredis";
import { createClient, createCluster } from "redis";
import { type RedisKeyStore, redisStore } from "../../../../src/stores/redis.js";
import type { Backend, OpenStore } from "./backend.js";

type Client = Parameters<typeof redisStore>[0];

/** A client that several stores share, because connecting takes longer than most tests. */
interface Shared {
  readonly client: Promise<Client>;
  readonly close: () => Promise<void>;
  users: number;
  closing: NodeJS.Timeout | undefined;
}

interface Kind {
  readonly name: string;
  connect(urls: readonly string[]): Promise<{ client: Client; close(): Promise<void> }>;
}

interface Place {
  readonly kind: string;
  readonly urls: readonly string[];
  readonly prefix: string;
}

/** An open store, and what a test needs for direct access to Redis. */
export interface OpenRedisStore extends OpenStore {
  readonly store: RedisKeyStore;
  readonly client: Client;
  readonly urls: readonly string[];
  readonly prefix: string;
}

export interface RedisBackend extends Backend {
  create(): Promise<OpenRedisStore>;
  open(place: string): Promise<OpenRedisStore>;
}

const IDLE_MS = 200;
const ignore = (): void => {}; // commands reject with their own errors

const single: readonly Kind[] = [
  {
    name: "redisStore over node-redis",
    async connect([url = ""]) {
      const client = createClient({ url });
      client.on("error", ignore);
      await client.connect();
      return { client, close: () => client.close() };
    },
  },
  {
    name: "redisStore over ioredis",
    async connect([url = ""]) {
      const client = new Redis(url, { lazyConnect: true });
      client.on("error", ignore);
      await client.connect();
      return { client, close: async () => void (await client.quit()) };
    },
  },
];

const clustered: readonly Kind[] = [
  {
    name: "redisStore over node-redis, in a cluster",
    async connect(urls) {
      const client = createCluster({ rootNodes: urls.map((url) => ({ url })) });
      client.on("error", ignore);
      await client.connect();
      return { client, close: () => client.close() };
    },
  },
  {
    name: "redisStore over ioredis, in a cluster",
    async connect(urls) {
      const client = new Cluster([...urls], { lazyConnect: true });
      client.on("error", ignore);
      await client.connect();
      return { client, close: async () => void (await client.quit()) };
    },
  },
];

/** The backends for Redis over both clients, as a single server and as a cluster. */
export function redisBackends(
  url: string | undefined,
  clusterNodes: readonly string[] | undefined,
): RedisBackend[] {
  const server = url === undefined ? undefined : [url];
  return [
    ...single.map((kind) => backend(kind, server, "Redis was not found")),
    ...clustered.map((kind) => backend(kind, clusterNodes, "Redis Cluster was not found")),
  ];
}

function backend(kind: Kind, urls: readonly string[] | undefined, missing: string): RedisBackend {
  const open = async (text: string): Promise<OpenRedisStore> => {
    const { urls, prefix }: Place = JSON.parse(text);
    const { client, release } = await borrow(kind, urls);
    return { store: redisStore(client, { prefix }), place: text, close: release, client, urls, prefix };
  };
  return {
    name: kind.name,
    missing: urls === undefined ? missing : undefined,
    create: () => open(JSON.stringify({ kind: kind.name, urls, prefix: `test-${randomUUID()}` })),
    open,
    async drop(text) {
      const { urls, prefix }: Place = JSON.parse(text);
      // Each node of a cluster lists and deletes its own keys.
      for (const url of urls) await deleteKeys(url, prefix);
    },
  };
}

async function deleteKeys(url: string, prefix: string): Promise<void> {
  const { client, release } = await borrow(single[1] as Kind, [url]);
  try {
    for await (const keys of (client as Redis).scanStream({ match: `{${prefix}}:*`, count: 10_000 })) {
      if (keys.length > 0) await (client as Redis).unlink(...keys);
    }
  } finally {
    await release();
  }
}

const connections = new Map<string, Shared>();

/** Returns a shared client. It is closed some time after its last user released it. */
async function borrow(
  kind: Kind,
  urls: readonly string[],
): Promise<{ client: Client; release(): Promise<void> }> {
  const name = [kind.name, ...urls].join(" ");
  const shared = connections.get(name) ?? share(name, kind.connect(urls));
  shared.users += 1;
  clearTimeout(shared.closing);
  return {
    client: await shared.client,
    async release() {
      shared.users -= 1;
      if (shared.users === 0) shared.closing = setTimeout(shared.close, IDLE_MS);
    },
  };
}

function share(name: string, connecting: ReturnType<Kind["connect"]>): Shared {
  const shared: Shared = {
    client: connecting.then(({ client }) => client),
    close: async () => {
      connections.delete(name);
      await (await connecting).close();
    },
    users: 0,
    closing: undefined,
  };
  connections.set(name, shared);
  shared.client.catch(() => connections.delete(name));
  return shared;
}
