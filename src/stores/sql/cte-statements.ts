import {
  type DeleteQueryBuilder,
  type InsertQueryBuilder,
  type Kysely,
  type QueryCreator,
  type RawBuilder,
  sql,
  type UpdateQueryBuilder,
} from "kysely";
import type { AuditEntry, KeyRecord } from "../../kit.js";
import { encodeTime } from "../record-codec.js";
import { encodeAudit, encodeKey } from "./rows.js";
import {
  AUDIT_COLUMNS,
  changesChannel,
  columnsOf,
  KEY_COLUMNS,
  type TableNames,
  type Tables,
} from "./schema.js";
import {
  type AtomicWrite,
  type AtomicWrites,
  constants,
  createStatements,
  type Dialect,
  type Statement,
} from "./statements.js";
import { sortById } from "./transactions.js";

type Changed = { id: string };
type KeyStatement =
  | InsertQueryBuilder<Tables, "keys", Changed>
  | UpdateQueryBuilder<Tables, "keys", "keys", Changed>
  | DeleteQueryBuilder<Tables, "keys", Changed>;

/**
 * Creates writes of one statement each, for PostgreSQL, which can write several tables in one statement with common
 * table expressions. A write takes one round trip, and a process that stops halfway holds no lock.
 */
export function createCteStatements(builder: Kysely<Tables>, tables: TableNames): AtomicWrites {
  const { insertKey, updateKey, rehashKey, removeKey } = createStatements(builder, tables, DIALECT);
  // Longer than a table name can be, or with another suffix, so neither hides a table.
  const changed = `${tables.keys}_changed` as "changed";
  const successors = `${tables.keys}_successors` as "successors";

  const channel = changesChannel(tables.keys);

  const withAudit = (
    creator: QueryCreator<Tables & { changed: Changed }>,
    audit: AuditEntry,
    position: RawBuilder<number | null>,
  ) =>
    creator
      .insertInto(tables.audit)
      .columns([...columnsOf(AUDIT_COLUMNS), "position"])
      .expression((eb) =>
        eb
          .selectFrom(changed)
          .select([
            ...constants(AUDIT_COLUMNS, encodeAudit(audit), DIALECT.castTypes),
            position.as("position"),
          ]),
      );

  /** The other rows are selected from the changed row, so they are written only if there is one. */
  const change = (statement: KeyStatement, audit: AuditEntry, successor?: KeyRecord): AtomicWrite => {
    let creator: QueryCreator<Tables & { changed: Changed }> = builder.with(changed, () => statement);
    if (successor !== undefined) {
      creator = creator.with(successors, (inner) =>
        inner
          .insertInto(tables.keys)
          .columns(columnsOf(KEY_COLUMNS))
          .expression((eb) =>
            eb.selectFrom(changed).select(constants(KEY_COLUMNS, encodeKey(successor), DIALECT.castTypes)),
          )
          .returning("id"),
      ) as unknown as typeof creator;
    }
    return [
      withAudit(creator, audit, sql`pg_current_xact_id()`)
        .returning(sql`pg_notify(${channel}, key_id)`.as("announced"))
        .compile(),
    ];
  };

  return {
    // Without a position: a new key is in no cache.
    insert: (record, audit) => {
      const creator = builder.with(changed, () => insertKey(record).returning("id"));
      return [withAudit(creator, audit, sql`null::xid8`).compile()];
    },

    update: (id, ifVersion, members, audit) =>
      change(updateKey(id, ifVersion, members).returning("id"), audit),

    replace: (id, ifVersion, members, successor, audit) =>
      change(updateKey(id, ifVersion, members).returning("id"), audit, successor),

    rehash: (id, from, to, audit) => change(rehashKey(id, from, to).returning("id"), audit),

    remove: (id, ifVersion, audit) => change(removeKey(id, ifVersion).returning("id"), audit),

    appendAudit: (entries) => {
      const rows = sortById(entries).map(encodeAudit);
      const arrays = Object.values(AUDIT_COLUMNS).map(
        ([column, kind]) => sql`${rows.map((row) => row[column])}::${sql.raw(DIALECT.castTypes[kind])}[]`,
      );
      return [
        builder
          .insertInto(tables.audit)
          .columns(columnsOf(AUDIT_COLUMNS))
          .expression(sql`select * from unnest(${sql.join(arrays)})`)
          .onConflict((conflict) => conflict.column("id").doNothing())
          .compile(),
      ];
    },
  };
}

const MAX_USES = 1_000;

/**
 * Creates the statements that move `last_used_at` forward. Rows are locked in the order of their ids before any is
 * updated, because two processes could deadlock if the query plan chose the order.
 */
export function createTouch(
  builder: Kysely<Tables>,
  { keys }: TableNames,
): (uses: ReadonlyMap<string, Date>) => readonly Statement[] {
  const table = sql.table(keys);
  return (uses) => {
    const all = [...uses].map(([id, at]) => [id, encodeTime(at)] as const);
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

const DIALECT: Dialect = {
  castTypes: {
    word: "text",
    text: "text",
    json: "text",
    list: "text",
    integer: "bigint",
    time: "bigint",
  },
  lockRows: sql`for share`,
};
