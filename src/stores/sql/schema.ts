import { checkOptions } from "../../internal/validate.js";
import type { AuditEntry, KeyRecord } from "../../kit.js";

/**
 * Where each member of a record is kept, and how: as a word (a text that is looked up), as text, as a whole
 * number, as the milliseconds since 1970 or as JSON in a text.
 */
export const KEY_COLUMNS = {
  id: ["id", "word"],
  hash: ["hash", "word"],
  version: ["version", "integer"],
  ownerId: ["owner_id", "word"],
  environment: ["environment", "word"],
  start: ["start", "text"],
  name: ["name", "text"],
  scopes: ["scopes", "json"],
  ipAllowlist: ["ip_allowlist", "json"],
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
} as const;

/** The same for audit entries. */
export const AUDIT_COLUMNS = {
  id: ["id", "word"],
  at: ["at", "time"],
  action: ["action", "word"],
  keyId: ["key_id", "word"],
  ownerId: ["owner_id", "word"],
  actor: ["actor", "text"],
  details: ["details", "json"],
} as const;

/** The kinds of column. */
export type ColumnKind = "word" | "text" | "integer" | "time" | "json";

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

/** A row of the table of keys, as it is written. */
export type KeyRow = Row<typeof KEY_COLUMNS, KeyRecord>;

/** A row of the table of audit entries, as it is written. */
export type AuditRow = Row<typeof AUDIT_COLUMNS, AuditEntry>;

/** The columns of a table, for a list of what to select. */
export function columnsOf<Names extends Columns>(columns: Names): Names[keyof Names][0][] {
  return Object.values(columns).map(([column]) => column);
}

/** A row of the table that says which migrations were applied. */
export interface MigrationRow {
  version: number;
  applied_at: number;
}

/** The tables of one store, for the query builder. Their real names are in {@link TableNames}. */
export interface Tables {
  keys: KeyRow;
  audit: AuditRow;
  migrations: MigrationRow;
}

/** What the tables are called. Typed as the keys of {@link Tables}, so that the builder knows their columns. */
export type TableNames = { readonly [Table in keyof Tables]: Table };

const DEFAULT_TABLE = "keybearer_keys";
// The longest name made of it is that of an index, and PostgreSQL cuts names off at 63 bytes.
const TABLE = /^(?!sqlite_|pg_)[a-z_][a-z0-9_]{0,39}$/i;

/**
 * Reads the options that every store over SQL has.
 *
 * @throws TypeError for an unknown option, or a table name that is not 1 to 40 of `A-Z a-z 0-9 _`.
 */
export function readTableNames(
  where: string,
  options: { readonly table?: string } = {},
  more: readonly string[] = [],
): TableNames {
  const { table = DEFAULT_TABLE } = checkOptions(where, options, ["table", ...more]);
  if (typeof table !== "string" || !TABLE.test(table)) {
    throw new TypeError(
      `${where}: "table" must be 1 to 40 of A-Z a-z 0-9 _, not begin with a digit and not with sqlite_ or pg_`,
    );
  }
  return {
    keys: table,
    audit: `${table}_audit`,
    migrations: `${table}_migrations`,
  } as unknown as TableNames;
}
