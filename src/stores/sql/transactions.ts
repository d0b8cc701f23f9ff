import { type InsertQueryBuilder, type InsertResult, type Kysely, sql } from "kysely";
import type { AuditEntry, KeyHash } from "../../kit.js";
import type { OwnerStatements } from "./owners.js";
import { encodeAudit, encodeKey, encodeWord } from "./rows.js";
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
  { dialect, owners: { reserve } }: { readonly dialect: Dialect; readonly owners: OwnerStatements },
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
  const appendChange = (audit: AuditEntry): readonly [Statement, Statement] => {
    const taken = sql<number>`(select ${position} from ${sql.table(tables.position)})`;
    const entry = builder.insertInto(tables.audit).values({ ...encodeAudit(audit), position: taken });
    return [count, entry.compile()];
  };

  const encodeHash = (hash: KeyHash): string => encodeWord(hash, "hash");
  const [keyTable, claimTable] = [sql.table(tables.keys), sql.table(tables.claims)];

  /**
   * Claims hashes for a key, except those that it has claimed. `stored` is its hash in the key table. If another key is
   * stored under one of the hashes, the first statement claims it for that key, and the other ones fail.
   */
  const claim = (id: string, stored: KeyHash, others: readonly KeyHash[]): readonly Statement[] =>
    [
      sql`insert into ${claimTable} (hash, key_id) select k.hash, k.id from ${keyTable} as k
        where k.hash in (${sql.join([stored, ...others].map(encodeHash))})
        and not exists (select 1 from ${claimTable} as c where c.hash = k.hash and c.key_id = k.id)`,
      ...others.map(encodeHash).map(
        (hash) => sql`insert into ${claimTable} (hash, key_id) select ${hash}, k.id from ${keyTable} as k
          where k.id = ${id}
          and not exists (select 1 from ${claimTable} as c where c.hash = ${hash} and c.key_id = ${id})`,
      ),
    ].map((statement) => optional(statement.compile(builder)));

  return {
    // The row of the owner comes first, as in every write, so that two writes cannot deadlock.
    insert: (record, audit, quota, claims) => [
      reserve(record.ownerId, quota).compile(),
      insertKey(record).compile(),
      ...(claims === undefined ? [] : claim(record.id, record.hash, claims)),
      insertAudit(audit).compile(),
    ],

    update: (id, ifVersion, change, audit, quota) => {
      const updated = updateKey(id, ifVersion, change).compile();
      const entry = appendChange(audit);
      return quota === undefined
        ? [updated, ...entry]
        : [reserve(audit.ownerId, quota).compile(), updated, ...entry];
    },

    replace: (id, ifVersion, change, successor, audit, quota) => [
      reserve(successor.ownerId, quota).compile(),
      updateKey(id, ifVersion, change).compile(),
      builder.insertInto(tables.keys).values(encodeKey(successor)).compile(),
      ...appendChange(audit),
    ],

    rehash: (id, from, to, audit) => [
      rehashKey(id, from, to).compile(),
      ...claim(id, to, from === to ? [] : [from]),
      ...appendChange(audit),
    ],

    remove: (id, ifVersion, audit) => [
      removeKey(id, ifVersion).compile(),
      optional(builder.deleteFrom(tables.claims).where("key_id", "=", id).compile()),
      ...appendChange(audit),
    ],

    appendChange,

    appendAudit: (entries) =>
      toPaddedChunks(sortById(entries), MAX_ROWS).map((chunk) =>
        skipDuplicates(builder.insertInto(tables.audit).values(chunk.map(encodeAudit))).compile(),
      ),
  };
}

function optional({ sql: text, parameters }: Statement): Statement {
  return { sql: text, parameters, isOptional: true };
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
