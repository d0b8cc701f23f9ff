import type { CompiledQuery, Expression, ExpressionBuilder, Kysely, SqlBool } from "kysely";
import {
  type AuditEntry,
  type AuditQuery,
  decodeCursor,
  encodeCursor,
  type KeyChange,
  type KeyQuery,
  type KeyRecord,
  type KeyStatus,
  type ListPosition,
  type Page,
} from "../../index.js";
import { type RawRow, writeAudit, writeChange, writeKey, writeTime } from "./rows.js";
import type { TableNames, Tables } from "./schema.js";

/** What a manager asks of a database, as statements with their parameters. */
export interface Queries {
  insertKey(record: KeyRecord): CompiledQuery;
  /** Changes one row, or none when the version is another by now: the compare-and-set of a store. */
  updateKey(id: string, ifVersion: number, change: KeyChange): CompiledQuery;
  insertAudit(audit: AuditEntry): CompiledQuery;
  /** Answers one row more than `limit` when another page follows; see {@link pageOf}. */
  listKeys(query: KeyQuery): CompiledQuery;
  /** Answers one row more than `limit` when another page follows; see {@link pageOf}. */
  listAudit(query: AuditQuery): CompiledQuery;
}

/** Makes the queries of one store. The builder is never connected: it only writes statements. */
export function createQueries(builder: Kysely<Tables>, tables: TableNames): Queries {
  return {
    insertKey: (record) => builder.insertInto(tables.keys).values(writeKey(record)).compile(),

    updateKey: (id, ifVersion, change) =>
      builder
        .updateTable(tables.keys)
        .set({ ...writeChange(change), version: ifVersion + 1 })
        .where("id", "=", id)
        .where("version", "=", ifVersion)
        .compile(),

    insertAudit: (audit) => builder.insertInto(tables.audit).values(writeAudit(audit)).compile(),

    listKeys({ ownerId, environment, status, now, cursor, limit }) {
      let query = builder.selectFrom(tables.keys).selectAll();
      if (ownerId !== undefined) query = query.where("owner_id", "=", ownerId);
      if (environment !== undefined) query = query.where("environment", "=", environment);
      if (status !== undefined) query = query.where((eb) => STATUS[status](eb, writeTime(now)));
      if (cursor !== undefined) {
        const { at, id } = decodeCursor(cursor);
        const time = writeTime(at);
        // The first condition bounds the scan of the index; the second one breaks ties.
        query = query
          .where("created_at", "<=", time)
          .where((eb) => eb.or([eb("created_at", "<", time), eb("id", "<", id)]));
      }
      return query
        .orderBy("created_at", "desc")
        .orderBy("id", "desc")
        .limit(limit + 1)
        .compile();
    },

    listAudit({ keyId, ownerId, cursor, limit }) {
      let query = builder.selectFrom(tables.audit).selectAll();
      if (keyId !== undefined) query = query.where("key_id", "=", keyId);
      if (ownerId !== undefined) query = query.where("owner_id", "=", ownerId);
      if (cursor !== undefined) {
        const { at, id } = decodeCursor(cursor);
        const time = writeTime(at);
        query = query.where("at", "<=", time).where((eb) => eb.or([eb("at", "<", time), eb("id", "<", id)]));
      }
      return query
        .orderBy("at", "desc")
        .orderBy("id", "desc")
        .limit(limit + 1)
        .compile();
    },
  };
}

/** Turns the rows of a list into its page. */
export function pageOf<T>(
  rows: readonly RawRow[],
  limit: number,
  read: (row: RawRow) => T,
  place: (item: T) => ListPosition,
): Page<T> {
  const items = rows.slice(0, limit).map(read);
  const last = items.at(-1);
  return rows.length > limit && last !== undefined
    ? { items, nextCursor: encodeCursor(place(last)) }
    : { items };
}

type Conditions = ExpressionBuilder<Tables, "keys">;

/** `keyStatus()` in the words of SQL. */
const STATUS: Record<KeyStatus, (eb: Conditions, now: number) => Expression<SqlBool>> = {
  revoked: (eb) => eb("revoked_at", "is not", null),
  disabled: (eb) => eb.and([eb("revoked_at", "is", null), eb("disabled_at", "is not", null)]),
  expired: (eb, now) => eb.and([notStopped(eb), eb("expires_at", "<=", now)]),
  retiring: (eb, now) => eb.and([notStopped(eb), notExpired(eb, now), eb("rotated_at", "is not", null)]),
  active: (eb, now) => eb.and([notStopped(eb), notExpired(eb, now), eb("rotated_at", "is", null)]),
};

function notStopped(eb: Conditions): Expression<SqlBool> {
  return eb.and([eb("revoked_at", "is", null), eb("disabled_at", "is", null)]);
}

function notExpired(eb: Conditions, now: number): Expression<SqlBool> {
  return eb.or([eb("expires_at", "is", null), eb("expires_at", ">", now)]);
}
