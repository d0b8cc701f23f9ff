import type {
  CompiledQuery,
  DeleteQueryBuilder,
  DeleteResult,
  InsertQueryBuilder,
  InsertResult,
  Kysely,
  UpdateQueryBuilder,
  UpdateResult,
} from "kysely";
import type { AuditEntry, KeyChange, KeyHash, KeyRecord } from "../../kit.js";
import { encodeAudit, encodeChange, encodeHash, encodeKey } from "./rows.js";
import type { TableNames, Tables } from "./schema.js";

/** A statement and its parameters. */
export type Statement = Pick<CompiledQuery, "sql" | "parameters">;

/** Builds the statements that write one row each. */
export interface Statements {
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
 * Statements that run in one transaction. If the first one changes no row, the compare-and-set failed and the others
 * must not run.
 */
export type AtomicWrite = readonly [first: Statement, ...others: Statement[]];

/** Builds the writes of a store. */
export interface AtomicWrites {
  /** With `claims`, the key claims these hashes and its own. */
  insert(record: KeyRecord, audit: AuditEntry, claims?: readonly KeyHash[]): AtomicWrite;
  update(id: string, ifVersion: number, change: KeyChange, audit: AuditEntry): AtomicWrite;
  replace(
    id: string,
    ifVersion: number,
    change: KeyChange,
    successor: KeyRecord,
    audit: AuditEntry,
  ): AtomicWrite;
  /** The key claims both hashes. */
  rehash(id: string, from: KeyHash, to: KeyHash, audit: AuditEntry): AtomicWrite;
  remove(id: string, ifVersion: number, audit: AuditEntry): AtomicWrite;
  /** Skips entries whose id exists. */
  appendAudit(entries: readonly AuditEntry[]): readonly Statement[];
}

/** Creates the statements of a store. The query builder only compiles them and is never connected. */
export function createStatements(builder: Kysely<Tables>, tables: TableNames): Statements {
  return {
    insertKey: (record) => builder.insertInto(tables.keys).values(encodeKey(record)),

    updateKey: (id, ifVersion, change) =>
      builder
        .updateTable(tables.keys)
        .set({ ...encodeChange(change), version: ifVersion + 1 })
        .where("id", "=", id)
        .where("version", "=", ifVersion),

    rehashKey: (id, from, to) =>
      builder
        .updateTable(tables.keys)
        .set({ hash: encodeHash(to) })
        .where("id", "=", id)
        .where("hash", "=", from),

    removeKey: (id, ifVersion) =>
      builder.deleteFrom(tables.keys).where("id", "=", id).where("version", "=", ifVersion),

    insertAudit: (audit) => builder.insertInto(tables.audit).values(encodeAudit(audit)),
  };
}
