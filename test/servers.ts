// The global setup: finds PostgreSQL, MySQL or MariaDB, and Redis once for all test files. The tests of a missing
// server are skipped with a warning; in CI it is an error.

import { createConnection } from "mysql2/promise";
import pg from "pg";
import { createClient } from "redis";
import type { TestProject } from "vitest/node";
import { startRedisCluster } from "./contract/redis-cluster.js";

/** The URL of each server, or `undefined` if it was not found. */
export interface Servers {
  readonly postgres: string | undefined;
  readonly mysql: string | undefined;
  readonly redis: string | undefined;
  /** The nodes of a cluster that was started for these tests. */
  readonly redisCluster: readonly string[] | undefined;
}

declare module "vitest" {
  interface ProvidedContext {
    servers: Servers;
  }
}

const TIMEOUT_MS = 30_000;

const urls = {
  postgres: process.env.POSTGRES_URL ?? "postgres://postgres@127.0.0.1:5432/postgres",
  mysql: process.env.MYSQL_URL ?? "mysql://root@127.0.0.1:3306/test",
  redis: process.env.REDIS_URL ?? "redis://127.0.0.1:6379",
};

export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const cluster = await find("Redis Cluster", "redis-server", startRedisCluster);
  provide("servers", {
    postgres: await find("PostgreSQL", "POSTGRES_URL", () => connectPostgres(urls.postgres)),
    mysql: await find("MySQL or MariaDB", "MYSQL_URL", () => connectMysql(urls.mysql)),
    redis: await find("Redis", "REDIS_URL", () => connectRedis(urls.redis)),
    redisCluster: cluster?.nodes,
  });
  return async () => cluster?.stop();
}

async function find<T>(name: string, hint: string, connect: () => Promise<T>): Promise<T | undefined> {
  try {
    return await connect();
  } catch (error) {
    const line = `${name} was not found (${hint}): ${error instanceof Error ? error.message || error.name : error}`;
    if (process.env.CI) throw new Error(line);
    console.warn(`${line}; its tests are skipped`);
    return undefined;
  }
}

async function connectPostgres(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: TIMEOUT_MS });
  await client.connect();
  try {
    await client.query("select 1");
  } finally {
    await client.end();
  }
  return url;
}

async function connectMysql(uri: string): Promise<string> {
  const connection = await createConnection({ uri, connectTimeout: TIMEOUT_MS });
  try {
    await connection.query("select 1");
  } finally {
    await connection.end();
  }
  return uri;
}

async function connectRedis(url: string): Promise<string> {
  const client = createClient({
    url,
    socket: { connectTimeout: TIMEOUT_MS, reconnectStrategy: false },
  });
  client.on("error", () => {}); // connect() rejects with the same error
  await client.connect();
  try {
    await client.ping();
  } finally {
    client.destroy();
  }
  return url;
}
