import type { Expression, ExpressionBuilder, Kysely, SqlBool } from "kysely";
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
import { isStorable, type RawRow, writeTime } from "./rows.js";
import { AUDIT_COLUMNS, columnsOf, KEY_COLUMNS, type TableNames, type Tables } from "./schema.js";
import type { Statement } from "./statements.js";

/**
 * The queries of lists. Each answers one row more than `limit` when another page follows; `undefined` stands for
 * one that finds nothing, because no database can hold what it asks for.
 */
export interface Lists {
  keys(query: KeyQuery): Statement | undefined;
  audit(query: AuditQuery): Statement | undefined;
}

/**
 * Makes the queries of lists. `rarely` tells a planner that guesses without statistics that few rows meet a
 * condition, so that it looks for them by their index.
 */
export function createLists(
  builder: Kysely<Tables>,
  tables: TableNames,
  rarely: (condition: Expression<SqlBool>) => Expression<SqlBool> = (condition) => condition,
): Lists {
  return {
    keys({ ownerId, environment, status, endedBefore: deadBefore, now, cursor, limit }) {
      let query = builder.selectFrom(tables.keys).select(columnsOf(KEY_COLUMNS));
      if (ownerId !== undefined) query = query.where("owner_id", "=", ownerId);
      if (environment !== undefined) query = query.where("environment", "=", environment);
      if (status !== undefined) query = query.where((eb) => STATUS[status](eb, writeTime(now)));
      if (deadBefore !== undefined) query = query.where((eb) => rarely(wasDead(eb, writeTime(deadBefore))));
      if (cursor !== undefined) {
        const { time, id } = placeOf(cursor);
        // The first condition bounds the scan of the index; the second one breaks ties.
        query = query
          .where("created_at", "<=", time)
          .where((eb) => eb.or([eb("created_at", "<", time), eb("id", "<", id)]));
      }
      if (!isPossible(ownerId, environment)) return undefined;
      return query
        .orderBy("created_at", "desc")
        .orderBy("id", "desc")
        .limit(limit + 1)
        .compile();
    },

    audit({ keyId, ownerId, cursor, limit }) {
      let query = builder.selectFrom(tables.audit).select(columnsOf(AUDIT_COLUMNS));
      if (keyId !== undefined) query = query.where("key_id", "=", keyId);
      if (ownerId !== undefined) query = query.where("owner_id", "=", ownerId);
      if (cursor !== undefined) {
        const { time, id } = placeOf(cursor);
        query = query.where("at", "<=", time).where((eb) => eb.or([eb("at", "<", time), eb("id", "<", id)]));
      }
      if (!isPossible(keyId, ownerId)) return undefined;
      return query
        .orderBy("at", "desc")
        .orderBy("id", "desc")
        .limit(limit + 1)
        .compile();
    },
  };
}

/** Whether there can be rows of these values. What is absent filters nothing. */
function isPossible(...values: readonly (string | undefined)[]): boolean {
  return values.every((value) => value === undefined || isStorable(value));
}

/** @throws KeyInputError for a cursor that no list can have answered. */
function placeOf(cursor: string): { time: number; id: string } {
  const { at, id } = decodeCursor(cursor);
  if (!isStorable(id)) throw new KeyInputError("cursor", "is not one that a list has answered");
  return { time: writeTime(at), id };
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

/** Whether a key had been revoked, or had expired, at a moment. */
function wasDead(eb: Conditions, moment: number): Expression<SqlBool> {
  return eb.or([eb("revoked_at", "<=", moment), eb("expires_at", "<=", moment)]);
}
