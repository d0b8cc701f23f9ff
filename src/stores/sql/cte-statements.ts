import {
  type AliasedRawBuilder,
  type DeleteQueryBuilder,
  type InsertQueryBuilder,
  type Kysely,
  type QueryCreator,
  sql,
  type UpdateQueryBuilder,
} from "kysely";
import type { AuditEntry, KeyRecord } from "../../kit.js";
import { writeAudit, writeKey, writeTime } from "./rows.js";
import {
  AUDIT_COLUMNS,
  type Columns,
  columnsOf,
  KEY_COLUMNS,
  type TableNames,
  type Tables,
} from "./schema.js";
import { createChanges, type Statement, type Write, type Writes } from "./statements.js";
import { inOrder } from "./transactions.js";

type Changed = { id: string };
type Change =
  | InsertQueryBuilder<Tables, "keys", Changed>
  | UpdateQueryBuilder<Tables, "keys", "keys", Changed>
  | DeleteQueryBuilder<Tables, "keys", Changed>;

/**
 * Writes of one statement each, for PostgreSQL, which can change several tables in one: all of it happens or
 * nothing, in one round trip, and a process that stops in the middle leaves no lock behind.
 */
export function createSingleStatements(builder: Kysely<Tables>, tables: TableNames): Writes {
  const { insertKey, updateKey, rehashKey, removeKey } = createChanges(builder, tables);
  // Longer than the name of a table can be, or with another end.
  const changed = `${tables.keys}_changed` as "changed";
  const successors = `${tables.keys}_successors` as "successors";

  /** What the change answers, one row or none, decides over everything that is written beside it. */
  const audited = (change: Change, audit: AuditEntry, successor?: KeyRecord): Write => {
    let creator: QueryCreator<Tables & { changed: Changed }> = builder.with(changed, () => change);
    if (successor !== undefined) {
      creator = creator.with(successors, (inner) =>
        inner
          .insertInto(tables.keys)
          .columns(columnsOf(KEY_COLUMNS))
          .expression((eb) => eb.selectFrom(changed).select(constants(KEY_COLUMNS, writeKey(successor))))
          .returning("id"),
      ) as unknown as typeof creator;
    }
    return [
      creator
        .insertInto(tables.audit)
        .columns(columnsOf(AUDIT_COLUMNS))
        .expression((eb) => eb.selectFrom(changed).select(constants(AUDIT_COLUMNS, writeAudit(audit))))
        .compile(),
    ];
  };

  return {
    insert: (record, audit) => audited(insertKey(record).returning("id"), audit),

    update: (id, ifVersion, change, audit) =>
      audited(updateKey(id, ifVersion, change).returning("id"), audit),

    replace: (id, ifVersion, change, successor, audit) =>
      audited(updateKey(id, ifVersion, change).returning("id"), audit, successor),

    rehash: (id, from, to, audit) => audited(rehashKey(id, from, to).returning("id"), audit),

    remove: (id, ifVersion, audit) => audited(removeKey(id, ifVersion).returning("id"), audit),

    appendAudit: (entries) => {
      const rows = inOrder(entries).map(writeAudit);
      const columns = columnsOf(AUDIT_COLUMNS);
      const lists = Object.values(AUDIT_COLUMNS).map(
        ([column, kind]) => sql`${rows.map((row) => row[column])}::${sql.raw(TYPES[kind])}[]`,
      );
      return [
        builder
          .insertInto(tables.audit)
          .columns(columns)
          .expression(sql`select * from unnest(${sql.join(lists)})`)
          .onConflict((conflict) => conflict.column("id").doNothing())
          .compile(),
      ];
    },
  };
}

const MAX_USES = 1_000;

/**
 * Moves `last_used_at` forward. The rows are locked in the order of their ids before any is changed: with the
 * order left to the plan, two processes could wait for each other.
 */
export function createTouch(
  builder: Kysely<Tables>,
  { keys }: TableNames,
): (uses: ReadonlyMap<string, Date>) => readonly Statement[] {
  const table = sql.table(keys);
  return (uses) => {
    const all = [...uses].map(([id, at]) => [id, writeTime(at)] as const);
    const statements: Statement[] = [];
    for (let start = 0; start < all.length; start += MAX_USES) {
      const chunk = all.slice(start, start + MAX_USES);
      const [ids, times] = [chunk.map(([id]) => id), chunk.map(([, time]) => time)];
      statements.push(
        sql`with behind as (
          select k.id, used.time
          from unnest(${ids}::text[], ${times}::bigint[]) as used (id, time) join ${table} as k on k.id = used.id
          where k.last_used_at is null or k.last_used_at < used.time
          order by k.id
          for no key update of k
        )
        update ${table} as k set last_used_at = behind.time from behind
        where k.id = behind.id and (k.last_used_at is null or k.last_used_at < behind.time)`.compile(builder),
      );
    }
    return statements;
  };
}

const TYPES = { word: "text", text: "text", json: "text", integer: "bigint", time: "bigint" } as const;

/** The values of a row as a list of what to select; PostgreSQL is told their types, which nothing else shows. */
function constants<Names extends Columns>(
  columns: Names,
  row: Readonly<Record<Names[keyof Names][0], unknown>>,
): AliasedRawBuilder<unknown, Names[keyof Names][0]>[] {
  return Object.values(columns).map(([column, kind]) =>
    sql`${row[column as Names[keyof Names][0]]}::${sql.raw(TYPES[kind])}`.as(column as Names[keyof Names][0]),
  );
}
