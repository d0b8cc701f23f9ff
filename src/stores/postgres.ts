import { createHash } from "node:crypto";
import {
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  sql,
} from "kysely";
import { checkBoolean, hasMethod } from "../internal/validate.js";
import { warnWithoutErrorListener } from "../internal/warn.js";
import { createCteStatements, createTouch } from "./sql/cte-statements.js";
import { createSnapshotFeed } from "./sql/feed.js";
import { appliedVersion, createMigrations, readVersion } from "./sql/migrations.js";
import { createOwnerStatements } from "./sql/owners.js";
import {
  type PGliteDatabase,
  type PostgresPool,
  type PostgresServer,
  pgliteServer,
  pgServer,
} from "./sql/postgres-client.js";
import { type PostgresJs, postgresJsServer } from "./sql/postgres-js-client.js";
import { createQueries } from "./sql/queries.js";
import { columnsOf, KEY_COLUMNS, readTableNames, type TableNames, type Tables } from "./sql/schema.js";
import { createServerStore, type ServerStore, withRetries } from "./sql/server-store.js";
import type { Statement } from "./sql/statements.js";

export type {
  PGliteDatabase,
  PGliteQueries,
  PostgresConnection,
  PostgresPool,
  PostgresQuery,
  PostgresResult,
} from "./sql/postgres-client.js";

export type { PostgresJs, PostgresJsQueries } from "./sql/postgres-js-client.js";

/** Options of {@link postgresStore}. */
export interface PostgresStoreOptions {
  /**
   * The name of the key table, found and created along the `search_path`; `"keybearer_keys"` by default. The names of
   * the audit table, the migration table and the indexes begin with it. 1 to 40 characters of `A-Z a-z 0-9 _`.
   */
  readonly table?: string;
  /**
   * Whether lookups use named prepared statements; `true` by default. Set it to `false` behind a pooler in transaction
   * mode that does not support them, such as PgBouncer before 1.21, where every lookup would be sent twice.
   */
  readonly prepare?: boolean;
}

/** A store over PostgreSQL. */
export interface PostgresKeyStore extends ServerStore {
  /**
   * Creates the tables or applies missing migrations. Any number of processes may call it at once.
   *
   * @throws StoreError if the database reports an error; nothing is changed then.
   */
  migrate(): Promise<void>;
}

/**
 * Creates a store that keeps keys in PostgreSQL, through a pool of `pg`, the `sql` of Postgres.js or a PGlite instance.
 * Call `migrate()` before the first use.
 *
 * A change and its audit entry are one statement. Lookups that wait at the same time are one query. If the
 * connection breaks before the result of a change arrives, the change throws but may have been committed; read the key.
 *
 * A pool without an `error` listener ends the process when the server closes an idle connection; the process warning
 * `KEYBEARER_NO_ERROR_LISTENER` is emitted for it.
 *
 * PGlite has one connection: awaiting the store inside its `transaction()` deadlocks, and a transaction begun with
 * `exec("begin")` is committed by the next change.
 *
 * @throws TypeError if `client` is something else (a single client would stay broken after a
 *   connection error), or an option is invalid.
 *
 * @example
 * const pool = new Pool({ connectionString: process.env.DATABASE_URL });
 * pool.on("error", console.error);
 * const store = postgresStore(pool);
 * await store.migrate();
 * const verifier = createVerifier({ store, scopes, format });
 */
export function postgresStore(
  client: PostgresPool | PostgresJs | PGliteDatabase,
  options?: PostgresStoreOptions,
): PostgresKeyStore {
  const tables = readTableNames("postgresStore", options, ["prepare"]);
  const prepare = options?.prepare ?? true;
  checkBoolean("postgresStore", "prepare", prepare);
  const server = serverOf(client);
  warnWithoutErrorListener("postgresStore", client);
  const owners = createOwnerStatements(builder, tables, {
    skipDuplicate: sql`on conflict do nothing`,
    forUpdate: sql`for no key update`,
  });
  const feed = createSnapshotFeed(builder, tables);
  const migrations = createMigrations(builder, tables, COLUMN_TYPES, feed);

  /** Creates a lookup by one value, or by an array as one parameter. */
  const finder = (condition: string) => {
    const text = `select ${COLUMNS} from "${tables.keys}" where ${condition}`;
    // Named by its text: two versions of this library may share connections through a pooler.
    const name = `keybearer_${createHash("sha256").update(text).digest("hex").slice(0, 24)}`;
    const read = prepare ? (statement: Statement) => server.readPrepared(name, statement) : server.read;
    return (parameter: string | readonly string[]) =>
      read({ sql: text, parameters: [parameter] }).then(({ rows }) => rows);
  };
  // One value has its own statement: PostgreSQL replans an array lookup each time, because the plan depends on its
  // length.
  const findOne = { id: finder('"id" = $1'), hash: finder('"hash" = $1') };
  const findMany = { id: finder('"id" = any($1)'), hash: finder('"hash" = any($1)') };

  return Object.freeze({
    ...createServerStore({
      server,
      writes: createCteStatements(builder, tables, owners),
      owners,
      queries: createQueries(builder, tables),
      feed,
      readCommitted: server.read,
      find: (column, [first, ...others]) =>
        others.length === 0 ? findOne[column](first) : findMany[column]([first, ...others]),
      touch: createTouch(builder, tables),
    }),

    async migrate(): Promise<void> {
      const { steps, prepare: createTable, current, record } = migrations;
      const applied = await appliedVersion(server, migrations);
      if (applied !== undefined && applied >= steps.length) return;
      await withRetries(server, () =>
        server.transaction(async (run) => {
          await run(lock(tables));
          // Only if it is missing from the whole search path: "if not exists" looks at the first schema only.
          if (applied === undefined) await run(createTable);
          const version = readVersion((await run(current)).rows);
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

// Never connected: it compiles statements that run on the caller's connections.
const builder = new Kysely<Tables>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
});

// Not "*": a statement prepared before a migration would return other columns after it.
const COLUMNS = columnsOf(KEY_COLUMNS)
  .map((column) => `"${column}"`)
  .join(", ");

const COLUMN_TYPES = {
  // Compared byte by byte, whatever the collation of the database.
  word: sql`text collate "C"`,
  text: "text",
  integer: "bigint",
  flexibleIndexes: true,
} as const;

function serverOf(client: PostgresPool | PostgresJs | PGliteDatabase): PostgresServer {
  if (hasMethod(client, "unsafe") && hasMethod(client, "begin"))
    return postgresJsServer(client as PostgresJs);
  if (hasMethod(client, "query") && hasMethod(client, "transaction")) {
    return pgliteServer(client as PGliteDatabase);
  }
  // A client has connect() too, but only a client has release() or getTypeParser().
  const isClient = hasMethod(client, "release") || hasMethod(client, "getTypeParser");
  if (hasMethod(client, "connect") && !isClient) return pgServer(client as PostgresPool);
  throw new TypeError(
    "postgresStore: expected a Pool of pg, not a single client, the sql of Postgres.js, or a PGlite instance",
  );
}

/** Locks the migrations of these tables until the end of the transaction. */
function lock({ keys }: TableNames): Statement {
  const digest = createHash("sha256").update(`keybearer migrations of ${keys}`).digest();
  return { sql: "select pg_advisory_xact_lock($1)", parameters: [digest.readBigInt64BE().toString()] };
}
