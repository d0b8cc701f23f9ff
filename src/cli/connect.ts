import { existsSync } from "node:fs";
import { type ManagedKeyStore, withStoreTimeout } from "../kit.js";
import type { MysqlPool } from "../stores/mysql.js";
import type { PostgresPool } from "../stores/postgres.js";
import type { IoRedisClient, NodeRedisClient } from "../stores/redis.js";
import type { SqliteDatabase } from "../stores/sqlite.js";
import { loadDriver } from "./drivers.js";
import { CommandError, EXIT } from "./failure.js";
import { printable } from "./printable.js";
import type { Target } from "./target.js";

/** A store, and the connection that was opened for it. */
export interface Connection {
  readonly store: ManagedKeyStore;
  /** Makes the tables, where there are any. */
  migrate(): Promise<void>;
  close(): Promise<void>;
}

/** How to open a store. */
export interface ConnectOptions {
  readonly table: string | undefined;
  readonly redisPrefix: string | undefined;
  readonly timeoutMs: number;
  readonly purpose: Purpose;
}

/**
 * What the store is opened for. `migrate` makes a SQLite file that is not there. `bulk` is work that can be done
 * again from the start, so that not every single write must have reached the disk of a SQLite file.
 */
export type Purpose = "migrate" | "bulk" | "usual";

type Server = Exclude<Target, { kind: "sqlite" }>;
type Closable<T> = T & { close(): unknown };

const CLOSE_TIMEOUT_MS = 5_000;
// Imports write several keys at once.
const CONNECTIONS = 5;

/**
 * Opens the store.
 *
 * @throws CommandError when the server cannot be reached in time, or no driver for it is installed.
 */
export function connect(target: Target, options: ConnectOptions): Promise<Connection> {
  switch (target.kind) {
    case "sqlite":
      return openSqlite(target.file, target.label, options);
    case "postgres":
      return openPostgres(target, options);
    case "mysql":
      return openMysql(target, options);
    case "redis":
      return openRedis(target, options);
  }
}

async function openSqlite(file: string, label: string, options: ConnectOptions): Promise<Connection> {
  const driver = await loadDriver("SQLite", "libsql", "better-sqlite3", "node:sqlite");
  const fresh = !existsSync(file);
  if (fresh && options.purpose !== "migrate") {
    throw new CommandError(EXIT.failed, `There is no file for ${label} yet: run npx keybearer migrate`);
  }
  const Database = driver.member(driver.name === "node:sqlite" ? "DatabaseSync" : "default") as {
    new (file: string): Closable<SqliteDatabase>;
  };
  let database: Closable<SqliteDatabase>;
  try {
    database = new Database(file);
  } catch (error) {
    throw unreachable(label, printable((error as Error).message));
  }
  const { sqliteStore } = await import("../stores/sqlite.js");
  const store = sqliteStore(database, tableOf(options));
  const bulk = options.purpose === "bulk" && journalOf(database) === "wal";
  // The service and this command are two processes: neither shall wait for the other to read.
  if (fresh) database.exec("pragma journal_mode = wal");
  // Crash-safe with a write-ahead log: a power failure may take the last writes, and breaks nothing.
  if (bulk) database.exec("pragma synchronous = normal");
  const close = async () => {
    if (bulk) database.exec("pragma wal_checkpoint");
    database.close();
  };
  return { store, migrate: store.migrate, close };
}

function journalOf(database: SqliteDatabase): unknown {
  return (database.prepare("pragma journal_mode").get() as { journal_mode?: unknown }).journal_mode;
}

async function openPostgres(target: Server, options: ConnectOptions): Promise<Connection> {
  const driver = await loadDriver("PostgreSQL", "pg");
  const Pool = driver.member("Pool") as {
    new (
      config: object,
    ): PostgresPool & { on(event: "error", listener: () => void): void; end(): Promise<void> };
  };
  const pool = new Pool({
    connectionString: target.url,
    connectionTimeoutMillis: options.timeoutMs,
    max: CONNECTIONS,
  });
  pool.on("error", () => {}); // of connections at rest: the next statement says it
  const close = closing(() => pool.end());
  await reached(target, options, async () => (await pool.connect()).release(), close);
  const { postgresStore } = await import("../stores/postgres.js");
  const store = postgresStore(pool, tableOf(options));
  return { store, migrate: store.migrate, close };
}

async function openMysql(target: Server, options: ConnectOptions): Promise<Connection> {
  const driver = await loadDriver("MySQL", "mysql2/promise");
  const createPool = driver.member("createPool") as (
    config: object,
  ) => MysqlPool & { end(): Promise<void>; getConnection(): Promise<{ release(): void }> };
  const pool = createPool({
    uri: target.url,
    connectTimeout: options.timeoutMs,
    connectionLimit: CONNECTIONS,
  });
  const close = closing(() => pool.end());
  await reached(target, options, async () => (await pool.getConnection()).release(), close);
  const { mysqlStore } = await import("../stores/mysql.js");
  const store = mysqlStore(pool, tableOf(options));
  return { store, migrate: store.migrate, close };
}

/** What differs between the clients of Redis, for opening and closing. */
type RedisClient = (NodeRedisClient | IoRedisClient) & {
  on(event: "error", listener: () => void): void;
  connect(): Promise<unknown>;
  close?(): Promise<void>;
  quit(): Promise<unknown>;
  destroy?(): void;
  disconnect(): unknown;
};

async function openRedis(target: Server, options: ConnectOptions): Promise<Connection> {
  const driver = await loadDriver("Redis", "redis", "ioredis");
  const client = driver.name === "redis" ? nodeRedis() : ioRedis();

  function nodeRedis(): RedisClient {
    const createClient = driver.member("createClient") as (settings: object) => RedisClient;
    const socket = { connectTimeout: options.timeoutMs, reconnectStrategy: false };
    return createClient({ url: target.url, socket, disableOfflineQueue: true });
  }
  function ioRedis(): RedisClient {
    const Redis = driver.member("Redis") as { new (url: string, settings: object): RedisClient };
    const settings = { lazyConnect: true, connectTimeout: options.timeoutMs, retryStrategy: () => null };
    return new Redis(target.url, { ...settings, maxRetriesPerRequest: 0 });
  }

  client.on("error", () => {}); // every command tells its own
  const give = closing(async () => (client.destroy ? client.destroy() : client.disconnect()));
  await reached(target, options, () => client.connect(), give);
  const { redisStore } = await import("../stores/redis.js");
  const { redisPrefix: prefix } = options;
  const store = redisStore(client, prefix === undefined ? {} : { prefix });
  const close = closing(() => client.close?.() ?? client.quit());
  return { store, migrate: async () => {}, close };
}

/** Waits until the server has answered once. @throws CommandError without the password, whatever was said. */
async function reached(
  target: Server,
  { timeoutMs }: ConnectOptions,
  ask: () => Promise<unknown>,
  close: () => Promise<void>,
): Promise<void> {
  let problem: unknown;
  try {
    // Drivers have time limits of their own, which do not count what comes behind the connection.
    await withStoreTimeout(
      ask().catch((error: unknown) => {
        problem = error;
        throw error;
      }),
      timeoutMs,
      target.label,
    );
  } catch (error) {
    await close();
    const { code, message } = (problem ?? error) as NodeJS.ErrnoException;
    const detail = problem === undefined ? `no answer within ${timeoutMs} ms` : message || code || "failed";
    throw unreachable(target.label, printable(target.redact(detail)));
  }
}

function unreachable(label: string, detail: string): CommandError {
  return new CommandError(EXIT.failed, `Cannot open ${label}: ${detail}`);
}

/** Closes, but not for ever: what hangs ends with the process. */
function closing(close: () => Promise<unknown>): () => Promise<void> {
  return async () => {
    await withStoreTimeout(Promise.resolve().then(close), CLOSE_TIMEOUT_MS).catch(() => {});
  };
}

function tableOf({ table }: ConnectOptions): { table?: string } {
  return table === undefined ? {} : { table };
}
