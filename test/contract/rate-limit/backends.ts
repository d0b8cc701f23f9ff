import { randomBytes } from "node:crypto";
import { Redis } from "ioredis";
import Database from "libsql";
import { createPool } from "mysql2";
import pg from "pg";
import {
  RateLimiterMySQL,
  RateLimiterPostgres,
  RateLimiterRedis,
  RateLimiterSQLite,
} from "rate-limiter-flexible";
import { createClient } from "redis";
import { flexibleLimits, type LimitStore, memoryLimits, redisLimits } from "../../../src/rate-limit/index.js";
import type { Servers } from "../../servers.js";

/** An open limit store. */
export interface OpenLimits {
  readonly store: LimitStore;
  close(): Promise<unknown>;
}

export interface LimitBackend {
  readonly name: string;
  readonly missing?: string | undefined;
  /** Whether a request is counted in all windows atomically. */
  readonly atomic: boolean;
  open(): Promise<OpenLimits>;
}

const uniqueName = () => `limits_${randomBytes(6).toString("hex")}`;
const ANY = { points: 1, duration: 1 };

/** Resolves with the limiter when its table has been created. */
function ready<L>(create: (done: (error?: unknown) => void) => L): Promise<L> {
  return new Promise((resolve, reject) => {
    const limiter: L = create((error) => (error ? reject(error) : setImmediate(() => resolve(limiter))));
  });
}

export function limitBackends({ postgres, mysql, redis }: Servers): readonly LimitBackend[] {
  const noRedis = redis === undefined ? "Redis was not found" : undefined;
  return [
    {
      name: "memoryLimits",
      atomic: true,
      open: async () => ({ store: memoryLimits(), close: async () => {} }),
    },
    {
      name: "redisLimits over node-redis",
      missing: noRedis,
      atomic: true,
      async open() {
        const client = await createClient({ url: redis as string }).connect();
        return { store: redisLimits(client, { prefix: uniqueName() }), close: () => client.close() };
      },
    },
    {
      name: "redisLimits over ioredis",
      missing: noRedis,
      atomic: true,
      async open() {
        const client = new Redis(redis as string);
        return { store: redisLimits(client, { prefix: uniqueName() }), close: () => client.quit() };
      },
    },
    {
      name: "flexibleLimits over RateLimiterRedis and ioredis",
      missing: noRedis,
      atomic: false,
      async open() {
        const storeClient = new Redis(redis as string);
        const limiter = new RateLimiterRedis({ storeClient, keyPrefix: uniqueName(), ...ANY });
        return { store: flexibleLimits(limiter), close: () => storeClient.quit() };
      },
    },
    {
      name: "flexibleLimits over RateLimiterRedis and node-redis",
      missing: noRedis,
      atomic: false,
      async open() {
        const storeClient = await createClient({ url: redis as string }).connect();
        const limiter = new RateLimiterRedis({
          storeClient,
          keyPrefix: uniqueName(),
          useRedisPackage: true,
          ...ANY,
        });
        return { store: flexibleLimits(limiter), close: () => storeClient.close() };
      },
    },
    {
      name: "flexibleLimits over RateLimiterPostgres",
      missing: postgres === undefined ? "PostgreSQL was not found" : undefined,
      atomic: false,
      async open() {
        const pool = new pg.Pool({ connectionString: postgres as string, max: 10 });
        const tableName = uniqueName();
        const limiter = await ready(
          (done) => new RateLimiterPostgres({ storeClient: pool, tableName, ...ANY }, done),
        );
        return {
          store: flexibleLimits(limiter),
          close: async () => {
            await pool.query(`drop table if exists "${tableName}"`);
            await pool.end();
          },
        };
      },
    },
    {
      name: "flexibleLimits over RateLimiterMySQL",
      missing: mysql === undefined ? "MySQL or MariaDB was not found" : undefined,
      atomic: false,
      async open() {
        const pool = createPool({ uri: mysql as string, connectionLimit: 10 });
        const tableName = uniqueName();
        const dbName = new URL(mysql as string).pathname.slice(1);
        const limiter = await ready(
          (done) => new RateLimiterMySQL({ storeClient: pool, dbName, tableName, ...ANY }, done),
        );
        return {
          store: flexibleLimits(limiter),
          close: async () => {
            await pool.promise().query(`drop table if exists \`${tableName}\``);
            await pool.promise().end();
          },
        };
      },
    },
    {
      name: "flexibleLimits over RateLimiterSQLite and libsql",
      atomic: false,
      async open() {
        const storeClient = new Database(":memory:");
        const limiter = await ready(
          (done) =>
            new RateLimiterSQLite(
              { storeClient, storeType: "better-sqlite3", tableName: uniqueName(), ...ANY },
              done,
            ),
        );
        return { store: flexibleLimits(limiter), close: async () => storeClient.close() };
      },
    },
  ];
}
