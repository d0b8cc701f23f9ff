// Opens the store of the soak test over each database server.

import { createPool } from "mysql2/promise";
import pg from "pg";
import { createClient } from "redis";
import { mysqlStore } from "../../../src/stores/mysql.js";
import { postgresStore } from "../../../src/stores/postgres.js";
import { redisStore } from "../../../src/stores/redis.js";

const CONNECTIONS = 8;
const CONNECT_MS = 10_000;

export const KINDS = ["postgres", "mysql", "redis"] as const;
export type Kind = (typeof KINDS)[number];

/** Opens a store over the server at a URL. Its clients connect again after a restart of the server. */
export async function openStore(kind: Kind, url: string) {
  if (kind === "postgres") {
    const pool = new pg.Pool({
      connectionString: url,
      max: CONNECTIONS,
      connectionTimeoutMillis: CONNECT_MS,
    });
    pool.on("error", () => {});
    const store = postgresStore(pool);
    await store.migrate();
    return { store, close: () => pool.end() };
  }
  if (kind === "mysql") {
    const pool = createPool({ uri: url, connectionLimit: CONNECTIONS, connectTimeout: CONNECT_MS });
    const store = mysqlStore(pool);
    await store.migrate();
    return { store, close: () => pool.end() };
  }
  const client = await connectRedis(url);
  return { store: redisStore(client), close: async () => client.destroy() };
}

/** Connects to a Redis, and again whenever the connection is lost. Commands fail while it is. */
export async function connectRedis(url: string) {
  const client = createClient({ url, socket: { reconnectStrategy: 200 }, disableOfflineQueue: true });
  client.on("error", () => {});
  await client.connect();
  return client;
}
