import type { InsertQueryBuilder, InsertResult, Kysely } from "kysely";
import type { AuditEntry } from "../../kit.js";
import { writeAudit } from "./rows.js";
import type { TableNames, Tables } from "./schema.js";
import { createChanges, type Writes } from "./statements.js";

const MAX_ROWS = 64;

type InsertAudit = InsertQueryBuilder<Tables, "audit", InsertResult>;

/**
 * Writes of several statements, to be run in a transaction: for databases that cannot change two tables in
 * one. `passingOver` makes an insertion pass over rows whose id is there, and over no other mistake.
 */
export function createSteps(
  builder: Kysely<Tables>,
  tables: TableNames,
  passingOver: (insertion: InsertAudit) => InsertAudit,
): Writes {
  const { insertKey, updateKey, rehashKey, removeKey, insertAudit } = createChanges(builder, tables);
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
      inPaddedChunks(inOrder(entries), MAX_ROWS).map((chunk) =>
        passingOver(builder.insertInto(tables.audit).values(chunk.map(writeAudit))).compile(),
      ),
  };
}

/** Sorted, so that no two processes that write the same rows wait for each other. */
export function inOrder(entries: readonly AuditEntry[]): readonly AuditEntry[] {
  return [...entries].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}

/**
 * Cuts a list into chunks whose lengths are powers of two; the last item is repeated to fill its chunk. So there
 * are few different statements, and a server that prepares them keeps few.
 */
export function inPaddedChunks<T>(items: readonly T[], most: number): readonly (readonly T[])[] {
  const chunks: T[][] = [];
  for (let start = 0; start < items.length; start += most) {
    const chunk = items.slice(start, start + most);
    const last = chunk.at(-1) as T;
    while ((chunk.length & (chunk.length - 1)) !== 0) chunk.push(last);
    chunks.push(chunk);
  }
  return chunks;
}
