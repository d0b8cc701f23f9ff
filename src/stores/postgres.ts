import { createHash } from "node:crypto";
import {
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  sql,
} from "kysely";
import { createSingleStatements, createTouch } from "./sql/cte-statements.js";
import { appliedVersion, createMigrations, versionIn } from "./sql/migrations.js";
import {
  overPGlite,
  overPool,
  type PGliteDatabase,
  type PostgresPool,
  type PostgresServer,
} from "./sql/postgres-client.js";
import { createLists } from "./sql/queries.js";
import { columnsOf, KEY_COLUMNS, readTableNames, type TableNames, type Tables } from "./sql/schema.js";
import { attempt, createServerStore, type ServerStore } from "./sql/server-store.js";
import type { Statement } from "./sql/statements.js";

export type {
  PGliteDatabase,
  PGliteQueries,
  PostgresConnection,
  PostgresPool,
} from "./sql/postgres-client.js";

/** Options of {@link postgresStore}. */
export interface PostgresStoreOptions {
  /**
   * The table of keys, `keybearer_keys` by default; it is found and made along the `search_path` of the
   * connections. The names of the audit table, the table of migrations and the indexes begin with it. 1 to 40
   * of `A-Z a-z 0-9 _`.
   */
  readonly table?: string;
  /**
   * Whether lookups use a prepared statement that each connection keeps under a name; `true` by default. Set
   * it to `false` behind a pooler that changes connections between transactions and does not know prepared
   * statements, such as PgBouncer before 1.21: lookups work there either way, but each would be tried twice.
   */
  readonly prepare?: boolean;
}

/** A store over PostgreSQL. */
export interface PostgresKeyStore extends ServerStore {
  /**
   * Makes the tables, or brings them up to date. Does nothing when they are; any number of processes may call
   * it at once.
   *
   * @throws StoreError when the database refuses; then nothing was changed.
   */
  migrate(): Promise<void>;
}

/**
 * Keeps keys in PostgreSQL, through a pool of `pg` or an instance of PGlite that the host opened. Call
 * `migrate()` before the first use.
 *
 * A change of a key and its audit entry are one statement, so they are written together or not at all. The
 * lookups of one turn of the event loop are one query. When the answer to a change is lost with its
 * connection, the change throws, and may have happened; read the key to know.
 *
 * A PGlite instance does one thing at a time: who waits for the store inside of its `transaction()` waits for
 * ever, and a transaction that was begun with `exec("begin")` is committed with the next change.
 *
 * @throws TypeError for anything but a pool or a PGlite instance, such as a single client: a connection that
 *   breaks would stay broken; for an unknown option and a table name that is none.
 *
 * @example
 * const store = postgresStore(new Pool({ connectionString: process.env.DATABASE_URL }));
 * await store.migrate();
 * const verifier = createVerifier({ store, scopes, format });
 */
export function postgresStore(
  pool: PostgresPool | PGliteDatabase,
  options?: PostgresStoreOptions,
): PostgresKeyStore {
  const tables = readTableNames("postgresStore", options, ["prepare"]);
  const prepare = options?.prepare ?? true;
  if (typeof prepare !== "boolean") throw new TypeError('postgresStore: "prepare" must be true or false');
  const server = serverOver(pool);
  const migrations = createMigrations(builder, tables, COLUMN_TYPES);

  /** A lookup by one value, or by a list of them as one parameter. */
  const finder = (condition: string) => {
    const text = `select ${COLUMNS} from "${tables.keys}" where ${condition}`;
    // A name of its own for each text: two versions of this library may share connections through a pooler.
    const name = `keybearer_${createHash("sha256").update(text).digest("hex").slice(0, 24)}`;
    return async (parameter: string | readonly string[]) => {
      const statement: Statement = { sql: text, parameters: [parameter] };
      return (await (prepare ? server.readPrepared(name, statement) : server.read(statement))).rows;
    };
  };
  // For one value a statement of its own: the plan for a list is never kept, because it depends on its length.
  const findOne = { id: finder('"id" = $1'), hash: finder('"hash" = $1') };
  const findMany = { id: finder('"id" = any($1)'), hash: finder('"hash" = any($1)') };

  return Object.freeze({
    ...createServerStore({
      server,
      writes: createSingleStatements(builder, tables),
      lists: createLists(builder, tables),
      find: (column, [first, ...others]) =>
        others.length === 0 ? findOne[column](first) : findMany[column]([first, ...others]),
      touch: createTouch(builder, tables),
    }),

    async migrate(): Promise<void> {
      const { steps, prepare: makeTable, current, record } = migrations;
      const applied = await appliedVersion(server, migrations);
      if (applied !== undefined && applied >= steps.length) return;
      await attempt(server, () =>
        server.transaction(async (run) => {
          await run(lock(tables));
          // Asked before: the table may be in another schema of the search path than a new one would be.
          if (applied === undefined) await run(makeTable);
          const version = versionIn((await run(current)).rows);
          for (const [index, statements] of steps.entries()) {
            if (index < version) continue;
            for (const statement of statements) await run(statement);
            await run(record(index + 1, Date.now()));
          }
        }),
      );
    },
  });
}

// Never connected: it writes the statements, and the host's connections run them.
const builder = new Kysely<Tables>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
});

// Named one by one: a statement that was prepared before a migration must not read other columns after it.
const COLUMNS = columnsOf(KEY_COLUMNS)
  .map((column) => `"${column}"`)
  .join(", ");

const COLUMN_TYPES = {
  // Byte by byte, whatever the collation of the database is.
  word: sql`text collate "C"`,
  text: "text",
  integer: "bigint",
} as const;

function serverOver(pool: PostgresPool | PGliteDatabase): PostgresServer {
  const has = (method: string): boolean =>
    typeof (pool as unknown as Record<string, unknown> | null | undefined)?.[method] === "function";
  if (has("query") && has("transaction")) return overPGlite(pool as PGliteDatabase);
  // A client has connect() too; a pool has neither of the others.
  if (has("connect") && !has("release") && !has("getTypeParser")) return overPool(pool as PostgresPool);
  throw new TypeError("postgresStore: expected a Pool of pg, not a single client, or a PGlite instance");
}

/** Waits until no other process migrates these tables; the end of the transaction lets the next one. */
function lock({ keys }: TableNames): Statement {
  const digest = createHash("sha256").update(`keybearer migrations of ${keys}`).digest();
  return { sql: "select pg_advisory_xact_lock($1)", parameters: [digest.readBigInt64BE().toString()] };
}
