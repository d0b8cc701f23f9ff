import {
  type DeleteQueryBuilder,
  type ExpressionBuilder,
  type InsertQueryBuilder,
  type Kysely,
  type QueryCreator,
  type RawBuilder,
  type SqlBool,
  sql,
  type UpdateQueryBuilder,
} from "kysely";
import type { AuditEntry, KeyChange, KeyHash, KeyRecord, OwnerQuota } from "../../kit.js";
import { encodeTime } from "../record-codec.js";
import type { OwnerStatements, OwnerUpdate } from "./owners.js";
import { encodeAudit, encodeKey, encodeWord } from "./rows.js";
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
type Claim = { hash: string };
type Sources = { changed: Changed; reserved: { owner_id: string }; creators: Changed };
type KeyStatement =
  | InsertQueryBuilder<Tables, "keys", Changed>
  | UpdateQueryBuilder<Tables, "keys", "keys", Changed>
  | DeleteQueryBuilder<Tables, "keys", Changed>;

/**
 * Creates writes of one statement each, for PostgreSQL, which can write several tables in one statement with common
 * table expressions. A write takes one round trip, and a process that stops halfway holds no lock.
 */
export function createCteStatements(
  builder: Kysely<Tables>,
  tables: TableNames,
  { reserve }: OwnerStatements,
): AtomicWrites {
  const { updateKey, rehashKey, removeKey } = createStatements(builder, tables, DIALECT);
  // Longer than a table name can be, or with another suffix, so neither hides a table.
  const changed = `${tables.keys}_changed` as "changed";
  const successors = `${tables.keys}_successors` as "successors";
  const reserved = `${tables.keys}_reserved` as "reserved";
  const creators = `${tables.keys}_creators` as "creators";

  const claimed = `${tables.keys}_claimed`;

  const channel = changesChannel(tables.keys);

  /**
   * Claims hashes for the changed key, except those that it has claimed. If another key is stored under one of them, it is
   * claimed for both keys, which fails.
   */
  const claim = (hashes: readonly KeyHash[]) => {
    const [given, key, table] = [
      sql`${hashes.map((hash) => encodeWord(hash, "hash"))}::text[]`,
      sql.table(changed),
      sql.table(tables.claims),
    ];
    return sql<Claim>`(insert into ${table} (hash, key_id)
      select n.hash, n.id from (
        select given.hash, key.id from ${key} as key, unnest(${given}) as given (hash)
        union select k.hash, k.id from ${key} as key, ${sql.table(tables.keys)} as k where k.hash = any(${given})
      ) as n
      where not exists (select 1 from ${table} as c where c.hash = n.hash and c.key_id = n.id)
      order by n.hash)`;
  };

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

  /** Inserts a key if `source` has a row. */
  const insertKeyFrom = (creator: QueryCreator<Tables>, source: keyof Sources, record: KeyRecord) =>
    creator
      .insertInto(tables.keys)
      .columns(columnsOf(KEY_COLUMNS))
      .expression((eb) =>
        (eb as ExpressionBuilder<Tables & Sources, never>)
          .selectFrom(source)
          .select(constants(KEY_COLUMNS, encodeKey(record), DIALECT.castTypes)),
      )
      .returning("id");

  /** Selects the creator of a key if it is not revoked. The lock orders the insert and a revocation of the creator. */
  const lockCreator = (id: string) =>
    builder
      .selectFrom(tables.keys)
      .select("id")
      .where("id", "=", id)
      .where("revoked_at", "is", null)
      .where(sql<SqlBool>`exists (select 1 from ${sql.table(reserved)})`) // the owner is locked first
      .modifyEnd(DIALECT.lockRows);

  /** The other rows are selected from the changed row, so they are written only if there is one. */
  const change = (
    statement: KeyStatement,
    audit: AuditEntry,
    {
      successor,
      claims,
      reservation,
    }: { successor?: KeyRecord; claims?: RawBuilder<Claim>; reservation?: OwnerUpdate } = {},
  ): AtomicWrite => {
    const start = (
      reservation === undefined ? builder : builder.with(reserved, () => reservation.returning("owner_id"))
    ) as QueryCreator<Tables>;
    let creator = start.with(changed, () => statement) as QueryCreator<Tables & { changed: Changed }>;
    if (successor !== undefined) {
      creator = creator.with(successors, (inner) =>
        insertKeyFrom(inner as unknown as QueryCreator<Tables>, changed, successor),
      ) as unknown as typeof creator;
    }
    if (claims !== undefined) creator = creator.with(claimed, () => claims) as unknown as typeof creator;
    return [
      withAudit(creator, audit, sql`pg_current_xact_id()`)
        .returning(sql`pg_notify(${channel}, key_id)`.as("announced"))
        .compile(),
    ];
  };

  /** Changes a key and adds to its owner. Only the key that is read is reserved for, so a lost race reserves nothing. */
  const changeReserving = (
    [id, ifVersion, members]: [id: string, ifVersion: number, members: KeyChange],
    audit: AuditEntry,
    quota: OwnerQuota,
    successor?: KeyRecord,
  ): AtomicWrite => {
    const isCurrent = builder
      .selectFrom(tables.keys)
      .select("id")
      .where("id", "=", id)
      .where("version", "=", ifVersion);
    const reservation = reserve(audit.ownerId, quota).where(({ exists }) => exists(isCurrent));
    const statement = updateKey(id, ifVersion, members)
      .where(sql<SqlBool>`exists (select 1 from ${sql.table(reserved)})`)
      .returning("id");
    return change(statement, audit, { reservation, ...(successor && { successor }) });
  };

  return {
    // Without a position: a new key is in no cache.
    insert: (record, audit, quota, claims) => {
      const start = builder.with(reserved, () => reserve(record.ownerId, quota).returning("owner_id"));
      const { createdByKey } = record;
      const creator =
        createdByKey === null
          ? start.with(changed, (inner) => insertKeyFrom(inner as never, reserved, record))
          : start
              .with(creators, () => lockCreator(createdByKey) as never)
              .with(changed, (inner) => insertKeyFrom(inner as never, creators, record));
      const claiming =
        claims === undefined
          ? creator
          : (creator as unknown as QueryCreator<Tables>).with(claimed, () => claim([record.hash, ...claims]));
      return [withAudit(claiming as never, audit, sql`null::xid8`).compile()];
    },

    update: (id, ifVersion, members, audit, quota) =>
      quota === undefined
        ? change(updateKey(id, ifVersion, members).returning("id"), audit)
        : changeReserving([id, ifVersion, members], audit, quota),

    replace: (id, ifVersion, members, successor, audit, quota) =>
      changeReserving([id, ifVersion, members], audit, quota, successor),

    rehash: (id, from, to, audit) =>
      change(rehashKey(id, from, to).returning("id"), audit, { claims: claim([from, to]) }),

    remove: (id, ifVersion, audit) =>
      change(removeKey(id, ifVersion).returning("id"), audit, {
        claims: sql<Claim>`(delete from ${sql.table(tables.claims)} as c using ${sql.table(changed)} as key where c.key_id = key.id)`,
      }),

    appendChange: (audit) => [
      builder
        .insertInto(tables.audit)
        .values({ ...encodeAudit(audit), position: sql`pg_current_xact_id()` })
        .returning(sql`pg_notify(${channel}, key_id)`.as("announced"))
        .compile(),
    ],

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
