import { randomBytes } from "node:crypto";
import { PGlite } from "@electric-sql/pglite";
import pg from "pg";
import postgres from "postgres";
import { postgresStore } from "../../../../src/stores/postgres.js";
import type { Backend, OpenStore } from "./backend.js";

interface Place {
  readonly url: string;
  readonly table: string;
}

/** The backends for PostgreSQL and PGlite. */
export function postgresBackends(url: string | undefined): readonly Backend[] {
  return [overPg(url), overPostgresJs(url), overPGlite()];
}

/** Returns a table name that no other test uses. */
export function freshTable(): string {
  return `keys_${randomBytes(6).toString("hex")}`;
}

/** Creates a pool that ignores broken connections. */
export function poolAt(url: string, options: pg.PoolConfig = {}): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max: 10, ...options });
  pool.on("error", () => {});
  return pool;
}

/** The statement that drops the tables of a store. */
export function dropTablesSql(table: string): string {
  return `drop table if exists "${table}", "${table}_audit", "${table}_owners", "${table}_migrations", "${table}_claims"`;
}

function overPg(url: string | undefined): Backend {
  const open = (place: Place) => {
    const pool = poolAt(place.url);
    const store = postgresStore(pool, { table: place.table });
    return { store, place: JSON.stringify(place), close: () => pool.end() } satisfies OpenStore;
  };
  return {
    name: "postgresStore over pg",
    missing: url === undefined ? "PostgreSQL was not found" : undefined,

    async create() {
      const opened = open({ url: url as string, table: freshTable() });
      await opened.store.migrate();
      return opened;
    },

    open: async (place) => open(JSON.parse(place)),

    async drop(place) {
      const { url, table }: Place = JSON.parse(place);
      const pool = poolAt(url, { max: 1 });
      await pool.query(dropTablesSql(table));
      await pool.end();
    },
  };
}

function overPostgresJs(url: string | undefined): Backend {
  const open = (place: Place) => {
    const sql = postgres(place.url, { max: 10, onnotice: () => {} });
    const store = postgresStore(sql, { table: place.table });
    return { store, place: JSON.stringify(place), close: () => sql.end() } satisfies OpenStore;
  };
  return {
    ...overPg(url),
    name: "postgresStore over Postgres.js",

    async create() {
      const opened = open({ url: url as string, table: freshTable() });
      await opened.store.migrate();
      return opened;
    },

    open: async (place) => open(JSON.parse(place)),
  };
}

let instance: Promise<PGlite> | undefined;

/** The instance of this process, shared because it takes a second to start. */
export function sharedPGlite(): Promise<PGlite> {
  instance ??= PGlite.create();
  return instance;
}

function overPGlite(): Backend {
  return {
    name: "postgresStore over PGlite",

    async create() {
      const table = freshTable();
      const store = postgresStore(await sharedPGlite(), { table });
      await store.migrate();
      return { store, place: JSON.stringify({ table }), close: async () => {} };
    },

    async drop(place) {
      const { table }: Place = JSON.parse(place);
      await (await sharedPGlite()).exec(dropTablesSql(table));
    },
  };
}
