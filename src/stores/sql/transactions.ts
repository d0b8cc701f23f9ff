import { type InsertQueryBuilder, type InsertResult, type Kysely, sql } from "kysely";
import type { AuditEntry } from "../../kit.js";
import { encodeAudit, encodeKey } from "./rows.js";
import type { TableNames, Tables } from "./schema.js";
import { type AtomicWrites, createStatements, type Dialect, type Statement } from "./statements.js";

const MAX_ROWS = 64;

type AuditInsert = InsertQueryBuilder<Tables, "audit", InsertResult>;

/**
 * Creates writes of several statements each, for databases that cannot write two tables in one statement.
 * `skipDuplicates` makes an insert skip rows whose id exists; every other error must remain one.
 */
export function createTransactions(
  builder: Kysely<Tables>,
  tables: TableNames,
  dialect: Dialect,
  skipDuplicates: (insert: AuditInsert) => AuditInsert,
): AtomicWrites {
  const statements = createStatements(builder, tables, dialect);
  const { insertKey, updateKey, rehashKey, removeKey, insertAudit } = statements;
  const position = sql.ref<number>("position");
  const count = builder
    .updateTable(tables.position)
    .set({ position: sql`${position} + ${1}` })
    .compile();

  /** Takes the next position and inserts the audit entry with it. Last, because it locks the row of the position. */
  const withPosition = (audit: AuditEntry): readonly [Statement, Statement] => {
    const taken = sql<number>`(select ${position} from ${sql.table(tables.position)})`;
    const entry = builder.insertInto(tables.audit).values({ ...encodeAudit(audit), position: taken });
    return [count, entry.compile()];
  };

  return {
    insert: (record, audit) => [insertKey(record).compile(), insertAudit(audit).compile()],

    update: (id, ifVersion, change, audit) => [
      updateKey(id, ifVersion, change).compile(),
      ...withPosition(audit),
    ],

    replace: (id, ifVersion, change, successor, audit) => [
      updateKey(id, ifVersion, change).compile(),
      builder.insertInto(tables.keys).values(encodeKey(successor)).compile(),
      ...withPosition(audit),
    ],

    rehash: (id, from, to, audit) => [rehashKey(id, from, to).compile(), ...withPosition(audit)],

    remove: (id, ifVersion, audit) => [removeKey(id, ifVersion).compile(), ...withPosition(audit)],

    appendAudit: (entries) =>
      toPaddedChunks(sortById(entries), MAX_ROWS).map((chunk) =>
        skipDuplicates(builder.insertInto(tables.audit).values(chunk.map(encodeAudit))).compile(),
      ),
  };
}

/** Sorts entries by id. Processes that write the same rows in the same order cannot deadlock. */
export function sortById(entries: readonly AuditEntry[]): readonly AuditEntry[] {
  return [...entries].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}

/**
 * Splits an array into chunks of at most `maxLength` items, and repeats the last item until a chunk's length is a power
 * of two. This keeps the number of different prepared statements small.
 */
export function toPaddedChunks<T>(items: readonly T[], maxLength: number): readonly (readonly T[])[] {
  const chunks: T[][] = [];
  for (let start = 0; start < items.length; start += maxLength) {
    const chunk = items.slice(start, start + maxLength);
    const last = chunk.at(-1) as T;
    while ((chunk.length & (chunk.length - 1)) !== 0) chunk.push(last);
    chunks.push(chunk);
  }
  return chunks;
}
