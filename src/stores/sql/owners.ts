import {
  type Kysely,
  type RawBuilder,
  type SqlBool,
  sql,
  type UpdateQueryBuilder,
  type UpdateResult,
} from "kysely";
import { CLOCK_TOLERANCE_MS, KeyStateError, OWNER_SUSPENDED, type OwnerQuota } from "../../kit.js";
import { encodeTime, type StoredRow } from "../record-codec.js";
import { encodeWord } from "./rows.js";
import type { TableNames, Tables } from "./schema.js";
import type { Statement } from "./statements.js";

/** An update of the row of an owner. */
export type OwnerUpdate = UpdateQueryBuilder<Tables, "owners", "owners", UpdateResult>;

/**
 * Builds the statements about the row of an owner. Its counts are an upper bound: a change that adds to the owner adds to
 * them, and they are counted again when they reach a ceiling. Every such change updates the row before it writes a key, and
 * so waits for a suspension of the owner, or a suspension waits for it.
 */
export interface OwnerStatements {
  /** Inserts the row if it is missing. */
  create(ownerId: string): Statement;
  /** Adds a quota to the counts. Changes no row if the owner is missing or suspended, or a count would exceed its ceiling. */
  reserve(ownerId: string, quota: OwnerQuota): OwnerUpdate;
  /** Selects the row, and locks it where the database has row locks. */
  lock(ownerId: string): Statement;
  /** Counts the live keys and their bytes, while the row is locked. */
  count(ownerId: string, now: Date): Statement;
  /** Writes the result of `count`. */
  write(ownerId: string, counts: Counts): Statement;
  /** Marks the owner as suspended, if it is not; then its live keys. */
  suspend(ownerId: string, at: Date): readonly [Statement, ...Statement[]];
  /** Removes both marks, if the owner is suspended. */
  resume(ownerId: string, at: Date): readonly [Statement, ...Statement[]];
}

/** The live keys of an owner and their bytes. */
export interface Counts {
  readonly keys: number;
  readonly bytes: number;
}

/** What differs between databases. */
export interface OwnerDialect {
  /** What makes `insert` skip a row that exists. */
  readonly skipDuplicate: RawBuilder<unknown>;
  /** Follows a `select` that locks its rows. */
  readonly forUpdate?: RawBuilder<unknown>;
  /** The bytes of a string; `octet_length` by default. */
  readonly octets?: (column: RawBuilder<unknown>) => RawBuilder<unknown>;
}

export function createOwnerStatements(
  builder: Kysely<Tables>,
  tables: TableNames,
  { skipDuplicate, forUpdate, octets = (column) => sql`octet_length(${column})` }: OwnerDialect,
): OwnerStatements {
  const { keys, owners } = tables;
  const [keyTable, ownerTable] = [sql.table(keys), sql.table(owners)];
  const bytes = (column: string) => sql`coalesce(${octets(sql.ref(column))}, 0)`;

  /** The keys of an owner that are neither revoked nor expired. */
  const live = (ownerId: string, time: number) =>
    sql<SqlBool>`owner_id = ${ownerId} and revoked_at is null and (expires_at is null or expires_at > ${time})`;

  const mark = (ownerId: string, suspendedAt: number | null): Statement =>
    builder
      .updateTable(owners)
      .set({ suspended_at: suspendedAt, version: sql`version + 1` })
      .where("owner_id", "=", ownerId)
      .where("suspended_at", suspendedAt === null ? "is not" : "is", null)
      .compile();

  /** Locks the keys in the order of their ids first, as `touch` does. */
  const markKeys = (which: RawBuilder<SqlBool>, suspendedAt: number | null, at: number): Statement[] => [
    ...(forUpdate === undefined
      ? []
      : [sql`select id from ${keyTable} where ${which} order by id ${forUpdate}`.compile(builder)]),
    sql`update ${keyTable} set suspended_at = ${suspendedAt}, updated_at = ${at}, version = version + 1
      where ${which}`.compile(builder),
  ];

  return {
    create: (ownerId) =>
      sql`insert into ${ownerTable} (owner_id, key_count, byte_count, version)
        values (${encodeWord(ownerId, "owner_id")}, 0, 0, 1) ${skipDuplicate}`.compile(builder),

    reserve(ownerId, quota) {
      let update = builder
        .updateTable(owners)
        .set({
          key_count: sql`key_count + ${quota.keys}`,
          byte_count: sql`byte_count + ${quota.bytes}`,
          version: sql`version + 1`,
        })
        .where("owner_id", "=", ownerId)
        .where("suspended_at", "is", null);
      if (isChecked(quota.keys, quota.maxKeys)) {
        update = update.where("key_count", "<=", quota.maxKeys - quota.keys);
      }
      if (isChecked(quota.bytes, quota.maxBytes)) {
        update = update.where("byte_count", "<=", quota.maxBytes - quota.bytes);
      }
      return update;
    },

    lock: (ownerId) =>
      sql`select suspended_at from ${ownerTable} where owner_id = ${ownerId} ${forUpdate ?? sql``}`.compile(
        builder,
      ),

    count: (ownerId, now) =>
      sql`select count(*) as key_count, coalesce(sum(${bytes("ip_allowlist")} + ${bytes("metadata")}), 0) as byte_count
        from ${keyTable} where ${live(ownerId, encodeTime(now))}`.compile(builder),

    write: (ownerId, counts) =>
      builder
        .updateTable(owners)
        .set({ key_count: counts.keys, byte_count: counts.bytes, version: sql`version + 1` })
        .where("owner_id", "=", ownerId)
        .compile(),

    suspend(ownerId, at) {
      const time = encodeTime(at);
      const which = sql<SqlBool>`${live(ownerId, time - CLOCK_TOLERANCE_MS)} and suspended_at is null`;
      return [mark(ownerId, time), ...markKeys(which, time, time)];
    },

    resume(ownerId, at) {
      const which = sql<SqlBool>`owner_id = ${ownerId} and revoked_at is null and suspended_at is not null`;
      return [mark(ownerId, null), ...markKeys(which, null, encodeTime(at))];
    },
  };
}

/** Reads the row of `count`. */
export function readCounts(row: StoredRow | undefined): Counts {
  return { keys: Number(row?.key_count ?? 0), bytes: Number(row?.byte_count ?? 0) };
}

/** @throws KeyStateError if the owner of a row of `lock` is suspended. */
export function rejectSuspended(row: StoredRow | undefined): void {
  if (row?.suspended_at !== null && row?.suspended_at !== undefined) throw new KeyStateError(OWNER_SUSPENDED);
}

function isChecked(added: number, max: number): boolean {
  return added > 0 && max < Number.POSITIVE_INFINITY;
}
