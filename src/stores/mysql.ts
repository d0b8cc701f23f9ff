import { DummyDriver, Kysely, MysqlAdapter, MysqlIntrospector, MysqlQueryCompiler, sql } from "kysely";
import { hasMethod } from "../internal/validate.js";
import { StoreError } from "../kit.js";
import { encodeTime, type StoredRow } from "./record-codec.js";
import { createCounterFeed } from "./sql/feed.js";
import { appliedVersion, createMigrations, readVersion } from "./sql/migrations.js";
import { errnoOf, type MysqlPool, mysqlServer } from "./sql/mysql-client.js";
import { createOwnerStatements } from "./sql/owners.js";
import { createQueries } from "./sql/queries.js";
import {
  ADDED_MEMBERS,
  AUDIT_COLUMNS,
  columnsOf,
  KEY_COLUMNS,
  readTableNames,
  type TableNames,
  type Tables,
} from "./sql/schema.js";
import { createServerStore, type RunStatement, type ServerStore, withRetries } from "./sql/server-store.js";
import type { Dialect, Statement } from "./sql/statements.js";
import { createTransactions, toPaddedChunks } from "./sql/transactions.js";

export type {
  MysqlConnection,
  MysqlPool,
  MysqlQuery,
  MysqlValue,
} from "./sql/mysql-client.js";

/** A pool of `mysql2`, which takes callbacks. */
export interface MysqlCallbackPool {
  promise(): MysqlPool;
}

/** Options of {@link mysqlStore}. */
export interface MysqlStoreOptions {
  /**
   * The name of the key table, in the database that the pool connects to; `"keybearer_keys"` by default. The names of
   * the audit table, the migration table and the indexes begin with it. 1 to 40 characters of `A-Z a-z 0-9 _`.
   */
  readonly table?: string;
}

/** A store over MySQL or MariaDB. */
export interface MysqlKeyStore extends ServerStore {
  /**
   * Creates the tables or applies missing migrations. Any number of processes may call it at once. After an error or a
   * crash it can be called again.
   *
   * @throws StoreError if the database reports an error, or another process migrates for more than a minute.
   */
  migrate(): Promise<void>;
}

/**
 * Creates a store that keeps keys in MySQL 8 or MariaDB 10.5, or later, through a pool of `mysql2` or `mysql2/promise`.
 * Call `migrate()` before the first use.
 *
 * A change and its audit entry are one transaction on one connection. Lookups that wait at the same time are one
 * query. If the connection breaks before the result of a commit arrives, the change throws but may have been committed;
 * read the key.
 *
 * Strings are stored as UTF-8 in binary columns: read them with `convert(name using utf8mb4)`.
 *
 * @throws TypeError if `pool` is not a pool (a single connection would stay broken after an error), or an option is
 *   invalid.
 *
 * @example
 * const store = mysqlStore(createPool(process.env.DATABASE_URL));
 * await store.migrate();
 * const verifier = createVerifier({ store, scopes, format });
 */
export function mysqlStore(pool: MysqlPool | MysqlCallbackPool, options?: MysqlStoreOptions): MysqlKeyStore {
  const tables = readTableNames("mysqlStore", options);
  const server = mysqlServer(toPromisePool(pool));
  const owners = createOwnerStatements(builder, tables, {
    skipDuplicate: sql`on duplicate key update owner_id = owner_id`,
    forUpdate: sql`for update`,
  });
  const feed = createCounterFeed(builder, tables, COLUMN_TYPES);
  const migrations = createMigrations(builder, tables, COLUMN_TYPES, feed);

  return Object.freeze({
    ...createServerStore({
      server,
      writes: createTransactions(builder, tables, { dialect: DIALECT, owners }, (insert) =>
        insert.onDuplicateKeyUpdate({ id: sql.ref("id") }),
      ),
      owners,
      queries: createQueries(builder, tables, {
        toText: (bytes) => sql`convert(${bytes} using utf8mb4)`,
      }),
      feed,
      readCommitted: server.readCommitted,
      find: (column, values) => find(server.read, tables, column, values),
      touch: (uses) => touch(tables, uses),
    }),

    async migrate(): Promise<void> {
      const { steps, prepare, current, record } = migrations;
      const applied = await appliedVersion(server, migrations);
      if (applied !== undefined && applied >= steps.length) return;
      await withRetries(server, () =>
        server.withLock(`keybearer ${tables.keys}`, async (run) => {
          await run(prepare);
          const version = readVersion((await run(current)).rows);
          if (version === 0) await rejectForeignTables(run, tables);
          for (const [index, statements] of steps.entries()) {
            if (index < version) continue;
            for (const statement of statements) await run(statement).catch(ignoreIfApplied);
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
    createAdapter: () => new MysqlAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new MysqlIntrospector(db),
    createQueryCompiler: () => new MysqlQueryCompiler(),
  },
});

const COLUMN_TYPES = {
  // Binary: every text collation that MySQL and MariaDB share treats "key_a " as "key_a".
  word: sql`varbinary(1020)`,
  text: sql`mediumblob`,
  integer: "bigint",
  flexibleIndexes: false,
  // Transactions, and indexes over three such columns, whatever the server's defaults.
  tableEnd: sql`engine=InnoDB row_format=dynamic`,
} as const;

const DIALECT: Dialect = {
  castTypes: {
    word: "binary",
    text: "binary",
    json: "binary",
    list: "binary",
    integer: "signed",
    time: "signed",
  },
  lockRows: sql`lock in share mode`, // MariaDB has no "for share"
};

const MAX_CHUNK = 512;
const EARLIEST = -8_640_000_000_000_000;

function toPromisePool(pool: MysqlPool | MysqlCallbackPool): MysqlPool {
  // A single connection has promise() and execute(), but no getConnection().
  if (hasMethod(pool, "getConnection")) {
    if (hasMethod(pool, "promise")) return (pool as MysqlCallbackPool).promise();
    if (hasMethod(pool, "execute")) return pool as MysqlPool;
  }
  throw new TypeError("mysqlStore: expected a pool of mysql2 or mysql2/promise, not a single connection");
}

async function find(
  read: RunStatement,
  { keys }: TableNames,
  column: "id" | "hash",
  values: readonly string[],
): Promise<readonly StoredRow[]> {
  const found: StoredRow[] = [];
  for (const chunk of toPaddedChunks(values, MAX_CHUNK)) {
    const placeholders = chunk.map(() => "?").join(", ");
    const { rows } = await read({
      sql: `select ${COLUMNS}, @@autocommit as \`autocommit\` from \`${keys}\` where \`${column}\` in (${placeholders})`,
      parameters: chunk,
    });
    // With autocommit off, a connection reads from its first snapshot, which may precede a revocation.
    if (rows.some(({ autocommit }) => Number(autocommit) !== 1)) {
      throw new StoreError("The pool has autocommit off, so lookups may return outdated keys");
    }
    found.push(...rows);
  }
  return found;
}

const COLUMNS = columnsOf(KEY_COLUMNS)
  .map((column) => `\`${column}\``)
  .join(", ");

/** InnoDB finds and locks the rows in the order of their ids, so two processes cannot deadlock. */
function touch({ keys }: TableNames, uses: ReadonlyMap<string, Date>): Statement[] {
  const all = [...uses].map(([id, at]) => [id, encodeTime(at)] as const);
  return toPaddedChunks(all, MAX_CHUNK).map((chunk) => {
    const times = sql.join(
      chunk.map(([id, time]) => sql`when ${id} then cast(${time} as signed)`),
      sql` `,
    );
    const ids = sql.join(chunk.map(([id]) => id));
    return sql`update ${sql.table(keys)}
      set last_used_at = greatest(coalesce(last_used_at, ${sql.lit(EARLIEST)}), case id ${times} end)
      where id in (${ids})`.compile(builder);
  });
}

/** @throws StoreError if a table with one of our names lacks our columns. */
async function rejectForeignTables(run: RunStatement, tables: TableNames): Promise<void> {
  const added: readonly string[] = [...ADDED_MEMBERS, "suspendedAt" as const].map(
    (member) => KEY_COLUMNS[member][0],
  );
  const columns = columnsOf(KEY_COLUMNS).filter((column) => !added.includes(column));
  const ours = [
    builder.selectFrom(tables.keys).select(columns).limit(sql.lit(0)).compile(),
    builder.selectFrom(tables.audit).select(columnsOf(AUDIT_COLUMNS)).limit(sql.lit(0)).compile(),
  ];
  for (const statement of ours) {
    await run(statement).catch((error: unknown) => {
      const errno = errnoOf(error);
      if (errno === ER_BAD_FIELD) {
        throw new StoreError(
          `A table "${tables.keys}" or "${tables.audit}" of another application exists`,
          error,
        );
      }
      if (errno !== ER_NO_SUCH_TABLE) throw error;
    });
  }
}

const ER_BAD_FIELD = 1054;
const ER_NO_SUCH_TABLE = 1146;
// ER_TABLE_EXISTS, ER_DUP_FIELDNAME, ER_DUP_KEYNAME and ER_CANT_DROP_FIELD_OR_KEY.
const ALREADY_APPLIED: readonly unknown[] = [1050, 1060, 1061, 1091];

/** MySQL commits each schema change on its own, so an interrupted migration may have applied some of them. */
function ignoreIfApplied(error: unknown): void {
  if (!ALREADY_APPLIED.includes(errnoOf(error))) throw error;
}
