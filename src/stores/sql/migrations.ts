import { type ColumnDataType, type Kysely, type RawBuilder, sql } from "kysely";
import type { TableNames, Tables } from "./schema.js";
import { attempt, type Server } from "./server-store.js";
import type { Statement } from "./statements.js";

/** What a database calls the columns that keys need. */
export interface ColumnTypes {
  /** A text that is indexed: an id, a hash, an owner. Compared exactly, capitals and all. */
  readonly word: ColumnDataType | RawBuilder<unknown>;
  /** A text of any length. */
  readonly text: ColumnDataType | RawBuilder<unknown>;
  /** A whole number of 64 bits. */
  readonly integer: ColumnDataType | RawBuilder<unknown>;
  /** What stands behind the columns of a table. */
  readonly tableEnd?: RawBuilder<unknown>;
}

/** How a store brings its tables up to date. Only one process at a time may. */
export interface Migrations {
  /** Makes the table of applied migrations unless there is one. */
  readonly prepare: Statement;
  /** Answers `version`, the last migration that was applied, or null. */
  readonly current: Statement;
  /** The statements of each migration; the first one has version 1. */
  readonly steps: readonly (readonly Statement[])[];
  /** Notes that a migration was applied. */
  record(version: number, appliedAt: number): Statement;
}

/**
 * Writes the migrations of one store. A step that was ever released stays as it is: a change of the schema is
 * a new step behind it. MySQL has no transactions for them, so a step may begin anew after some of its
 * statements: it must end as well then, or fail as `mysqlStore` expects of what is done.
 */
export function createMigrations(
  builder: Kysely<Tables>,
  tables: TableNames,
  types: ColumnTypes,
): Migrations {
  return {
    prepare: builder.schema
      .createTable(tables.migrations)
      .ifNotExists()
      .addColumn("version", types.integer, (column) => column.primaryKey().notNull())
      .addColumn("applied_at", types.integer, (column) => column.notNull())
      .compile(),
    current: builder
      .selectFrom(tables.migrations)
      .select((eb) => eb.fn.max("version").as("version"))
      .compile(),
    steps: [createTables(builder, tables, types)],
    record: (version, appliedAt) =>
      builder.insertInto(tables.migrations).values({ version, applied_at: appliedAt }).compile(),
  };
}

// No "if not exists": a table of this name that is somebody else's must be an error, not be taken for ours.
function createTables(
  { schema }: Kysely<Tables>,
  { keys, audit }: TableNames,
  { word, text, integer, tableEnd = sql`` }: ColumnTypes,
): readonly Statement[] {
  return [
    schema
      .createTable(keys)
      .addColumn("id", word, (column) => column.primaryKey().notNull())
      .addColumn("hash", word, (column) => column.notNull())
      .addColumn("version", integer, (column) => column.notNull())
      .addColumn("owner_id", word, (column) => column.notNull())
      .addColumn("environment", word)
      .addColumn("start", text, (column) => column.notNull())
      .addColumn("name", text)
      .addColumn("scopes", text, (column) => column.notNull())
      .addColumn("ip_allowlist", text)
      .addColumn("rate_limit", text)
      .addColumn("metadata", text)
      .addColumn("created_at", integer, (column) => column.notNull())
      .addColumn("updated_at", integer, (column) => column.notNull())
      .addColumn("expires_at", integer)
      .addColumn("last_used_at", integer)
      .addColumn("disabled_at", integer)
      .addColumn("revoked_at", integer)
      .addColumn("revoked_reason", text)
      .addColumn("rotated_at", integer)
      .addColumn("replaced_by", word)
      .addColumn("replaces", word)
      .modifyEnd(tableEnd)
      .compile(),
    schema.createIndex(`${keys}_hash`).unique().on(keys).column("hash").compile(),
    schema.createIndex(`${keys}_owner`).on(keys).columns(["owner_id", "created_at", "id"]).compile(),
    schema.createIndex(`${keys}_created`).on(keys).columns(["created_at", "id"]).compile(),
    schema.createIndex(`${keys}_expires`).on(keys).column("expires_at").compile(),
    schema.createIndex(`${keys}_revoked`).on(keys).column("revoked_at").compile(),
    schema
      .createTable(audit)
      .addColumn("id", word, (column) => column.primaryKey().notNull())
      .addColumn("at", integer, (column) => column.notNull())
      .addColumn("action", word, (column) => column.notNull())
      .addColumn("key_id", word, (column) => column.notNull())
      .addColumn("owner_id", word, (column) => column.notNull())
      .addColumn("actor", text)
      .addColumn("details", text, (column) => column.notNull())
      .modifyEnd(tableEnd)
      .compile(),
    schema.createIndex(`${audit}_key`).on(audit).columns(["key_id", "at", "id"]).compile(),
    schema.createIndex(`${audit}_owner`).on(audit).columns(["owner_id", "at", "id"]).compile(),
    schema.createIndex(`${audit}_at`).on(audit).columns(["at", "id"]).compile(),
  ];
}

/** The last migration that a server has seen; 0 for none, `undefined` where even their table is missing. */
export function appliedVersion(server: Server, { current }: Migrations): Promise<number | undefined> {
  return attempt(server, async () => {
    try {
      return versionIn((await server.read(current)).rows);
    } catch (error) {
      if (server.faultOf(error) === "missing") return undefined;
      throw error;
    }
  });
}

/** Reads the answer to {@link Migrations.current}. */
export function versionIn(rows: readonly Readonly<Record<string, unknown>>[]): number {
  return Number(rows[0]?.version ?? 0);
}
