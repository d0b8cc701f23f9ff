import { StoreError } from "../../kit.js";
import type { RawRow } from "./rows.js";
import type { Fault, Outcome, Run, Server } from "./server-store.js";
import type { Statement } from "./statements.js";

/** What `postgresStore` calls of a connection of `pg`. */
export interface PostgresConnection {
  query(config: {
    name?: string;
    text: string;
    values: unknown[];
  }): Promise<{ readonly rows: unknown[]; readonly rowCount: number | null }>;
  release(destroy?: boolean): void;
  on(event: "error", listener: (error: Error) => void): unknown;
  removeListener(event: "error", listener: (error: Error) => void): unknown;
  /** `I` outside of a transaction. Older versions of `pg` lack it; its native client answers null. */
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

/** PostgreSQL, and what it can do beyond other servers. */
export interface PostgresServer extends Server {
  /** Reads with a statement that the server keeps under this name on each connection, where there can be one. */
  readPrepared(name: string, statement: Statement): Promise<Outcome>;
}

const BEGIN = { text: "begin isolation level read committed", values: [] };
const COMMIT = { text: "commit", values: [] };
// A connection without the statement (26000), or with another one of its name (42P05), as behind a pooler that
// changes connections between transactions; or a plan that a change of the table has outdated (0A000).
const UNPREPARED = ["26000", "42P05", "0A000"];

/**
 * Talks to PostgreSQL through a pool. A connection on which anything failed is closed, which also rolls back
 * what was open on it.
 */
export function overPool(pool: PostgresPool): PostgresServer {
  const onConnection = async <T>(work: (connection: PostgresConnection) => Promise<T>): Promise<T> => {
    const connection = await pool.connect();
    // A connection that breaks between two statements says so here, and an error that nobody hears ends the
    // process.
    connection.on("error", ignore);
    let sound = false;
    try {
      refuseOpenTransaction(connection);
      const result = await work(connection);
      sound = true;
      return result;
    } finally {
      if (sound) connection.removeListener("error", ignore);
      connection.release(!sound);
    }
  };

  const transaction = <T>(work: (run: Run) => Promise<T>): Promise<T> =>
    onConnection(async (connection) => {
      await connection.query(BEGIN);
      const result = await work((statement) => ask(connection, statement));
      await connection.query(COMMIT);
      return result;
    });

  return {
    name: "PostgreSQL",

    read: (statement) => onConnection((connection) => ask(connection, statement)),

    readPrepared: async (name, statement) => {
      try {
        return await onConnection((connection) => ask(connection, statement, name));
      } catch (error) {
        if (!UNPREPARED.includes(codeOf(error))) throw error;
        return onConnection((connection) => ask(connection, statement));
      }
    },

    write: async (statement) => {
      const alone = await onConnection(async (connection) => {
        if (connection.getTransactionStatus?.() !== "I") return undefined;
        return ask(connection, statement);
      }).catch((error: unknown) => {
        // By default the host's transactions are stricter than this statement needs.
        if (codeOf(error) !== SERIALIZATION_FAILURE) throw error;
        return undefined;
      });
      return alone ?? transaction((run) => run(statement));
    },

    transaction,
    faultOf,
  };
}

/** Talks to a PGlite instance, which is one connection that its users take turns with. */
export function overPGlite(database: PGliteDatabase): PostgresServer {
  const runIn =
    (queries: PGliteQueries): Run =>
    async ({ sql, parameters }) => {
      const { rows, affectedRows } = await queries.query(sql, [...parameters]);
      return { rows: rows as RawRow[], changes: affectedRows ?? 0 };
    };

  const transaction = <T>(work: (run: Run) => Promise<T>): Promise<T> =>
    database.transaction((queries) => work(runIn(queries)));

  return {
    name: "PGlite",
    read: runIn(database),
    readPrepared: (_, statement) => runIn(database)(statement),
    // With a commit of its own: in a transaction that is open on the instance, it could still be rolled back.
    write: (statement) => transaction((run) => run(statement)),
    transaction,
    faultOf,
  };
}

async function ask(connection: PostgresConnection, statement: Statement, name?: string): Promise<Outcome> {
  const { rows, rowCount } = await connection.query({
    ...(name === undefined ? {} : { name }),
    text: statement.sql,
    values: statement.parameters as unknown[],
  });
  return { rows: rows as RawRow[], changes: rowCount ?? 0 };
}

/**
 * Somebody has given the connection back in the middle of a transaction. What is written in it may be rolled
 * back by whoever comes next, after a revocation was answered as done.
 */
function refuseOpenTransaction(connection: PostgresConnection): void {
  const status = connection.getTransactionStatus?.() ?? "I";
  if (status !== "I") throw new StoreError("The pool gave out a connection with an open transaction");
}

const SERIALIZATION_FAILURE = "40001";

// PostgreSQL, appendix A.
const FAULTS = new Map<string, Fault>([
  ["42P01", "missing"],
  ["23505", "duplicate"],
  ["40P01", "transient"],
  [SERIALIZATION_FAILURE, "transient"],
]);

function faultOf(error: unknown): Fault | undefined {
  return FAULTS.get(codeOf(error));
}

function codeOf(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === "string" ? code : "";
}

function ignore(): void {}
