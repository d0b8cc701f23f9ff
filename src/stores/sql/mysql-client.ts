import { StoreError } from "../../kit.js";
import type { StoredRow } from "../record-codec.js";
import type { ErrorKind, RunStatement, SqlServer, StatementResult } from "./server-store.js";

/** A statement as `mysqlStore` passes it to mysql2. Its members override the pool's options for rows. */
export interface MysqlQuery {
  sql: string;
  rowsAsArray: false;
  nestTables: false;
  typeCast?(field: unknown, next: () => unknown): unknown;
}

/** A parameter as `mysqlStore` passes it to mysql2. */
export type MysqlValue = Buffer | bigint | null;

/** What `mysqlStore` calls of a connection of `mysql2/promise`. */
export interface MysqlConnection {
  readonly config?: { readonly typeCast?: unknown };
  /** Sends the statement as text. */
  query(query: MysqlQuery): Promise<[result: unknown, ...rest: unknown[]]>;
  /** Runs a prepared statement, which each connection prepares once. */
  execute(query: MysqlQuery, values: MysqlValue[]): Promise<[result: unknown, ...rest: unknown[]]>;
  release(): void;
  destroy(): void;
  on(event: "error", listener: (error: Error) => void): unknown;
  removeListener(event: "error", listener: (error: Error) => void): unknown;
}

/** What `mysqlStore` calls of a pool of `mysql2/promise`. */
export interface MysqlPool {
  getConnection(): Promise<MysqlConnection>;
}

/** A MySQL or MariaDB server. */
export interface MysqlServer extends SqlServer {
  /** Runs `work` on one connection, outside a transaction, while it holds the lock of this name. */
  withLock<T>(name: string, work: (run: RunStatement) => Promise<T>): Promise<T>;
  /** Reads in a READ COMMITTED transaction, whatever autocommit and the isolation level of the connection are. */
  readonly readCommitted: RunStatement;
}

const LOCK_SECONDS = 60;
// Longer than a pause of a busy process, and shorter than the time limit of a manager.
const IDLE_SECONDS = 5;
// A client that stops within a transaction holds its locks until the server closes the connection.
const LIMIT_IDLE = `set @keybearer_wait_timeout = @@session.wait_timeout, session wait_timeout = least(@@session.wait_timeout, ${IDLE_SECONDS})`;
const RESTORE_IDLE = "set session wait_timeout = @keybearer_wait_timeout";

/**
 * Runs statements through a pool of mysql2. A connection returns to the pool after a commit or rollback, and is closed
 * after any other error.
 *
 * Strings are sent as UTF-8 bytes to binary columns, so neither the character set of a connection nor a collation
 * changes or equates them. Statements are prepared by the server, because the escaping of mysql2 is not safe in every
 * `sql_mode`.
 */
export function mysqlServer(pool: MysqlPool): MysqlServer {
  const withConnection = async <T>(
    work: (connection: MysqlConnection, markReusable: () => void) => Promise<T>,
  ): Promise<T> => {
    const connection = await pool.getConnection();
    // Emitted if the connection breaks between statements; without a listener it would end the process.
    connection.on("error", ignore);
    let reusable = false;
    try {
      return await work(connection, () => {
        reusable = true;
      });
    } finally {
      if (reusable) {
        connection.removeListener("error", ignore);
        connection.release();
      } else connection.destroy();
    }
  };

  const inTransaction = <T>(work: (run: RunStatement) => Promise<T>, isReading: boolean): Promise<T> =>
    withConnection(async (connection, markReusable) => {
      const restore = async (): Promise<void> => {
        if (!isReading) await execute(connection, RESTORE_IDLE);
        markReusable();
      };
      if (!isReading) await execute(connection, LIMIT_IDLE);
      // Sets the level of the next transaction only, and fails if one is open on the connection.
      await execute(connection, "set transaction isolation level read committed").catch(
        explainOpenTransaction,
      );
      await execute(connection, "start transaction");
      let result: T;
      try {
        result = await work(({ sql, parameters }) => execute(connection, sql, parameters));
      } catch (error) {
        await execute(connection, "rollback").then(restore).catch(ignore);
        throw error;
      }
      await execute(connection, "commit");
      await restore().catch(ignore); // the change is committed; the connection is closed
      return result;
    });

  const transaction = <T>(work: (run: RunStatement) => Promise<T>): Promise<T> => inTransaction(work, false);

  return {
    name: "MySQL",
    read: ({ sql, parameters }) =>
      withConnection(async (connection, markReusable) => {
        const result = await execute(connection, sql, parameters);
        markReusable();
        return result;
      }),

    // In a transaction, because `autocommit` may be off.
    write: (statement) => transaction((run) => run(statement)),
    transaction,
    readCommitted: (statement) => inTransaction((run) => run(statement), true),
    withLock: (name, work) =>
      withConnection(async (connection, markReusable) => {
        const run: RunStatement = ({ sql, parameters }) => execute(connection, sql, parameters);
        const lock = { sql: "select get_lock(?, ?) as locked", parameters: [name, LOCK_SECONDS] };
        if (Number((await run(lock)).rows[0]?.locked) !== 1) {
          throw new StoreError(`Another process has held the lock "${name}" for ${LOCK_SECONDS} seconds`);
        }
        const result = await work(run);
        await run({ sql: "select release_lock(?)", parameters: [name] });
        markReusable();
        return result;
      }),
    classifyError,
  };
}

const ER_CANT_CHANGE_TX_CHARACTERISTICS = 1568;

function explainOpenTransaction(error: unknown): never {
  if (errnoOf(error) !== ER_CANT_CHANGE_TX_CHARACTERISTICS) throw error;
  throw new StoreError("The pool returned a connection with an open transaction", error);
}

async function execute(
  connection: MysqlConnection,
  sql: string,
  parameters: readonly unknown[] = [],
): Promise<StatementResult> {
  const query: MysqlQuery = { sql, rowsAsArray: false, nestTables: false };
  // Overrides a typeCast of the pool, which may misread our columns. Not set otherwise, because it slows every row.
  if ((connection.config?.typeCast ?? true) !== true) query.typeCast = (_, next) => next();
  const [result] = await (parameters.length === 0
    ? connection.query(query)
    : connection.execute(query, parameters.map(toParameter)));
  if (Array.isArray(result)) return { rows: result.map(decodeBytes), changes: 0 };
  const { affectedRows } = (result ?? {}) as { affectedRows?: unknown };
  if (typeof affectedRows === "number") return { rows: [], changes: affectedRows };
  throw new StoreError("The pool did not return a result of mysql2");
}

/** Integers are sent as bigint: mysql2 sends a number as a float, which MySQL rejects after LIMIT. */
function toParameter(value: unknown): MysqlValue {
  if (typeof value === "string") return Buffer.from(value);
  return value === null ? null : BigInt(value as number);
}

// ignoreBOM keeps a leading byte order mark, which is part of the string.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodeBytes(row: StoredRow): StoredRow {
  const decoded: Record<string, unknown> = {};
  for (const [column, value] of Object.entries(row)) {
    decoded[column] = value instanceof Uint8Array ? decodeString(value) : value;
  }
  return decoded;
}

/** Returns invalid UTF-8 as bytes, which the row decoder rejects. */
function decodeString(bytes: Uint8Array): unknown {
  try {
    return decoder.decode(bytes);
  } catch {
    return bytes;
  }
}

// ER_NO_SUCH_TABLE, ER_BAD_FIELD, ER_DUP_ENTRY, ER_CHECKREAD (MariaDB: the row changed since the transaction read it),
// ER_LOCK_WAIT_TIMEOUT and ER_LOCK_DEADLOCK.
const ERROR_KINDS = new Map<unknown, ErrorKind>([
  [1146, "missing-table"],
  [1054, "missing-column"],
  [1062, "duplicate"],
  [1020, "transient"],
  [1205, "transient"],
  [1213, "transient"],
]);

function classifyError(error: unknown): ErrorKind | undefined {
  return ERROR_KINDS.get(errnoOf(error));
}

/** The number of a server error. */
export function errnoOf(error: unknown): unknown {
  return (error as { errno?: unknown } | null | undefined)?.errno;
}

function ignore(): void {}
