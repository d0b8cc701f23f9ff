// Verifications compared with a lookup of the same row by the driver alone: one and 64 concurrent, with and without a cache.
// Databases that are not running are skipped.

import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "libsql";
import { createPool } from "mysql2/promise";
import pg from "pg";
import { createClient } from "redis";
import { cachedStore } from "../../dist/cache/index.js";
import { createVerifier, type KeyHash, type KeyStore, type ManagedKeyStore } from "../../dist/index.js";
import { mysqlStore } from "../../dist/stores/mysql.js";
import { postgresStore } from "../../dist/stores/postgres.js";
import { redisStore } from "../../dist/stores/redis.js";
import { sqliteStore } from "../../dist/stores/sqlite.js";
import { interleave, ratios, type Variant } from "../measure.js";
import { type Goal, printRow, ratioRow } from "../rows.js";
import { createPicker, fill, flat, format, type Issued, SCOPE, scopes } from "../service.js";

const KEYS = 1_000;
const TABLE = `bench_${process.pid}`;

interface Driver {
  readonly name: string;
  readonly lookup: string;
  readonly goals: Readonly<Record<number, Goal>>;
  open(): Promise<Opened>;
}

interface Opened {
  readonly store: ManagedKeyStore;
  /** Looks up a row with the driver alone. */
  find(hash: KeyHash): unknown;
  close(): Promise<unknown>;
}

const DRIVERS: readonly Driver[] = [
  {
    name: "SQLite (libsql)",
    lookup: "the prepared statement",
    goals: { 1: { most: 1.2 } },
    async open() {
      const file = join(tmpdir(), `${TABLE}.db`);
      const database = new Database(file);
      const store = sqliteStore(database, { table: TABLE });
      await store.migrate();
      const statement = database.prepare(`select * from "${TABLE}" where "hash" = ?`);
      return {
        store,
        find: (hash) => statement.get(hash),
        async close() {
          database.close();
          for (const suffix of ["", "-wal", "-shm"]) rmSync(file + suffix, { force: true });
        },
      };
    },
  },
  {
    name: "PostgreSQL (pg)",
    lookup: "the named prepared lookup",
    goals: { 1: { most: 1.1 }, 64: { most: 0.3 } },
    async open() {
      const url = process.env.POSTGRES_URL ?? "postgres://postgres@127.0.0.1:5432/postgres";
      const pool = new pg.Pool({ connectionString: url, max: 10, connectionTimeoutMillis: 5_000 });
      pool.on("error", () => {}); // the next query reports it
      const store = postgresStore(pool, { table: TABLE });
      await store.migrate();
      const text = `select * from "${TABLE}" where "hash" = $1`;
      return {
        store,
        find: async (hash) => (await pool.query({ name: "bench", text, values: [hash] })).rows[0],
        async close() {
          await pool.query(
            `drop table "${TABLE}", "${TABLE}_audit", "${TABLE}_migrations", "${TABLE}_claims"`,
          );
          await pool.end();
        },
      };
    },
  },
  {
    name: "MySQL (mysql2)",
    lookup: "the prepared lookup",
    goals: {},
    async open() {
      const pool = createPool({
        uri: process.env.MYSQL_URL ?? "mysql://root@127.0.0.1:3306/test",
        connectionLimit: 10,
      });
      const store = mysqlStore(pool, { table: TABLE });
      await store.migrate();
      const text = `select * from \`${TABLE}\` where \`hash\` = ?`;
      return {
        store,
        find: async (hash) => ((await pool.execute(text, [hash]))[0] as readonly unknown[])[0],
        async close() {
          await pool.query(
            `drop table \`${TABLE}\`, \`${TABLE}_audit\`, \`${TABLE}_migrations\`, \`${TABLE}_position\`, \`${TABLE}_claims\``,
          );
          await pool.end();
        },
      };
    },
  },
  {
    name: "Redis (node-redis)",
    lookup: "GET",
    goals: { 1: { most: 1.1 }, 64: { most: 0.75 } },
    async open() {
      const socket = { reconnectStrategy: false, connectTimeout: 5_000 } as const;
      const client = createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379", socket });
      client.on("error", () => {});
      await client.connect();
      return {
        store: redisStore(client, { prefix: TABLE }),
        find: (hash) => client.get(`{${TABLE}}:key:${hash}`),
        async close() {
          for await (const names of client.scanIterator({ MATCH: `{${TABLE}}:*`, COUNT: 1_000 })) {
            if (names.length > 0) await client.del(names);
          }
          await client.close();
        },
      };
    },
  },
];

for (const driver of DRIVERS) {
  let opened: Opened;
  try {
    opened = await driver.open();
  } catch (error) {
    console.error(
      `${driver.name} is skipped: ${error instanceof Error ? error.message || error.name : error}`,
    );
    continue;
  }
  try {
    await compare(driver, opened);
  } finally {
    await opened.close();
  }
}

async function compare({ name, lookup, goals }: Driver, { store, find }: Opened): Promise<void> {
  const keys = await fill(store, KEYS);
  const cache = cachedStore(store, { ttl: "60s" });
  for (const { record } of keys) await cache.findByHash(record.hash);
  for (const concurrency of [1, 64]) {
    const samples = await interleave(
      [
        driverLookup(find, keys, concurrency),
        verification("verify", store, keys, concurrency),
        verification("cached", cache, keys, concurrency),
      ],
      { clock: "wall", seconds: 2.5, slotMs: 40 },
    );
    const suffix = concurrency === 1 ? "" : `, ${concurrency} concurrent`;
    printRow(
      ratioRow("stores", `${name}${suffix}`, lookup, ratios(samples, "verify", "driver"), goals[concurrency]),
    );
    printRow(ratioRow("stores", `${name}${suffix}, cached`, lookup, ratios(samples, "cached", "driver")));
  }
}

function driverLookup(find: Opened["find"], keys: readonly Issued[], concurrency: number): Variant {
  const pick = createPicker(keys);
  return concurrent("driver", concurrency, async () => (await find(pick().record.hash)) !== undefined);
}

function verification(name: string, store: KeyStore, keys: readonly Issued[], concurrency: number): Variant {
  const verifier = createVerifier({ store, scopes, format, environment: "live", storeTimeout: "5000ms" });
  const pick = createPicker(
    keys.map(({ secret }) => ({ headers: { authorization: flat(`Bearer ${secret}`) } })),
  );
  return concurrent(name, concurrency, async () => (await verifier.verify(pick(), SCOPE)).ok);
}

/** Runs a number of requests concurrently. */
function concurrent(name: string, concurrency: number, one: () => Promise<boolean>): Variant {
  return {
    name,
    async run(count) {
      let left = count;
      const worker = async () => {
        while (left-- > 0) if (!(await one())) throw new Error(`${name}: a key was not found`);
      };
      await Promise.all(Array.from({ length: Math.min(concurrency, count) }, worker));
    },
  };
}
