import type { KeyRecord } from "../../index.js";

/**
 * Where each member of a record is kept, and how: as text, as a whole number, as the milliseconds since 1970
 * or as JSON in a text.
 */
export const KEY_COLUMNS = {
  id: ["id", "text"],
  hash: ["hash", "text"],
  version: ["version", "integer"],
  ownerId: ["owner_id", "text"],
  environment: ["environment", "text"],
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
  replacedBy: ["replaced_by", "text"],
  replaces: ["replaces", "text"],
} as const;

type KeyColumns = typeof KEY_COLUMNS;

/** The kinds of column. */
export type ColumnKind = KeyColumns[keyof KeyColumns][1];

type Cell<Kind extends ColumnKind> = Kind extends "time" | "integer" ? number : string;

/** A row of the table of keys, as it is written. */
export type KeyRow = {
  [Member in keyof KeyColumns as KeyColumns[Member][0]]:
    | Cell<KeyColumns[Member][1]>
    | (null extends KeyRecord[Member] ? null : never);
};

/** A row of the table of audit entries, as it is written. */
export interface AuditRow {
  id: string;
  at: number;
  action: string;
  key_id: string;
  owner_id: string;
  actor: string | null;
  details: string;
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
export function readTableNames(where: string, options: { readonly table?: string } = {}): TableNames {
  if (typeof options !== "object" || options === null)
    throw new TypeError(`${where}: expected an options object`);
  const unknown = Object.keys(options).find((name) => name !== "table");
  if (unknown !== undefined)
    throw new TypeError(`${where}: unknown option "${unknown}"; known options are table`);
  const { table = DEFAULT_TABLE } = options;
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
