import {
  type Expression,
  type ExpressionBuilder,
  type Kysely,
  type RawBuilder,
  type SqlBool,
  sql,
} from "kysely";
import {
  type AuditQuery,
  decodeCursor,
  encodeCursor,
  KeyInputError,
  type KeyQuery,
  type KeyStatus,
  type ListPosition,
  type Page,
} from "../../kit.js";
import { encodeTime, type StoredRow } from "../record-codec.js";
import { isStorable } from "./rows.js";
import { AUDIT_COLUMNS, columnsOf, KEY_COLUMNS, type TableNames, type Tables } from "./schema.js";
import type { Statement } from "./statements.js";

/**
 * Builds the queries of lists. Each returns one row more than `limit` if there is another page. `undefined` stands for
 * a query that matches nothing, because no database can store a value that it filters by.
 */
export interface Queries {
  keys(query: KeyQuery): Statement | undefined;
  audit(query: AuditQuery): Statement | undefined;
}

/** What differs between databases in the queries of lists. */
export interface QueryDialect {
  /** Marks a condition that few rows meet, for a query planner without statistics. */
  readonly unlikely?: (condition: Expression<SqlBool>) => Expression<SqlBool>;
  /** Converts a column or a string to a type that `lower` changes. */
  readonly toText?: (value: RawBuilder<string>) => RawBuilder<string>;
}

/** Creates the queries of lists. */
export function createQueries(
  builder: Kysely<Tables>,
  tables: TableNames,
  { unlikely = (condition) => condition, toText = (value) => value }: QueryDialect = {},
): Queries {
  return {
    keys({ ownerId, environment, status, createdByKey, endedBefore, search, now, cursor, limit }) {
      let query = builder.selectFrom(tables.keys).select(columnsOf(KEY_COLUMNS));
      if (ownerId !== undefined) query = query.where("owner_id", "=", ownerId);
      if (environment !== undefined) query = query.where("environment", "=", environment);
      if (createdByKey !== undefined) query = query.where("created_by_key", "=", createdByKey);
      if (status !== undefined) query = query.where((eb) => STATUS[status](eb, encodeTime(now)));
      if (search !== undefined) query = query.where((eb) => matchesSearch(eb, search, toText));
      if (endedBefore !== undefined) {
        query = query.where((eb) => unlikely(hasEnded(eb, encodeTime(endedBefore))));
      }
      if (cursor !== undefined) {
        const { time, id } = readCursor(cursor);
        // The first condition bounds the index scan; the second one breaks ties.
        query = query
          .where("created_at", "<=", time)
          .where((eb) => eb.or([eb("created_at", "<", time), eb("id", "<", id)]));
      }
      if (!areStorable(ownerId, environment, createdByKey, search)) return undefined;
      return query
        .orderBy("created_at", "desc")
        .orderBy("id", "desc")
        .limit(limit + 1)
        .compile();
    },

    audit({ keyId, ownerId, actor, cursor, limit }) {
      let query = builder.selectFrom(tables.audit).select(columnsOf(AUDIT_COLUMNS));
      if (keyId !== undefined) query = query.where("key_id", "=", keyId);
      if (ownerId !== undefined) query = query.where("owner_id", "=", ownerId);
      if (actor !== undefined) query = query.where("actor", "=", actor);
      if (cursor !== undefined) {
        const { time, id } = readCursor(cursor);
        query = query.where("at", "<=", time).where((eb) => eb.or([eb("at", "<", time), eb("id", "<", id)]));
      }
      if (!areStorable(keyId, ownerId, actor)) return undefined;
      return query
        .orderBy("at", "desc")
        .orderBy("id", "desc")
        .limit(limit + 1)
        .compile();
    },
  };
}

function areStorable(...filters: readonly (string | undefined)[]): boolean {
  return filters.every((filter) => filter === undefined || isStorable(filter));
}

/** @throws KeyInputError if the cursor is not one that a list returned. */
function readCursor(cursor: string): { time: number; id: string } {
  const { at, id } = decodeCursor(cursor);
  if (!isStorable(id)) throw new KeyInputError("cursor", "is not a cursor of a list");
  return { time: encodeTime(at), id };
}

/** Creates a page from the rows of a list query. A row that cannot be read is named in `damaged`. */
export function toPage<T>(
  rows: readonly StoredRow[],
  limit: number,
  decode: (row: StoredRow) => T,
  timeColumn: "created_at" | "at",
): Page<T> {
  const items: T[] = [];
  const damaged: string[] = [];
  for (const row of rows.slice(0, limit)) {
    try {
      items.push(decode(row));
    } catch (error) {
      if (typeof row.id !== "string") throw error;
      damaged.push(row.id);
    }
  }
  const last = rows.length > limit ? rows[limit - 1] : undefined;
  return {
    items,
    ...(last !== undefined && { nextCursor: encodeCursor(positionOf(last, timeColumn)) }),
    ...(damaged.length > 0 && { damaged }),
  };
}

const MAX_TIME = 8_640_000_000_000_000;

/** The position of a row, whose time may be damaged, and then outside of the range of dates. */
function positionOf(row: StoredRow, timeColumn: string): ListPosition {
  const time = Math.max(-MAX_TIME, Math.min(MAX_TIME, Number(row[timeColumn])));
  return { at: new Date(time), id: row.id as string };
}

type Conditions = ExpressionBuilder<Tables, "keys">;

/** `keyStatus()` in SQL. */
const STATUS: Record<KeyStatus, (eb: Conditions, now: number) => Expression<SqlBool>> = {
  revoked: (eb) => eb("revoked_at", "is not", null),
  suspended: (eb) => eb.and([eb("revoked_at", "is", null), eb("suspended_at", "is not", null)]),
  disabled: (eb) =>
    eb.and([eb("revoked_at", "is", null), eb("suspended_at", "is", null), eb("disabled_at", "is not", null)]),
  expired: (eb, now) => eb.and([isEnabled(eb), eb("expires_at", "<=", now)]),
  retiring: (eb, now) => eb.and([isEnabled(eb), isUnexpired(eb, now), eb("rotated_at", "is not", null)]),
  active: (eb, now) => eb.and([isEnabled(eb), isUnexpired(eb, now), eb("rotated_at", "is", null)]),
};

/** The search of a query in SQL. Only the rows that other conditions leave are read, such as those of one owner. */
function matchesSearch(
  eb: Conditions,
  search: string,
  toText: NonNullable<QueryDialect["toText"]>,
): Expression<SqlBool> {
  const literal = search.replace(/[!%_]/g, "!$&");
  const matches = (column: "name" | "start", pattern: string): Expression<SqlBool> =>
    sql<SqlBool>`lower(${toText(sql.ref(column))}) like lower(${toText(sql`${pattern}`)}) escape '!'`;
  return eb.or([matches("name", `%${literal}%`), matches("start", `${literal}%`)]);
}

/** Neither revoked nor suspended nor disabled. */
function isEnabled(eb: Conditions): Expression<SqlBool> {
  return eb.and([
    eb("revoked_at", "is", null),
    eb("suspended_at", "is", null),
    eb("disabled_at", "is", null),
  ]);
}

function isUnexpired(eb: Conditions, now: number): Expression<SqlBool> {
  return eb.or([eb("expires_at", "is", null), eb("expires_at", ">", now)]);
}

/** Revoked or expired at a time. */
function hasEnded(eb: Conditions, time: number): Expression<SqlBool> {
  return eb.or([eb("revoked_at", "<=", time), eb("expires_at", "<=", time)]);
}
