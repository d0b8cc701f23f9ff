import {
  type AliasedRawBuilder,
  type CompiledQuery,
  type DeleteQueryBuilder,
  type DeleteResult,
  type InsertQueryBuilder,
  type InsertResult,
  type Kysely,
  type RawBuilder,
  sql,
  type UpdateQueryBuilder,
  type UpdateResult,
} from "kysely";
import type { AuditEntry, KeyChange, KeyHash, KeyRecord, OwnerQuota } from "../../kit.js";
import { encodeAudit, encodeChange, encodeKey, encodeWord } from "./rows.js";
import {
  type ColumnKind,
  type Columns,
  columnsOf,
  KEY_COLUMNS,
  type TableNames,
  type Tables,
} from "./schema.js";

/** A statement and its parameters. An optional one may change no row in an {@link AtomicWrite}. */
export type Statement = Pick<CompiledQuery, "sql" | "parameters"> & { readonly isOptional?: boolean };

/** Builds the statements that write one row each. */
export interface Statements {
  /** Inserts no row if the key has a `createdByKey` that is revoked or missing. */
  insertKey(record: KeyRecord): InsertQueryBuilder<Tables, "keys", InsertResult>;
  /** Matches no row if the version differs. */
  updateKey(id: string, ifVersion: number, change: KeyChange): KeyUpdate;
  /** Matches no row if the hash differs. */
  rehashKey(id: string, from: KeyHash, to: KeyHash): KeyUpdate;
  /** Matches no row if the version differs. */
  removeKey(id: string, ifVersion: number): DeleteQueryBuilder<Tables, "keys", DeleteResult>;
  insertAudit(audit: AuditEntry): InsertQueryBuilder<Tables, "audit", InsertResult>;
}

type KeyUpdate = UpdateQueryBuilder<Tables, "keys", "keys", UpdateResult>;

/**
 * Statements that run in one transaction. If one of them changes no row, the compare-and-set or the reservation for the
 * owner failed, and the transaction must be rolled back.
 */
export type AtomicWrite = readonly [first: Statement, ...others: Statement[]];

/** Builds the writes of a store. */
export interface AtomicWrites {
  /** With `claims`, the key claims these hashes and its own. */
  insert(record: KeyRecord, audit: AuditEntry, quota: OwnerQuota, claims?: readonly KeyHash[]): AtomicWrite;
  update(
    id: string,
    ifVersion: number,
    change: KeyChange,
    audit: AuditEntry,
    quota?: OwnerQuota,
  ): AtomicWrite;
  replace(
    id: string,
    ifVersion: number,
    change: KeyChange,
    successor: KeyRecord,
    audit: AuditEntry,
    quota: OwnerQuota,
  ): AtomicWrite;
  /** The key claims both hashes. */
  rehash(id: string, from: KeyHash, to: KeyHash, audit: AuditEntry): AtomicWrite;
  remove(id: string, ifVersion: number, audit: AuditEntry): AtomicWrite;
  /** Writes an audit entry as a change, which the feed reports. */
  appendChange(audit: AuditEntry): readonly [Statement, ...Statement[]];
  /** Skips entries whose id exists. */
  appendAudit(entries: readonly AuditEntry[]): readonly Statement[];
}

/** What differs between databases in the statements of {@link createStatements}. */
export interface Dialect {
  /** The type that a value of a column is cast to. */
  readonly castTypes: Readonly<Record<ColumnKind, string>>;
  /** Makes a `select` wait for a concurrent change of its rows, and hold back later ones until the commit. */
  readonly lockRows: RawBuilder<unknown>;
}

/** Creates the statements of a store. The query builder only compiles them and is never connected. */
export function createStatements(
  builder: Kysely<Tables>,
  tables: TableNames,
  { castTypes, lockRows }: Dialect,
): Statements {
  return {
    insertKey: (record) => {
      const row = encodeKey(record);
      const insert = builder.insertInto(tables.keys);
      if (row.created_by_key === null) return insert.values(row);
      // The lock orders the insert and a revocation of the creator, whichever comes first.
      const ifCreatorIsAlive = builder
        .selectFrom(tables.keys)
        .select(constants(KEY_COLUMNS, row, castTypes))
        .where("id", "=", row.created_by_key)
        .where("revoked_at", "is", null)
        .modifyEnd(lockRows);
      return insert.columns(columnsOf(KEY_COLUMNS)).expression(ifCreatorIsAlive);
    },

    updateKey: (id, ifVersion, change) =>
      builder
        .updateTable(tables.keys)
        .set({ ...encodeChange(change), version: ifVersion + 1 })
        .where("id", "=", id)
        .where("version", "=", ifVersion),

    rehashKey: (id, from, to) =>
      builder
        .updateTable(tables.keys)
        .set({ hash: encodeWord(to, "hash") })
        .where("id", "=", id)
        .where("hash", "=", from),

    removeKey: (id, ifVersion) =>
      builder.deleteFrom(tables.keys).where("id", "=", id).where("version", "=", ifVersion),

    insertAudit: (audit) => builder.insertInto(tables.audit).values(encodeAudit(audit)),
  };
}

/** Selects the values of a row. Databases cannot infer the types of parameters in a select list, so they are cast. */
export function constants<Names extends Columns>(
  columns: Names,
  row: Readonly<Record<Names[keyof Names][0], unknown>>,
  castTypes: Dialect["castTypes"],
): AliasedRawBuilder<unknown, Names[keyof Names][0]>[] {
  return Object.values(columns).map(([column, kind]) => {
    const name = column as Names[keyof Names][0];
    return sql`cast(${row[name]} as ${sql.raw(castTypes[kind])})`.as(name);
  });
}
