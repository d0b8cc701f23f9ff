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
import { writeAudit, writeChange, writeHash, writeKey } from "./rows.js";
import type { TableNames, Tables } from "./schema.js";

/** A statement with its parameters, as the builder writes it. */
export type Statement = Pick<CompiledQuery, "sql" | "parameters">;

/** Statements that change one row, each. Those with a condition change none when it no longer holds. */
export interface Changes {
  insertKey(record: KeyRecord): InsertQueryBuilder<Tables, "keys", InsertResult>;
  /** If the version is still the same: the compare-and-set of a store. */
  updateKey(id: string, ifVersion: number, change: KeyChange): Update;
  /** If the hash is still the same. */
  rehashKey(id: string, from: KeyHash, to: KeyHash): Update;
  /** If the version is still the same. */
  removeKey(id: string, ifVersion: number): DeleteQueryBuilder<Tables, "keys", DeleteResult>;
  insertAudit(audit: AuditEntry): InsertQueryBuilder<Tables, "audit", InsertResult>;
}

type Update = UpdateQueryBuilder<Tables, "keys", "keys", UpdateResult>;

/**
 * What a store writes as a whole or not at all, in one statement or several. It is done when the first statement
 * has changed a row; when that changed none, somebody else was faster, and nothing else must be written.
 */
export type Write = readonly [first: Statement, ...others: Statement[]];

/** How a database writes. */
export interface Writes {
  insert(record: KeyRecord, audit: AuditEntry): Write;
  update(id: string, ifVersion: number, change: KeyChange, audit: AuditEntry): Write;
  replace(id: string, ifVersion: number, change: KeyChange, successor: KeyRecord, audit: AuditEntry): Write;
  rehash(id: string, from: KeyHash, to: KeyHash, audit: AuditEntry): Write;
  remove(id: string, ifVersion: number, audit: AuditEntry): Write;
  /** All of them or none; passes over entries whose id is there. */
  appendAudit(entries: readonly AuditEntry[]): readonly Statement[];
}

/** Makes the statements of changes, for one store. The builder is never connected: it only writes them. */
export function createChanges(builder: Kysely<Tables>, tables: TableNames): Changes {
  return {
    insertKey: (record) => builder.insertInto(tables.keys).values(writeKey(record)),

    updateKey: (id, ifVersion, change) =>
      builder
        .updateTable(tables.keys)
        .set({ ...writeChange(change), version: ifVersion + 1 })
        .where("id", "=", id)
        .where("version", "=", ifVersion),

    rehashKey: (id, from, to) =>
      builder
        .updateTable(tables.keys)
        .set({ hash: writeHash(to) })
        .where("id", "=", id)
        .where("hash", "=", from),

    removeKey: (id, ifVersion) =>
      builder.deleteFrom(tables.keys).where("id", "=", id).where("version", "=", ifVersion),

    insertAudit: (audit) => builder.insertInto(tables.audit).values(writeAudit(audit)),
  };
}
