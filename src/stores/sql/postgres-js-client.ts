import type { StoredRow } from "../record-codec.js";
import {
  classifyError,
  codeOf,
  type PostgresServer,
  SERIALIZATION_FAILURE,
  UNPREPARED,
} from "./postgres-client.js";
import type { RunStatement } from "./server-store.js";

/** What `postgresStore` calls of `sql` of Postgres.js, and of a transaction of it. */
export interface PostgresJsQueries {
  unsafe(
    text: string,
    // biome-ignore lint/suspicious/noExplicitAny: Postgres.js accepts its own types only
    parameters?: any[],
    options?: { readonly prepare?: boolean },
  ): PromiseLike<ArrayLike<unknown> & { readonly count: number | null }>;
}

/** What `postgresStore` calls of `sql` of Postgres.js. */
export interface PostgresJs extends PostgresJsQueries {
  begin<T>(options: string, work: (transaction: PostgresJsQueries) => Promise<T>): PromiseLike<unknown>;
}

/** Runs statements with Postgres.js, whose pool never runs anything else inside an open transaction. */
export function postgresJsServer(client: PostgresJs): PostgresServer {
  const runIn =
    (queries: PostgresJsQueries, prepare = false): RunStatement =>
    async ({ sql, parameters }) => {
      const rows = await queries.unsafe(sql, [...parameters], { prepare });
      return { rows: rows as ArrayLike<unknown> as readonly StoredRow[], changes: rows.count ?? 0 };
    };

  const transaction = async <T>(work: (run: RunStatement) => Promise<T>): Promise<T> =>
    (await client.begin("isolation level read committed", (queries) => work(runIn(queries)))) as T;

  const run = runIn(client);
  const runPrepared = runIn(client, true);
  return {
    name: "PostgreSQL",
    read: run,
    // Postgres.js names statements itself.
    readPrepared: (_, statement) =>
      runPrepared(statement).catch((error: unknown) => {
        if (!UNPREPARED.includes(codeOf(error))) throw error;
        return run(statement);
      }),
    write: (statement) =>
      run(statement).catch((error: unknown) => {
        // The default isolation level of the connection may be stricter than READ COMMITTED.
        if (codeOf(error) !== SERIALIZATION_FAILURE) throw error;
        return transaction((inside) => inside(statement));
      }),
    transaction,
    classifyError,
  };
}
