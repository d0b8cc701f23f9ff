import type { InsertQueryBuilder, InsertResult, Kysely } from "kysely";
import type { AuditEntry } from "../../kit.js";
import { encodeAudit } from "./rows.js";
import type { TableNames, Tables } from "./schema.js";
import { type AtomicWrites, createStatements } from "./statements.js";

const MAX_ROWS = 64;

type AuditInsert = InsertQueryBuilder<Tables, "audit", InsertResult>;

/**
 * Creates writes of several statements each, for databases that cannot write two tables in one statement.
 * `skipDuplicates` makes an insert skip rows whose id exists; every other error must remain one.
 */
export function createTransactions(
  builder: Kysely<Tables>,
  tables: TableNames,
  skipDuplicates: (insert: AuditInsert) => AuditInsert,
): AtomicWrites {
  const { insertKey, updateKey, rehashKey, removeKey, insertAudit } = createStatements(builder, tables);
  return {
    insert: (record, audit) => [insertKey(record).compile(), insertAudit(audit).compile()],

    update: (id, ifVersion, change, audit) => [
      updateKey(id, ifVersion, change).compile(),
      insertAudit(audit).compile(),
    ],

    replace: (id, ifVersion, change, successor, audit) => [
      updateKey(id, ifVersion, change).compile(),
      insertKey(successor).compile(),
      insertAudit(audit).compile(),
    ],

    rehash: (id, from, to, audit) => [rehashKey(id, from, to).compile(), insertAudit(audit).compile()],

    remove: (id, ifVersion, audit) => [removeKey(id, ifVersion).compile(), insertAudit(audit).compile()],

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
