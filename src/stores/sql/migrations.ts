import { type ColumnDataType, type Kysely, type RawBuilder, sql } from "kysely";
import type { StoredRow } from "../record-codec.js";
import type { Feed } from "./feed.js";
import { ADDED_MEMBERS, KEY_COLUMNS, type TableNames, type Tables } from "./schema.js";
import { type SqlServer, withRetries } from "./server-store.js";
import type { Statement } from "./statements.js";

type ColumnType = ColumnDataType | RawBuilder<unknown>;

/** The column types of a database. */
export interface ColumnTypes {
  /** An indexed string, such as an id, a hash or an owner. Compared byte by byte. */
  readonly word: ColumnType;
  /** A string of any length. */
  readonly text: ColumnType;
  /** A 64-bit integer. */
  readonly integer: ColumnType;
  /** Whether indexes can be partial, and can include a `text` column. */
  readonly flexibleIndexes: boolean;
  /** What follows the columns in `create table`. */
  readonly tableEnd?: RawBuilder<unknown>;
}

/** The migrations of a store. Only one process at a time may run them. */
export interface Migrations {
  /** Creates the table of applied migrations if it does not exist. */
  readonly prepare: Statement;
  /** Selects `version`, the latest applied migration, or null. */
  readonly current: Statement;
  /** The statements of each migration; the first one has version 1. */
  readonly steps: readonly (readonly Statement[])[];
  /** Inserts an applied migration. */
  record(version: number, appliedAt: number): Statement;
}

/**
 * Creates the migrations of a store. A released step never changes: a schema change is a new step after it. MySQL has
 * no transactions for schema changes, so a step may run again after some of its statements; those must then succeed, or
 * fail with an error that `mysqlStore` ignores.
 */
export function createMigrations(
  builder: Kysely<Tables>,
  tables: TableNames,
  types: ColumnTypes,
  feed: Feed,
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
    steps: [
      createTables(builder, tables, types),
      feed.migration,
      addLineage(builder, tables, types),
      createClaims(builder, tables, types),
      addOwners(builder, tables, types),
    ],
    record: (version, appliedAt) =>
      builder.insertInto(tables.migrations).values({ version, applied_at: appliedAt }).compile(),
  };
}

// Without "if not exists": a foreign table of this name must be an error.
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

/** Adds suspensions and ceilings of owners. */
function addOwners(
  { schema }: Kysely<Tables>,
  { keys, owners }: TableNames,
  { word, integer, tableEnd = sql`` }: ColumnTypes,
): readonly Statement[] {
  return [
    schema.alterTable(keys).addColumn("suspended_at", integer).compile(),
    // The live keys of an owner, whatever the number of the others.
    schema.createIndex(`${keys}_live`).on(keys).columns(["owner_id", "revoked_at", "expires_at"]).compile(),
    schema
      .createTable(owners)
      .addColumn("owner_id", word, (column) => column.primaryKey().notNull())
      .addColumn("key_count", integer, (column) => column.notNull())
      .addColumn("byte_count", integer, (column) => column.notNull())
      .addColumn("suspended_at", integer)
      .addColumn("version", integer, (column) => column.notNull())
      .modifyEnd(tableEnd)
      .compile(),
  ];
}

/** Adds who created and disabled a key, and indexes the trail of each actor. Most rows have no key or actor. */
function addLineage(
  { schema }: Kysely<Tables>,
  { keys, audit }: TableNames,
  types: ColumnTypes,
): readonly Statement[] {
  const columns = ADDED_MEMBERS.map((member) => KEY_COLUMNS[member]);
  const byCreator = schema
    .createIndex(`${keys}_creator`)
    .on(keys)
    .columns(["created_by_key", "created_at", "id"]);
  const byActor = schema.createIndex(`${audit}_actor`).on(audit).columns(["actor", "at", "id"]);
  return [
    ...columns.map(([column, kind]) => schema.alterTable(keys).addColumn(column, types[kind]).compile()),
    ...(types.flexibleIndexes
      ? [
          byCreator.where("created_by_key", "is not", null).compile(),
          byActor.where("actor", "is not", null).compile(),
        ]
      : [
          schema.alterTable(audit).modifyColumn("actor", types.word).compile(),
          byCreator.compile(),
          byActor.compile(),
        ]),
  ];
}

function createClaims(
  { schema }: Kysely<Tables>,
  { claims }: TableNames,
  { word, tableEnd = sql`` }: ColumnTypes,
): readonly Statement[] {
  return [
    schema
      .createTable(claims)
      .addColumn("hash", word, (column) => column.primaryKey().notNull())
      .addColumn("key_id", word, (column) => column.notNull())
      .modifyEnd(tableEnd)
      .compile(),
    schema.createIndex(`${claims}_key`).on(claims).column("key_id").compile(),
  ];
}

/** Returns the latest applied migration, 0 if there is none, or `undefined` if the table is missing. */
export function appliedVersion(server: SqlServer, { current }: Migrations): Promise<number | undefined> {
  return withRetries(server, async () => {
    try {
      return readVersion((await server.read(current)).rows);
    } catch (error) {
      if (server.classifyError(error) === "missing-table") return undefined;
      throw error;
    }
  });
}

/** Reads the result of {@link Migrations.current}. */
export function readVersion(rows: readonly StoredRow[]): number {
  return Number(rows[0]?.version ?? 0);
}
