import { StoreError } from "../../kit.js";
import type { StoredRow } from "../record-codec.js";
import type { ErrorKind, RunStatement, SqlServer, StatementResult } from "./server-store.js";
import type { Statement } from "./statements.js";

/** A statement as `postgresStore` passes it to `pg`. */
export interface PostgresQuery {
  /** The name of a prepared statement. */
  name?: string | undefined;
  text: string;
  values: unknown[];
}

/** What `postgresStore` reads of a result of `pg`. */
export interface PostgresResult {
  readonly rows: unknown[];
  readonly rowCount: number | null;
}

/** What `postgresStore` calls of a connection of `pg`. */
export interface PostgresConnection {
  query(config: PostgresQuery): Promise<PostgresResult>;
  release(destroy?: boolean): void;
  on(event: "error", listener: (error: Error) => void): unknown;
  removeListener(event: "error", listener: (error: Error) => void): unknown;
  /** `I` outside a transaction. Older versions of `pg` lack it; the native client returns null. */
  getTransactionStatus?(): string | null;
}

/** What `postgresStore` calls of a `Pool` of `pg`. */
export interface PostgresPool {
  connect(): Promise<PostgresConnection>;
}

/** What `postgresStore` calls of a PGlite instance, and of a transaction in it. */
export interface PGliteQueries {
  query(
    text: string,
    values?: unknown[],
  ): Promise<{ readonly rows: unknown[]; readonly affectedRows?: number | undefined }>;
}

/** What `postgresStore` calls of a PGlite instance. */
export interface PGliteDatabase extends PGliteQueries {
  transaction<T>(work: (transaction: PGliteQueries) => Promise<T>): Promise<T>;
}

/** A PostgreSQL server. */
export interface PostgresServer extends SqlServer {
  /** Reads with a prepared statement of this name, where the connection supports one. */
  readPrepared(name: string, statement: Statement): Promise<StatementResult>;
}

const BEGIN = { text: "begin isolation level read committed", values: [] };
const COMMIT = { text: "commit", values: [] };
// The connection lacks the statement (26000) or has another one of this name (42P05), as behind a pooler that changes
// connections between transactions; or a schema change invalidated the plan (0A000).
export const UNPREPARED: readonly string[] = ["26000", "42P05", "0A000"];

/** Runs statements through a pool of `pg`. Closes a connection after any error, which also rolls back. */
export function pgServer(pool: PostgresPool): PostgresServer {
  const withConnection = async <T>(work: (connection: PostgresConnection) => Promise<T>): Promise<T> => {
    const connection = await pool.connect();
    // Emitted if the connection breaks between statements; without a listener it would end the process.
    connection.on("error", ignore);
    let reusable = false;
    try {
      rejectOpenTransaction(connection);
      const result = await work(connection);
      reusable = true;
      return result;
    } finally {
      if (reusable) connection.removeListener("error", ignore);
      connection.release(!reusable);
    }
  };

  const transaction = <T>(work: (run: RunStatement) => Promise<T>): Promise<T> =>
    withConnection(async (connection) => {
      await connection.query(BEGIN);
      const result = await work((statement) => execute(connection, statement));
      await connection.query(COMMIT);
      return result;
    });

  return {
    name: "PostgreSQL",

    read: (statement) => withConnection((connection) => execute(connection, statement)),

    readPrepared: (name, statement) =>
      readWithCallbacks(pool as unknown as CallbackPool, toQuery(statement, name)).catch((error: unknown) => {
        if (!UNPREPARED.includes(codeOf(error))) throw error;
        return withConnection((connection) => execute(connection, statement));
      }),

    write: async (statement) => {
      const result = await withConnection(async (connection) => {
        if (connection.getTransactionStatus?.() !== "I") return undefined;
        return execute(connection, statement);
      }).catch((error: unknown) => {
        // The default isolation level of the connection may be stricter than READ COMMITTED.
        if (codeOf(error) !== SERIALIZATION_FAILURE) throw error;
        return undefined;
      });
      return result ?? transaction((run) => run(statement));
    },

    transaction,
    classifyError,
  };
}

type Callback<T> = (error: unknown, result?: T) => void;

/** A pool of `pg`, which calls callbacks. What wraps one may return promises instead, or as well. */
interface CallbackPool {
  connect(callback: Callback<CallbackConnection>): PromiseLike<CallbackConnection> | undefined;
}
interface CallbackConnection extends Omit<PostgresConnection, "query"> {
  query(query: PostgresQuery, callback: Callback<PostgresResult>): PromiseLike<PostgresResult> | undefined;
}

/** Runs one statement with callbacks: the promises of `pg` would take longer than the rest of a lookup. */
function readWithCallbacks(pool: CallbackPool, query: PostgresQuery): Promise<StatementResult> {
  return new Promise((resolve, reject) => {
    const onConnected: Callback<CallbackConnection> = (connectError, connection) => {
      if (connection === undefined) return reject(connectError);
      connection.on("error", ignore);
      const onResult: Callback<PostgresResult> = (error, result) => {
        if (result !== undefined) connection.removeListener("error", ignore);
        connection.release(result === undefined);
        if (result === undefined) reject(error);
        else resolve(toStatementResult(result));
      };
      call((callback) => {
        rejectOpenTransaction(connection);
        return connection.query(query, callback);
      }, onResult);
    };
    call((callback) => pool.connect(callback), onConnected);
  });
}

/** Calls a method that takes a callback, and passes on its first result or error. */
function call<T>(
  method: (callback: Callback<T>) => PromiseLike<T | undefined> | undefined,
  callback: Callback<T>,
): void {
  let isCalled = false;
  const once: Callback<T> = (error, result) => {
    if (isCalled || (!error && !result)) return; // the promise of a wrapper, while the callback is still to come
    isCalled = true;
    callback(error, error ? undefined : result);
  };
  try {
    method(once)?.then((result) => once(undefined, result), once);
  } catch (error) {
    once(error);
  }
}

/** Runs statements in a PGlite instance, which is a single connection that its users share. */
export function pgliteServer(database: PGliteDatabase): PostgresServer {
  const runIn =
    (queries: PGliteQueries): RunStatement =>
    async ({ sql, parameters }) => {
      const { rows, affectedRows } = await queries.query(sql, [...parameters]);
      return { rows: rows as StoredRow[], changes: affectedRows ?? 0 };
    };

  const transaction = <T>(work: (run: RunStatement) => Promise<T>): Promise<T> =>
    database.transaction((queries) => work(runIn(queries)));

  return {
    name: "PGlite",
    read: runIn(database),
    readPrepared: (_, statement) => runIn(database)(statement),
    // Commits even if a transaction is open on the instance, which could still be rolled back.
    write: (statement) => transaction((run) => run(statement)),
    transaction,
    classifyError,
  };
}

async function execute(connection: PostgresConnection, statement: Statement): Promise<StatementResult> {
  return toStatementResult(await connection.query(toQuery(statement)));
}

function toQuery({ sql, parameters }: Statement, name?: string): PostgresQuery {
  return { name, text: sql, values: parameters as unknown[] };
}

function toStatementResult({ rows, rowCount }: PostgresResult): StatementResult {
  return { rows: rows as StoredRow[], changes: rowCount ?? 0 };
}

/**
 * Rejects a connection that its last user returned to the pool inside a transaction: whatever is written there, such as
 * a revocation, could be rolled back later.
 */
function rejectOpenTransaction(connection: Pick<PostgresConnection, "getTransactionStatus">): void {
  const status = connection.getTransactionStatus?.() ?? "I";
  if (status !== "I") throw new StoreError("The pool returned a connection with an open transaction");
}

export const SERIALIZATION_FAILURE = "40001";

// PostgreSQL documentation, appendix A.
const ERROR_KINDS = new Map<string, ErrorKind>([
  ["42P01", "missing-table"],
  ["42703", "missing-column"],
  ["23505", "duplicate"],
  ["40P01", "transient"],
  [SERIALIZATION_FAILURE, "transient"],
]);

export function classifyError(error: unknown): ErrorKind | undefined {
  return ERROR_KINDS.get(codeOf(error));
}

export function codeOf(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === "string" ? code : "";
}

function ignore(): void {}
