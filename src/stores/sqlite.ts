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
import { hasMethod } from "../internal/validate.js";
import { warnOnce } from "../internal/warn.js";
import type {
  AuditEntry,
  AuditQuery,
  KeyChanges,
  KeyHash,
  KeyQuery,
  KeyRecord,
  ManagedKeyStore,
  Page,
} from "../kit.js";
import { encodeTime, type StoredRow } from "./record-codec.js";
import { createCounterFeed } from "./sql/feed.js";
import { createMigrations, readVersion } from "./sql/migrations.js";
import { createOwnerStatements } from "./sql/owners.js";
import { createQueries, toPage } from "./sql/queries.js";
import { createRowDecoder, decodeAudit, isStorable } from "./sql/rows.js";
import { columnsOf, KEY_COLUMNS, readTableNames, type Tables } from "./sql/schema.js";
import { protectFile } from "./sql/sqlite-file.js";
import { createSqliteOwnerWrites, isWritten } from "./sql/sqlite-owner-writes.js";
import { retryWhenBusy } from "./sql/sqlite-retry.js";
import type { AtomicWrite, Dialect, Statement } from "./sql/statements.js";
import { createTransactions } from "./sql/transactions.js";

/** What {@link sqliteStore} calls of a prepared statement. Parameters are strings, numbers and `null`. */
export interface SqliteStatement {
  get(...parameters: unknown[]): unknown;
  all(...parameters: unknown[]): unknown[];
  run(...parameters: unknown[]): { readonly changes: number | bigint };
}

/** What {@link sqliteStore} calls of a connection of better-sqlite3, libsql or node:sqlite. */
export interface SqliteDatabase {
  exec(sql: string): unknown;
  prepare(sql: string): SqliteStatement;
}

/** Options of {@link sqliteStore}. */
export interface SqliteStoreOptions {
  /**
   * The name of the key table; `"keybearer_keys"` by default. The names of the audit table, the migration table and the
   * indexes begin with it. 1 to 40 characters of `A-Z a-z 0-9 _`.
   */
  readonly table?: string;
}

/** A store over SQLite. */
export interface SqliteKeyStore extends Required<Omit<ManagedKeyStore, "findManyByHash">> {
  /**
   * Creates the tables or applies missing migrations. Any number of processes may call it at once. In a database without
   * any table it first sets `journal_mode` to WAL, so that readers and the writer do not block each other, and the mode of
   * its file to 0600. For another file that other users can read, it emits the process warning `KEYBEARER_FILE_MODE` once.
   *
   * @throws the driver's error; nothing is changed then.
   */
  migrate(): Promise<void>;
}

/**
 * Creates a store that keeps keys in SQLite, through an open connection of better-sqlite3, libsql or node:sqlite. Call
 * `migrate()` before the first use.
 *
 * Lookups return synchronously. Each change is one `BEGIN IMMEDIATE` transaction that does not yield to the event loop.
 * While another connection has locked the database, calls are retried for up to 5 seconds.
 *
 * Changes throw while the caller has a transaction open on the same connection, because its rollback could undo a
 * revocation that was already confirmed. Keep no transaction open across an `await`, or give the store its own
 * connection.
 *
 * @throws TypeError if `database` lacks the methods above, or an option is invalid.
 *
 * @example
 * const store = sqliteStore(new Database("keys.db"));
 * await store.migrate();
 * const verifier = createVerifier({ store, scopes, format });
 */
export function sqliteStore(database: SqliteDatabase, options?: SqliteStoreOptions): SqliteKeyStore {
  if (!hasMethod(database, "exec") || !hasMethod(database, "prepare")) {
    throw new TypeError("sqliteStore: the database must have the methods exec() and prepare()");
  }
  const tables = readTableNames("sqliteStore", options);
  const warn = warnOnce("KEYBEARER_FILE_MODE");
  const queries = createQueries(builder, tables, {
    unlikely: (condition) => sql<SqlBool>`likelihood(${condition}, 0.001)`,
  });
  const owners = createOwnerStatements(builder, tables, {
    skipDuplicate: sql`on conflict do nothing`,
    octets: (column) => sql`length(cast(${column} as blob))`,
  });
  const writes = createTransactions(builder, tables, { dialect: DIALECT, owners }, (insert) =>
    insert.onConflict((conflict) => conflict.column("id").doNothing()),
  );
  const feed = createCounterFeed(builder, tables, COLUMN_TYPES);
  const decodeKey = createRowDecoder();

  const all = ({ sql, parameters }: Statement): StoredRow[] =>
    database.prepare(sql).all(...parameters) as StoredRow[];

  const readPage = <T>(
    statement: Statement | undefined,
    limit: number,
    decode: (row: StoredRow) => T,
    timeColumn: "created_at" | "at",
  ): Awaitable<Page<T>> =>
    statement === undefined
      ? { items: [] }
      : retryWhenBusy(() => toPage(all(statement), limit, decode, timeColumn));

  /** Returns the number of rows that the statement changed. */
  const run = ({ sql, parameters }: Statement): number =>
    Number(database.prepare(sql).run(...parameters).changes);

  /** Runs `work` in a transaction, within one turn of the event loop. Rolls back if it returns `false`. */
  const transaction = <T>(work: () => T): Awaitable<T> =>
    retryWhenBusy(() => {
      // Outside the try block: if this fails, the open transaction is the caller's and must not be rolled back.
      database.exec("begin immediate");
      try {
        const result = work();
        database.exec(result === false ? "rollback" : "commit");
        return result;
      } catch (error) {
        rollBack(database);
        throw error;
      }
    });

  const runAll = (statements: readonly Statement[]): Awaitable<void> =>
    transaction(() => {
      for (const statement of statements) run(statement);
    });

  const runWrite = (write: AtomicWrite): Awaitable<boolean> => transaction(() => isWritten(run, write));

  const ownerWrites = createSqliteOwnerWrites({ tables, run, all, transaction, owners, writes });

  const finder = (column: "hash" | "id"): ((value: string) => Awaitable<KeyRecord | undefined>) => {
    let statement: SqliteStatement | undefined;
    const find = (value: string): KeyRecord | undefined => {
      statement ??= database.prepare(`select ${COLUMNS} from "${tables.keys}" where "${column}" = ?`);
      const row = statement.get(value);
      return row === undefined || row === null ? undefined : decodeKey(row as StoredRow);
    };
    return (value) => (isStorable(value) ? retryWhenBusy(() => find(value)) : undefined);
  };

  return Object.freeze({
    async migrate(): Promise<void> {
      const { prepare, current, steps, record } = createMigrations(builder, tables, COLUMN_TYPES, feed);
      // In a transaction, because libsql keeps a statement open that fails with SQLITE_BUSY.
      const isNew = await transaction(
        () => database.prepare("select 1 from sqlite_master limit 1").all().length === 0,
      );
      // Before WAL, because the files of the log take over the mode.
      const readable = protectFile(database.prepare("pragma database_list").all(), isNew);
      if (readable !== undefined) {
        warn(`Other users can read ${readable}. Run chmod 600 on it, and on its "-wal" and "-shm" files`);
      }
      if (isNew) await retryWhenBusy(() => database.exec("pragma journal_mode = wal"));
      await transaction(() => {
        run(prepare);
        const applied = readVersion(all(current));
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
      readPage(queries.keys(query), query.limit, decodeKey, "created_at"),

    ...ownerWrites,

    rehash: (id: string, from: KeyHash, to: KeyHash, audit: AuditEntry): Awaitable<boolean> =>
      isStorable(id) && runWrite(writes.rehash(id, from, to, audit)),

    remove: (id: string, ifVersion: number, audit: AuditEntry): Awaitable<boolean> =>
      isStorable(id) && runWrite(writes.remove(id, ifVersion, audit)),

    touch: (uses: ReadonlyMap<string, Date>): Awaitable<void> => {
      const rows = [...uses].map(([id, at]) => [id, encodeTime(at)] as const);
      return transaction(() => {
        const statement = database.prepare(
          `update "${tables.keys}" set "last_used_at" = ? where "id" = ? and ("last_used_at" is null or "last_used_at" < ?)`,
        );
        for (const [id, time] of rows) statement.run(time, id, time);
      });
    },

    auditTrail: (query: AuditQuery): Awaitable<Page<AuditEntry>> =>
      readPage(queries.audit(query), query.limit, decodeAudit, "at"),

    changes: (since: string | undefined): Awaitable<KeyChanges> =>
      retryWhenBusy(() => feed.decode(all(feed.read(since)), since)),

    appendAudit: (entries: readonly AuditEntry[]): Awaitable<void> => runAll(writes.appendAudit(entries)),
  });
}

// Never connected: it compiles statements that run on the caller's connection.
const builder = new Kysely<Tables>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
});

// Not "*": a statement prepared before a migration would return other columns after it.
const COLUMNS = columnsOf(KEY_COLUMNS)
  .map((column) => `"${column}"`)
  .join(", ");

const COLUMN_TYPES = {
  word: "text",
  text: "text",
  integer: "integer",
  flexibleIndexes: true,
  tableEnd: sql`strict`,
} as const;

const DIALECT: Dialect = {
  castTypes: {
    word: "text",
    text: "text",
    json: "text",
    list: "text",
    integer: "integer",
    time: "integer",
  },
  lockRows: sql``, // transactions run one after another
};

function rollBack(database: SqliteDatabase): void {
  try {
    database.exec("rollback");
  } catch {
    // SQLite rolled back on its own, for example because the disk is full. The caller throws the first error.
  }
}
