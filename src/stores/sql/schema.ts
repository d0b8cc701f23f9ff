import type { Generated } from "kysely";
import { checkOptions } from "../../internal/validate.js";
import type { AuditEntry, KeyRecord } from "../../kit.js";

/**
 * The column and the kind of each member of a record. `word`: an indexed string; `text`: any other string; `integer`;
 * `time`: milliseconds since 1970; `json`: an object, and `list`: an array of strings, both as JSON.
 */
export const KEY_COLUMNS = {
  id: ["id", "word"],
  hash: ["hash", "word"],
  version: ["version", "integer"],
  ownerId: ["owner_id", "word"],
  environment: ["environment", "word"],
  start: ["start", "text"],
  name: ["name", "text"],
  scopes: ["scopes", "list"],
  ipAllowlist: ["ip_allowlist", "list"],
  rateLimit: ["rate_limit", "json"],
  metadata: ["metadata", "json"],
  createdAt: ["created_at", "time"],
  updatedAt: ["updated_at", "time"],
  expiresAt: ["expires_at", "time"],
  lastUsedAt: ["last_used_at", "time"],
  disabledAt: ["disabled_at", "time"],
  revokedAt: ["revoked_at", "time"],
  revokedReason: ["revoked_reason", "text"],
  rotatedAt: ["rotated_at", "time"],
  replacedBy: ["replaced_by", "word"],
  replaces: ["replaces", "word"],
  disabledBy: ["disabled_by", "word"],
  rotationRoot: ["rotation_root", "word"],
  createdBy: ["created_by", "text"],
  createdByKey: ["created_by_key", "word"],
} as const;

/** The column and the kind of each member of an audit entry. */
export const AUDIT_COLUMNS = {
  id: ["id", "word"],
  at: ["at", "time"],
  action: ["action", "word"],
  keyId: ["key_id", "word"],
  ownerId: ["owner_id", "word"],
  actor: ["actor", "word"],
  details: ["details", "json"],
} as const;

/** The members of a record that the first migration has no columns for. */
export const ADDED_MEMBERS = ["disabledBy", "rotationRoot", "createdBy", "createdByKey"] as const;

/** How a column stores its member. */
export type ColumnKind = "word" | "text" | "integer" | "time" | "json" | "list";

/** Columns and their kinds, by member. */
export type Columns<Members extends string = string> = {
  readonly [Member in Members]: readonly [column: string, kind: ColumnKind];
};

type Cell<Kind extends ColumnKind> = Kind extends "time" | "integer" ? number : string;

type Row<Names extends Columns, Members> = {
  [Member in keyof Names & keyof Members as Names[Member][0]]:
    | Cell<Names[Member][1]>
    | (null extends Members[Member] ? null : never);
};

/** A row of the key table. */
export type KeyRow = Row<typeof KEY_COLUMNS, KeyRecord>;

/** A row of the audit table. */
export type AuditRow = Row<typeof AUDIT_COLUMNS, AuditEntry>;

/** The column names of a table. */
export function columnsOf<Names extends Columns>(columns: Names): Names[keyof Names][0][] {
  return Object.values(columns).map(([column]) => column);
}

/** A row of the table of applied migrations. */
export interface MigrationRow {
  version: number;
  applied_at: number;
}

/** The tables of a store, as Kysely types them. The names in the database are in {@link TableNames}. */
export interface Tables {
  keys: KeyRow;
  audit: AuditRow & { position: Generated<number | null> };
  migrations: MigrationRow;
  /** One row: the number of changes. PostgreSQL does not have this table. */
  position: { id: number; position: number };
}

/** The names in the database, typed as the keys of {@link Tables} so that Kysely knows their columns. */
export type TableNames = { readonly [Table in keyof Tables]: Table };

const DEFAULT_TABLE = "keybearer_keys";
// PostgreSQL truncates names at 63 bytes; index names are the longest ones derived from it.
const TABLE = /^(?!sqlite_|pg_)[a-z_][a-z0-9_]{0,39}$/i;

/**
 * Reads the option `table` of a SQL store. `otherOptions` names the options that the caller reads.
 *
 * @throws TypeError if an option is unknown or the table name is invalid.
 */
export function readTableNames(
  where: string,
  options: { readonly table?: string } = {},
  otherOptions: readonly string[] = [],
): TableNames {
  const { table = DEFAULT_TABLE } = checkOptions(where, options, ["table", ...otherOptions]);
  if (typeof table !== "string" || !TABLE.test(table)) {
    throw new TypeError(
      `${where}: "table" must be 1 to 40 characters of A-Z a-z 0-9 _ that do not begin with a digit, "sqlite_" or "pg_"`,
    );
  }
  return {
    keys: table,
    audit: `${table}_audit`,
    migrations: `${table}_migrations`,
    position: `${table}_position`,
  } as unknown as TableNames;
}

/** The channel on which PostgreSQL announces the id of each changed key. Store and bus derive it from the table. */
export function changesChannel(table: string = DEFAULT_TABLE): string {
  return `${table}_changes`;
}
