import { closeSync, existsSync, openSync } from "node:fs";
import { dirname } from "node:path";
import type { IoRedisScripting, NodeRedisScripting } from "../internal/redis-client.js";
import { type ManagedKeyStore, withStoreTimeout } from "../kit.js";
import type { MysqlPool } from "../stores/mysql.js";
import type { PostgresPool } from "../stores/postgres.js";
import type { IoRedisClient, NodeRedisClient } from "../stores/redis.js";
import type { SqliteDatabase } from "../stores/sqlite.js";
import { loadDriver } from "./drivers.js";
import { CommandError, EXIT } from "./errors.js";
import { escapeText } from "./escape.js";
import type { StoreTarget } from "./store-url.js";

/** An open store. */
export interface Connection {
  readonly store: ManagedKeyStore;
  /** Creates or updates the tables of an SQL store. */
  migrate(): Promise<void>;
  /** The client of a store in Redis. */
  readonly redis?: NodeRedisScripting | IoRedisScripting;
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
 * Why the store is opened. `migrate` creates a missing SQLite file. `bulk` is work that can be repeated, so SQLite does
 * not have to sync every write to disk. `serve` creates a missing SQLite file, and reconnects.
 */
export type Purpose = "migrate" | "bulk" | "serve" | "default";

type Server = Exclude<StoreTarget, { kind: "sqlite" }>;
type Closable<T> = T & { close(): unknown };

const CLOSE_TIMEOUT_MS = 5_000;
const MAX_CONNECTIONS = 5; // imports write concurrently
const MAX_RECONNECT_DELAY_MS = 1_000;

/**
 * Opens the store.
 *
 * @throws CommandError if the server does not respond in time, or no driver is installed.
 */
export function connect(target: StoreTarget, options: ConnectOptions): Promise<Connection> {
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
  const isNew = !existsSync(file);
  if (isNew && options.purpose !== "migrate" && options.purpose !== "serve") {
    throw new CommandError(EXIT.failed, `${label} does not exist. Create it with: npx keybearer migrate`);
  }
  const folder = dirname(file);
  if (isNew && !existsSync(folder)) {
    throw cannotOpen(label, `the directory ${escapeText(folder)} does not exist`);
  }
  const Database = driver.member(driver.name === "node:sqlite" ? "DatabaseSync" : "default") as {
    new (file: string): Closable<SqliteDatabase>;
  };
  let database: Closable<SqliteDatabase>;
  if (isNew) createFile(file);
  try {
    database = new Database(file);
  } catch (error) {
    throw cannotOpen(label, escapeText((error as Error).message));
  }
  const { sqliteStore } = await import("../stores/sqlite.js");
  const store = sqliteStore(database, tableOf(options));
  const bulk = options.purpose === "bulk" && journalMode(database) === "wal";
  // With a write-ahead log, a power failure may lose the last writes, but not damage the file.
  if (bulk) database.exec("pragma synchronous = normal");
  const close = async () => {
    if (bulk) database.exec("pragma wal_checkpoint");
    database.close();
  };
  return { store, migrate: store.migrate, close };
}

/** Creates an empty database that only its owner can read, before a driver creates it with the default mode. */
function createFile(file: string): void {
  try {
    closeSync(openSync(file, "a", 0o600));
  } catch {
    // the driver reports why
  }
}

function journalMode(database: SqliteDatabase): unknown {
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
    max: MAX_CONNECTIONS,
  });
  pool.on("error", () => {}); // idle connections; the next statement reports it
  const close = withCloseTimeout(() => pool.end());
  await waitUntilReady(target, options, async () => (await pool.connect()).release(), close);
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
    connectionLimit: MAX_CONNECTIONS,
  });
  const close = withCloseTimeout(() => pool.end());
  await waitUntilReady(target, options, async () => (await pool.getConnection()).release(), close);
  const { mysqlStore } = await import("../stores/mysql.js");
  const store = mysqlStore(pool, tableOf(options));
  return { store, migrate: store.migrate, close };
}

/** The methods of both Redis clients that open and close a connection. */
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
    const socket = {
      connectTimeout: options.timeoutMs,
      reconnectStrategy: options.purpose === "serve" ? reconnectDelay : false,
    };
    return createClient({ url: target.url, socket, disableOfflineQueue: true });
  }
  function ioRedis(): RedisClient {
    const Redis = driver.member("Redis") as { new (url: string, settings: object): RedisClient };
    const retryStrategy = options.purpose === "serve" ? reconnectDelay : () => null;
    const settings = { lazyConnect: true, connectTimeout: options.timeoutMs, retryStrategy };
    return new Redis(target.url, { ...settings, maxRetriesPerRequest: 0 });
  }

  client.on("error", () => {}); // each command reports its own error
  const abort = withCloseTimeout(async () => (client.destroy ? client.destroy() : client.disconnect()));
  await waitUntilReady(target, options, () => client.connect(), abort);
  const { redisStore } = await import("../stores/redis.js");
  const { redisPrefix: prefix } = options;
  const store = redisStore(client, prefix === undefined ? {} : { prefix });
  const close = withCloseTimeout(() => client.close?.() ?? client.quit());
  return { store, migrate: async () => {}, redis: client as NodeRedisScripting | IoRedisScripting, close };
}

function reconnectDelay(attempt: number): number {
  return Math.min(attempt * 100, MAX_RECONNECT_DELAY_MS);
}

/**
 * Waits until the server has responded once.
 *
 * @throws CommandError without the password, even if the error of the driver contains it.
 */
async function waitUntilReady(
  target: Server,
  { timeoutMs }: ConnectOptions,
  ping: () => Promise<unknown>,
  close: () => Promise<void>,
): Promise<void> {
  let driverError: unknown;
  try {
    // The time limits of drivers end when the connection is open.
    await withStoreTimeout(
      ping().catch((error: unknown) => {
        driverError = error;
        throw error;
      }),
      timeoutMs,
      target.label,
    );
  } catch (error) {
    await close();
    const { code, message } = (driverError ?? error) as NodeJS.ErrnoException;
    const detail =
      driverError === undefined ? `no response within ${timeoutMs} ms` : message || code || "failed";
    throw cannotOpen(target.label, escapeText(target.redact(detail)));
  }
}

function cannotOpen(label: string, detail: string): CommandError {
  return new CommandError(EXIT.failed, `Cannot open ${label}: ${detail}`);
}

/** Bounds the time of closing a connection. A connection that hangs ends with the process. */
function withCloseTimeout(close: () => Promise<unknown>): () => Promise<void> {
  return async () => {
    await withStoreTimeout(Promise.resolve().then(close), CLOSE_TIMEOUT_MS).catch(() => {});
  };
}

function tableOf({ table }: ConnectOptions): { table?: string } {
  return table === undefined ? {} : { table };
}
