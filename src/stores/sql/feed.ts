import { type Kysely, type RawBuilder, sql } from "kysely";
import { type KeyChanges, StoreError } from "../../kit.js";
import type { StoredRow } from "../record-codec.js";
import type { TableNames, Tables } from "./schema.js";
import type { Statement } from "./statements.js";

/**
 * Reads which keys were changed, from the audit trail: the entry of each change has a `position`. Entries of new keys
 * and of uses have none.
 */
export interface Feed {
  /** The migration that adds positions to the audit trail. */
  readonly migration: readonly Statement[];
  /** Selects the current position, and the changes since another one. Returns at least one row. */
  read(since: string | undefined): Statement;
  /** Decodes the rows of `read`. */
  decode(rows: readonly StoredRow[], since: string | undefined): KeyChanges;
}

const MAX_CHANGES = 10_000;
const LIMIT: RawBuilder<unknown> = sql`limit ${sql.lit(MAX_CHANGES + 1)}`;

/**
 * Creates the feed of PostgreSQL. The position of a change is its transaction id, and the position of a reading is its
 * snapshot. A reading returns the changes that are visible to it and were not to the previous one, so a transaction
 * that commits late is returned after its commit.
 */
export function createSnapshotFeed(builder: Kysely<Tables>, { audit }: TableNames): Feed {
  const table = sql.table(audit);
  return {
    migration: [
      sql`alter table ${table} add column position xid8`.compile(builder),
      sql`create index ${sql.id(`${audit}_position`)} on ${table} (position) where position is not null`.compile(
        builder,
      ),
    ],

    read(since) {
      const snapshot = sql`${SNAPSHOT.exec(since ?? "")?.[2] ?? null}::pg_snapshot`;
      // Positions above the current snapshot were restored from a backup of another server.
      return sql`select extract(epoch from pg_postmaster_start_time())::text || ' ' || pg_current_snapshot()::text
          as position, a.key_id
        from (select 1) as one left join ${table} as a
          on a.position >= pg_snapshot_xmin(${snapshot})
          and a.position < pg_snapshot_xmax(pg_current_snapshot())
          and not pg_visible_in_snapshot(a.position, ${snapshot})
        ${LIMIT}`.compile(builder);
    },

    decode(rows, since) {
      const position = rows[0]?.position;
      const now = typeof position === "string" ? SNAPSHOT.exec(position) : null;
      if (now === null) throw new StoreError("PostgreSQL returned an unknown snapshot");
      const before = SNAPSHOT.exec(since ?? "");
      // Another server, or one that restarted, may have lost transactions and use their ids again.
      const isContinued = before?.[1] === now[1] && BigInt(before?.[3] ?? 0) <= BigInt(now[3] ?? 0);
      return toChanges(position as string, since, isContinued, rows);
    },
  };
}

// When the server started, and a snapshot: xmin, xmax and the transactions in progress.
const SNAPSHOT = /^([\d.]+) (\d+:(\d+):[\d,]*)$/;

/**
 * Creates the feed of other databases, which counts changes in a table of one row. The row is locked from the count to
 * the commit, so changes are committed in the order of their positions. The position of a reading is the last one and
 * the id of its audit entry: a server that lost changes uses their positions for others.
 */
export function createCounterFeed(
  builder: Kysely<Tables>,
  { audit, position: counter }: TableNames,
  { integer, tableEnd = sql`` }: { integer: "bigint" | "integer"; tableEnd?: RawBuilder<unknown> },
): Feed {
  const { schema } = builder;
  const [entries, position] = [sql.table(audit), sql.ref("position")];
  return {
    migration: [
      schema.alterTable(audit).addColumn("position", integer).compile(),
      schema.createIndex(`${audit}_position`).on(audit).column("position").compile(),
      schema
        .createTable(counter)
        .addColumn("id", integer, (column) => column.primaryKey().notNull())
        .addColumn("position", integer, (column) => column.notNull())
        .modifyEnd(tableEnd)
        .compile(),
      // Does nothing if an interrupted migration inserted the row.
      sql`insert into ${sql.table(counter)} (id, ${position})
        select 1, 0 from (select 1 as one) as new
        where not exists (select 1 from ${sql.table(counter)})`.compile(builder),
    ],

    read(since) {
      const after = COUNTED.exec(since ?? "")?.[1];
      const last = sql`select c.${position}, last.id as entry`;
      const from = sql`from ${sql.table(counter)} as c left join ${entries} as last on last.${position} = c.${position}`;
      if (after === undefined) return sql`${last} ${from}`.compile(builder);
      return sql`${last}, since.id as since_entry, a.key_id ${from}
        left join ${entries} as since on since.${position} = ${Number(after)}
        left join ${entries} as a on a.${position} > ${Number(after)} and a.${position} <= c.${position}
        ${LIMIT}`.compile(builder);
    },

    decode(rows, since) {
      const [row] = rows;
      if (row === undefined) throw new StoreError("The table of the position is empty; restore its row");
      const count = Number(row.position);
      const [, before, entry] = COUNTED.exec(since ?? "") ?? [];
      const isContinued =
        before !== undefined && Number(before) <= count && entry === `${row.since_entry ?? ""}`;
      return toChanges(`${count} ${row.entry ?? ""}`, since, isContinued, rows);
    },
  };
}

const COUNTED = /^(\d{1,15}) (.*)$/s;

function toChanges(
  position: string,
  since: string | undefined,
  isContinued: boolean,
  rows: readonly StoredRow[],
): KeyChanges {
  if (since === undefined) return { position, keyIds: [] };
  if (!isContinued || rows.length > MAX_CHANGES) return { position, keyIds: "all" };
  const keyIds = new Set<string>();
  for (const { key_id: id } of rows) {
    // The entry of an owner has an empty id.
    if (typeof id === "string" && id !== "") keyIds.add(id);
    else if (id !== null) return { position, keyIds: "all" };
  }
  return { position, keyIds: [...keyIds] };
}
