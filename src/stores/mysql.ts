import { DummyDriver, Kysely, MysqlAdapter, MysqlIntrospector, MysqlQueryCompiler, sql } from "kysely";
import { StoreError } from "../kit.js";
import { appliedVersion, createMigrations, versionIn } from "./sql/migrations.js";
import { errnoOf, type MysqlPool, overMysql } from "./sql/mysql-client.js";
import { createLists } from "./sql/queries.js";
import { type RawRow, writeTime } from "./sql/rows.js";
import {
  AUDIT_COLUMNS,
  columnsOf,
  KEY_COLUMNS,
  readTableNames,
  type TableNames,
  type Tables,
} from "./sql/schema.js";
import { attempt, createServerStore, type Run, type ServerStore } from "./sql/server-store.js";
import type { Statement } from "./sql/statements.js";
import { createSteps, inPaddedChunks } from "./sql/transactions.js";

export type {
  MysqlConnection,
  MysqlPool,
  MysqlQuery,
  MysqlValue,
} from "./sql/mysql-client.js";

/** A pool of `mysql2` itself, whose methods take callbacks. */
export interface MysqlCallbackPool {
  promise(): MysqlPool;
}

/** Options of {@link mysqlStore}. */
export interface MysqlStoreOptions {
  /**
   * The table of keys, `keybearer_keys` by default, in the database that the pool connects to. The names of
   * the audit table, the table of migrations and the indexes begin with it. 1 to 40 of `A-Z a-z 0-9 _`.
   */
  readonly table?: string;
}

/** A store over MySQL or MariaDB. */
export interface MysqlKeyStore extends ServerStore {
  /**
   * Makes the tables, or brings them up to date. Does nothing when they are; any number of processes may call
   * it at once. After a failure, or the end of the process in the middle of it, it can be called again.
   *
   * @throws StoreError when the database refuses, or another process migrates for more than a minute.
   */
  migrate(): Promise<void>;
}

/**
 * Keeps keys in MySQL 8 or MariaDB 10.5 and up, through a pool of `mysql2` or `mysql2/promise` that the host
 * opened. Call `migrate()` before the first use.
 *
 * A change of a key and its audit entry are one transaction, on one connection. The lookups of one turn of the
 * event loop are one query. When the answer to a commit is lost with its connection, the change throws, and may
 * have happened; read the key to know.
 *
 * Texts are kept as bytes of UTF-8, in columns of bytes: read them with `convert(name using utf8mb4)`.
 *
 * @throws TypeError for anything but a pool, such as a single connection: one that breaks would stay broken;
 *   for an unknown option and a table name that is none.
 *
 * @example
 * const store = mysqlStore(createPool(process.env.DATABASE_URL));
 * await store.migrate();
 * const verifier = createVerifier({ store, scopes, format });
 */
export function mysqlStore(pool: MysqlPool | MysqlCallbackPool, options?: MysqlStoreOptions): MysqlKeyStore {
  const tables = readTableNames("mysqlStore", options);
  const server = overMysql(promisePool(pool));
  const migrations = createMigrations(builder, tables, COLUMN_TYPES);

  return Object.freeze({
    ...createServerStore({
      server,
      writes: createSteps(builder, tables, (insertion) =>
        insertion.onDuplicateKeyUpdate({ id: sql.ref("id") }),
      ),
      lists: createLists(builder, tables),
      find: (column, values) => find(server.read, tables, column, values),
      touch: (uses) => touch(tables, uses),
    }),

    async migrate(): Promise<void> {
      const { steps, prepare, current, record } = migrations;
      const applied = await appliedVersion(server, migrations);
      if (applied !== undefined && applied >= steps.length) return;
      await attempt(server, () =>
        server.exclusively(`keybearer ${tables.keys}`, async (run) => {
          await run(prepare);
          const version = versionIn((await run(current)).rows);
          if (version === 0) await refuseForeignTables(run, tables);
          for (const [index, statements] of steps.entries()) {
            if (index < version) continue;
            for (const statement of statements) await run(statement).catch(passOverWhatIsDone);
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
    createAdapter: () => new MysqlAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new MysqlIntrospector(db),
    createQueryCompiler: () => new MysqlQueryCompiler(),
  },
});

const COLUMN_TYPES = {
  // Bytes: every collation of text that both MySQL and MariaDB have takes "key_a " for "key_a".
  word: sql`varbinary(1020)`,
  text: sql`mediumblob`,
  integer: "bigint",
  // Transactions, and indexes over three such words, whatever the server's defaults are.
  tableEnd: sql`engine=InnoDB row_format=dynamic`,
} as const;

const MAX_AT_ONCE = 512;
const EARLIEST = -8_640_000_000_000_000;

function promisePool(pool: MysqlPool | MysqlCallbackPool): MysqlPool {
  const has = (method: string): boolean =>
    typeof (pool as unknown as Record<string, unknown> | null | undefined)?.[method] === "function";
  // A connection has promise() and execute() too.
  if (has("getConnection") && has("promise")) return (pool as MysqlCallbackPool).promise();
  if (has("getConnection") && has("execute")) return pool as MysqlPool;
  throw new TypeError("mysqlStore: expected a pool of mysql2 or mysql2/promise, not a single connection");
}

async function find(
  read: Run,
  { keys }: TableNames,
  column: "id" | "hash",
  values: readonly string[],
): Promise<readonly RawRow[]> {
  const found: RawRow[] = [];
  for (const chunk of inPaddedChunks(values, MAX_AT_ONCE)) {
    const places = chunk.map(() => "?").join(", ");
    const { rows } = await read({
      sql: `select ${COLUMNS}, @@autocommit as \`autocommit\` from \`${keys}\` where \`${column}\` in (${places})`,
      parameters: chunk,
    });
    // Else a connection would go on seeing the key as it was when it first looked: before a revocation, say.
    if (rows.some(({ autocommit }) => Number(autocommit) !== 1)) {
      throw new StoreError("The pool has autocommit off, so what it reads may be long outdated");
    }
    found.push(...rows);
  }
  return found;
}

const COLUMNS = columnsOf(KEY_COLUMNS)
  .map((column) => `\`${column}\``)
  .join(", ");

/** The rows are found, and so locked, in the order of their ids: no two processes wait for each other. */
function touch({ keys }: TableNames, uses: ReadonlyMap<string, Date>): Statement[] {
  const all = [...uses].map(([id, at]) => [id, writeTime(at)] as const);
  return inPaddedChunks(all, MAX_AT_ONCE).map((chunk) => {
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

/** @throws StoreError when a table has one of our names and not our columns. */
async function refuseForeignTables(run: Run, tables: TableNames): Promise<void> {
  const ours = [
    builder.selectFrom(tables.keys).select(columnsOf(KEY_COLUMNS)).limit(sql.lit(0)).compile(),
    builder.selectFrom(tables.audit).select(columnsOf(AUDIT_COLUMNS)).limit(sql.lit(0)).compile(),
  ];
  for (const statement of ours) {
    await run(statement).catch((error: unknown) => {
      const errno = errnoOf(error);
      if (errno === ER_BAD_FIELD)
        throw new StoreError(`The tables "${tables.keys}" are somebody else's`, error);
      if (errno !== ER_NO_SUCH_TABLE) throw error;
    });
  }
}

const ER_BAD_FIELD = 1054;
const ER_NO_SUCH_TABLE = 1146;
// ER_TABLE_EXISTS, ER_DUP_FIELDNAME, ER_DUP_KEYNAME and ER_CANT_DROP_FIELD_OR_KEY.
const DONE: readonly unknown[] = [1050, 1060, 1061, 1091];

/** MySQL commits each change of the schema by itself, so a process that ended may have made the first of them. */
function passOverWhatIsDone(error: unknown): void {
  if (!DONE.includes(errnoOf(error))) throw error;
}
