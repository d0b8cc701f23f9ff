import {
  DummyDriver,
  Kysely,
  type SqlBool,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  sql,
} from "kysely";
import type { Awaitable } from "../internal/awaitable.js";
import type {
  AuditEntry,
  AuditQuery,
  KeyChange,
  KeyHash,
  KeyQuery,
  KeyRecord,
  ListPosition,
  ManagedKeyStore,
  Page,
} from "../kit.js";
import { createMigrations, versionIn } from "./sql/migrations.js";
import { createLists, pageOf } from "./sql/queries.js";
import { createKeyReader, isStorable, type RawRow, readAudit, writeTime } from "./sql/rows.js";
import { columnsOf, KEY_COLUMNS, readTableNames, type Tables } from "./sql/schema.js";
import { patiently } from "./sql/sqlite-retry.js";
import type { Statement, Write } from "./sql/statements.js";
import { createSteps } from "./sql/transactions.js";

/** What {@link sqliteStore} calls of a prepared statement. The parameters are texts, numbers and `null`. */
export interface SqliteStatement {
  get(...parameters: unknown[]): unknown;
  all(...parameters: unknown[]): unknown[];
  run(...parameters: unknown[]): { readonly changes: number | bigint };
}

/** What {@link sqliteStore} calls of a connection: that of better-sqlite3, libsql or node:sqlite has it. */
export interface SqliteDatabase {
  exec(sql: string): unknown;
  prepare(sql: string): SqliteStatement;
}

/** Options of {@link sqliteStore}. */
export interface SqliteStoreOptions {
  /**
   * The table of keys, `keybearer_keys` by default. The names of the audit table, the table of migrations and
   * the indexes begin with it. 1 to 40 of `A-Z a-z 0-9 _`.
   */
  readonly table?: string;
}

/** A store over SQLite. */
export interface SqliteKeyStore extends Required<Omit<ManagedKeyStore, "findManyByHash">> {
  /**
   * Makes the tables, or brings them up to date. Does nothing when they are; any number of processes may call
   * it at once.
   *
   * @throws what the driver throws; then nothing was changed.
   */
  migrate(): Promise<void>;
}

/**
 * Keeps keys in SQLite, through a connection that the host opened: of better-sqlite3, libsql or node:sqlite.
 * Call `migrate()` before the first use.
 *
 * Lookups answer at once. Each change is one transaction, `BEGIN IMMEDIATE` to `COMMIT`, that runs without
 * yielding to the event loop. A database that another process has locked is asked again for up to 5 seconds
 * before its error is thrown.
 *
 * While the host has a transaction open on the same connection, every change throws, and changes nothing: the
 * host could still roll back a revocation that was already answered as done. Keep no transaction open across
 * an `await`, or give the store a connection of its own. With several processes on one file, set
 * `PRAGMA journal_mode = WAL`, so that readers and the writer do not wait for each other.
 *
 * @throws TypeError for a database without the methods above, an unknown option or a table name that is none.
 *
 * @example
 * const store = sqliteStore(new Database("keys.db"));
 * await store.migrate();
 * const verifier = createVerifier({ store, scopes, format });
 */
export function sqliteStore(database: SqliteDatabase, options?: SqliteStoreOptions): SqliteKeyStore {
  if (typeof database?.exec !== "function" || typeof database.prepare !== "function") {
    throw new TypeError("sqliteStore: the database must have the methods exec() and prepare()");
  }
  const tables = readTableNames("sqliteStore", options);
  const lists = createLists(builder, tables, (condition) => sql<SqlBool>`likelihood(${condition}, 0.001)`);
  const writes = createSteps(builder, tables, (insertion) =>
    insertion.onConflict((conflict) => conflict.column("id").doNothing()),
  );
  const readKey = createKeyReader();

  const all = ({ sql, parameters }: Statement): RawRow[] =>
    database.prepare(sql).all(...parameters) as RawRow[];

  const pageOfAll = <T>(
    statement: Statement | undefined,
    limit: number,
    read: (row: RawRow) => T,
    place: (item: T) => ListPosition,
  ): Awaitable<Page<T>> =>
    statement === undefined ? { items: [] } : patiently(() => pageOf(all(statement), limit, read, place));

  /** Answers how many rows the statement wrote. */
  const run = ({ sql, parameters }: Statement): number =>
    Number(database.prepare(sql).run(...parameters).changes);

  /** Runs a transaction, from beginning to end in one turn of the event loop. */
  const transaction = <T>(work: () => T): Awaitable<T> =>
    patiently(() => {
      // Outside of the try: when the host has a transaction open, it is not for us to roll back.
      database.exec("begin immediate");
      try {
        const result = work();
        database.exec("commit");
        return result;
      } catch (error) {
        rollBack(database);
        throw error;
      }
    });

  const writeAll = (statements: readonly Statement[]): Awaitable<void> =>
    transaction(() => {
      for (const statement of statements) run(statement);
    });

  /** Writes all, or nothing when the first statement finds its row changed by somebody else. */
  const writeIfCurrent = ([first, ...others]: Write): Awaitable<boolean> =>
    transaction(() => {
      if (run(first) === 0) return false;
      for (const statement of others) run(statement);
      return true;
    });

  const finder = (column: "hash" | "id"): ((value: string) => Awaitable<KeyRecord | undefined>) => {
    let statement: SqliteStatement | undefined;
    const find = (value: string): KeyRecord | undefined => {
      statement ??= database.prepare(`select ${COLUMNS} from "${tables.keys}" where "${column}" = ?`);
      const row = statement.get(value);
      return row === undefined || row === null ? undefined : readKey(row as RawRow);
    };
    return (value) => (isStorable(value) ? patiently(() => find(value)) : undefined);
  };

  return Object.freeze({
    async migrate(): Promise<void> {
      const { prepare, current, steps, record } = createMigrations(builder, tables, COLUMN_TYPES);
      await transaction(() => {
        run(prepare);
        const applied = versionIn(all(current));
        for (const [index, statements] of steps.entries()) {
          if (index < applied) continue;
          for (const statement of statements) run(statement);
          run(record(index + 1, Date.now()));
        }
      });
    },

    findByHash: finder("hash") as (hash: KeyHash) => Awaitable<KeyRecord | undefined>,

    findById: finder("id"),

    list: (query: KeyQuery): Awaitable<Page<KeyRecord>> =>
      pageOfAll(lists.keys(query), query.limit, readKey, ({ createdAt, id }) => ({ at: createdAt, id })),

    insert: (record: KeyRecord, audit: AuditEntry): Awaitable<void> => writeAll(writes.insert(record, audit)),

    update: (id: string, ifVersion: number, change: KeyChange, audit: AuditEntry): Awaitable<boolean> =>
      isStorable(id) && writeIfCurrent(writes.update(id, ifVersion, change, audit)),

    replace: (
      id: string,
      ifVersion: number,
      change: KeyChange,
      successor: KeyRecord,
      audit: AuditEntry,
    ): Awaitable<boolean> =>
      isStorable(id) && writeIfCurrent(writes.replace(id, ifVersion, change, successor, audit)),

    rehash: (id: string, from: KeyHash, to: KeyHash, audit: AuditEntry): Awaitable<boolean> =>
      isStorable(id) && writeIfCurrent(writes.rehash(id, from, to, audit)),

    remove: (id: string, ifVersion: number, audit: AuditEntry): Awaitable<boolean> =>
      isStorable(id) && writeIfCurrent(writes.remove(id, ifVersion, audit)),

    touch: (uses: ReadonlyMap<string, Date>): Awaitable<void> => {
      const rows = [...uses].map(([id, at]) => [id, writeTime(at)] as const);
      return transaction(() => {
        const statement = database.prepare(
          `update "${tables.keys}" set "last_used_at" = ? where "id" = ? and ("last_used_at" is null or "last_used_at" < ?)`,
        );
        for (const [id, time] of rows) statement.run(time, id, time);
      });
    },

    auditTrail: (query: AuditQuery): Awaitable<Page<AuditEntry>> =>
      pageOfAll(lists.audit(query), query.limit, readAudit, (entry) => entry),

    appendAudit: (entries: readonly AuditEntry[]): Awaitable<void> => writeAll(writes.appendAudit(entries)),
  });
}

// Never connected: it writes the statements, and the host's connection runs them.
const builder = new Kysely<Tables>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
});

// Named one by one: a statement that was prepared before a migration must not read other columns after it.
const COLUMNS = columnsOf(KEY_COLUMNS)
  .map((column) => `"${column}"`)
  .join(", ");

const COLUMN_TYPES = {
  word: "text",
  text: "text",
  integer: "integer",
  tableEnd: sql`strict`,
} as const;

function rollBack(database: SqliteDatabase): void {
  try {
    database.exec("rollback");
  } catch {
    // SQLite has rolled back by itself, as it does when the disk is full; the first error is the one to tell.
  }
}
