import { StoreError } from "../../kit.js";
import type { RawRow } from "./rows.js";
import type { Fault, Outcome, Run, Server } from "./server-store.js";

/** A statement as `mysqlStore` hands it to mysql2; what the pool was set to for its rows is set back. */
export interface MysqlQuery {
  sql: string;
  rowsAsArray: false;
  nestTables: false;
  typeCast?(field: unknown, next: () => unknown): unknown;
}

/** A value as `mysqlStore` hands it to mysql2. */
export type MysqlValue = Buffer | bigint | null;

/** What `mysqlStore` calls of a connection of `mysql2/promise`. */
export interface MysqlConnection {
  readonly config?: { readonly typeCast?: unknown };
  /** Sends the statement as text. */
  query(query: MysqlQuery): Promise<[result: unknown, ...rest: unknown[]]>;
  /** Has the server prepare the statement, once for each connection. */
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

/** MySQL or MariaDB, and what it needs beyond other servers. */
export interface MysqlServer extends Server {
  /** Runs the work on one connection, outside of a transaction, while nobody else does so under this name. */
  exclusively<T>(name: string, work: (run: Run) => Promise<T>): Promise<T>;
}

const LOCK_SECONDS = 60;

/**
 * Talks to MySQL or MariaDB through a pool. A connection goes back to it when what was open on it is committed
 * or rolled back, and is closed otherwise.
 *
 * Texts travel as bytes of UTF-8 and into columns of bytes, so that neither the character set of a connection
 * nor a collation changes them, or takes two of them for one. Statements are prepared by the server: the
 * escaping of the client is not safe under every `sql_mode`.
 */
export function overMysql(pool: MysqlPool): MysqlServer {
  const onConnection = async <T>(
    work: (connection: MysqlConnection, isSound: () => void) => Promise<T>,
  ): Promise<T> => {
    const connection = await pool.getConnection();
    // A connection that breaks between two statements says so here, and an error that nobody hears ends the
    // process.
    connection.on("error", ignore);
    let sound = false;
    try {
      return await work(connection, () => {
        sound = true;
      });
    } finally {
      if (sound) {
        connection.removeListener("error", ignore);
        connection.release();
      } else connection.destroy();
    }
  };

  const transaction = <T>(work: (run: Run) => Promise<T>): Promise<T> =>
    onConnection(async (connection, isSound) => {
      // For the next transaction only; refused when one is open on the connection.
      await ask(connection, "set transaction isolation level read committed").catch(explainOpenTransaction);
      await ask(connection, "start transaction");
      let result: T;
      try {
        result = await work(({ sql, parameters }) => ask(connection, sql, parameters));
      } catch (error) {
        await ask(connection, "rollback").then(isSound, ignore);
        throw error;
      }
      await ask(connection, "commit");
      isSound();
      return result;
    });

  return {
    name: "MySQL",
    read: ({ sql, parameters }) =>
      onConnection(async (connection, isSound) => {
        const outcome = await ask(connection, sql, parameters);
        isSound();
        return outcome;
      }),

    // In a transaction of its own: a pool may have `autocommit` off.
    write: (statement) => transaction((run) => run(statement)),
    transaction,
    exclusively: (name, work) =>
      onConnection(async (connection, isSound) => {
        const run: Run = ({ sql, parameters }) => ask(connection, sql, parameters);
        const locked = { sql: "select get_lock(?, ?) as locked", parameters: [name, LOCK_SECONDS] };
        if (Number((await run(locked)).rows[0]?.locked) !== 1) {
          throw new StoreError(`Another process has held the lock "${name}" for ${LOCK_SECONDS} seconds`);
        }
        const result = await work(run);
        await run({ sql: "select release_lock(?)", parameters: [name] });
        isSound();
        return result;
      }),
    faultOf,
  };
}

const ER_CANT_CHANGE_TX_CHARACTERISTICS = 1568;

function explainOpenTransaction(error: unknown): never {
  if (errnoOf(error) !== ER_CANT_CHANGE_TX_CHARACTERISTICS) throw error;
  throw new StoreError("The pool gave out a connection with an open transaction", error);
}

async function ask(
  connection: MysqlConnection,
  sql: string,
  parameters: readonly unknown[] = [],
): Promise<Outcome> {
  const query: MysqlQuery = { sql, rowsAsArray: false, nestTables: false };
  // In place of the pool's own, which may read our columns wrong. Only then: any makes every row slow.
  if ((connection.config?.typeCast ?? true) !== true) query.typeCast = (_, next) => next();
  const [result] = await (parameters.length === 0
    ? connection.query(query)
    : connection.execute(query, parameters.map(parameterOf)));
  if (Array.isArray(result)) return { rows: result.map(readTexts), changes: 0 };
  const { affectedRows } = (result ?? {}) as { affectedRows?: unknown };
  if (typeof affectedRows === "number") return { rows: [], changes: affectedRows };
  throw new StoreError("The pool did not answer as one of mysql2 does");
}

/** A whole number goes as a bigint: mysql2 makes a float of a number, which MySQL refuses behind LIMIT. */
function parameterOf(value: unknown): MysqlValue {
  if (typeof value === "string") return Buffer.from(value);
  return value === null ? null : BigInt(value as number);
}

// The first bytes of a text may be those of a byte order mark, and are part of it.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function readTexts(row: RawRow): RawRow {
  const read: Record<string, unknown> = {};
  for (const [column, value] of Object.entries(row)) {
    read[column] = value instanceof Uint8Array ? readText(value) : value;
  }
  return read;
}

/** What is no UTF-8 stays bytes, which the reader of the column refuses. */
function readText(bytes: Uint8Array): unknown {
  try {
    return decoder.decode(bytes);
  } catch {
    return bytes;
  }
}

// ER_NO_SUCH_TABLE, ER_DUP_ENTRY, ER_CHECKREAD (MariaDB: a row has changed since the transaction saw it),
// ER_LOCK_WAIT_TIMEOUT and ER_LOCK_DEADLOCK.
const FAULTS = new Map<unknown, Fault>([
  [1146, "missing"],
  [1062, "duplicate"],
  [1020, "transient"],
  [1205, "transient"],
  [1213, "transient"],
]);

function faultOf(error: unknown): Fault | undefined {
  return FAULTS.get(errnoOf(error));
}

/** The number of an error of the server. */
export function errnoOf(error: unknown): unknown {
  return (error as { errno?: unknown } | null | undefined)?.errno;
}

function ignore(): void {}
