// Looks, once for all test files, which servers are there: PostgreSQL, MySQL or MariaDB, and Redis. What is
// missing is told in one line each, and its tests are skipped; in CI it is a failure.

import { createConnection } from "mysql2/promise";
import pg from "pg";
import { createClient } from "redis";
import type { TestProject } from "vitest/node";
import { startRedisCluster } from "./contract/redis-cluster.js";

/** Where each server is, or `undefined`. */
export interface Servers {
  readonly postgres: string | undefined;
  readonly mysql: string | undefined;
  readonly redis: string | undefined;
  /** The nodes of a cluster of three that was started for these tests. */
  readonly redisCluster: readonly string[] | undefined;
}

declare module "vitest" {
  interface ProvidedContext {
    servers: Servers;
  }
}

const PATIENCE_MS = 30_000;

const urls = {
  postgres: process.env.POSTGRES_URL ?? "postgres://postgres@127.0.0.1:5432/postgres",
  mysql: process.env.MYSQL_URL ?? "mysql://root@127.0.0.1:3306/test",
  redis: process.env.REDIS_URL ?? "redis://127.0.0.1:6379",
};

export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const cluster = await found("Redis Cluster", "redis-server", startRedisCluster);
  provide("servers", {
    postgres: await found("PostgreSQL", "POSTGRES_URL", () => askPostgres(urls.postgres)),
    mysql: await found("MySQL or MariaDB", "MYSQL_URL", () => askMysql(urls.mysql)),
    redis: await found("Redis", "REDIS_URL", () => askRedis(urls.redis)),
    redisCluster: cluster?.nodes,
  });
  return async () => cluster?.stop();
}

async function found<T>(name: string, hint: string, ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    const line = `${name} was not found (${hint}): ${error instanceof Error ? error.message || error.name : error}`;
    if (process.env.CI) throw new Error(line);
    console.warn(`${line}; its tests are skipped`);
    return undefined;
  }
}

async function askPostgres(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: PATIENCE_MS });
  await client.connect();
  try {
    await client.query("select 1");
  } finally {
    await client.end();
  }
  return url;
}

async function askMysql(uri: string): Promise<string> {
  const connection = await createConnection({ uri, connectTimeout: PATIENCE_MS });
  try {
    await connection.query("select 1");
  } finally {
    await connection.end();
  }
  return uri;
}

async function askRedis(url: string): Promise<string> {
  const client = createClient({
    url,
    socket: { connectTimeout: PATIENCE_MS, reconnectStrategy: false },
  });
  client.on("error", () => {}); // the rejection of connect() says the same
  await client.connect();
  try {
    await client.ping();
  } finally {
    client.destroy();
  }
  return url;
}
