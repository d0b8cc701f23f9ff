import { setTimeout as sleep } from "node:timers/promises";
import type { Promised } from "../../internal/awaitable.js";
import {
  KeyConflictError,
  type KeyHash,
  KeyInputError,
  type KeyRecord,
  type ManagedKeyStore,
  StoreError,
  toStoreError,
  unlimitedQuota,
} from "../../kit.js";
import { createCreatorError, type StoredRow } from "../record-codec.js";
import type { Feed } from "./feed.js";
import { createServerOwnerWrites } from "./owner-writes.js";
import type { OwnerStatements } from "./owners.js";
import { type Queries, toPage } from "./queries.js";
import { createRowDecoder, decodeAudit, isStorable } from "./rows.js";
import type { AtomicWrite, AtomicWrites, Statement } from "./statements.js";

/** The result of a statement. */
export interface StatementResult {
  readonly rows: readonly StoredRow[];
  /** The number of rows that were written. */
  readonly changes: number;
}

/** Runs a statement, inside or outside a transaction. */
export type RunStatement = (statement: Statement) => Promise<StatementResult>;

/** The errors that a store handles. `transient`: the server rolled the work back, and it can be repeated. */
export type ErrorKind = "missing-table" | "missing-column" | "duplicate" | "transient";

/** A database server. After an error, a connection returns to its pool only without an open transaction. */
export interface SqlServer {
  /** For error messages. */
  readonly name: string;
  readonly read: RunStatement;
  /** Runs one statement that writes, and resolves after it is committed. */
  readonly write: RunStatement;
  /** Runs `work` in a READ COMMITTED transaction on one connection. Rolls back if `work` throws. */
  transaction<T>(work: (run: RunStatement) => Promise<T>): Promise<T>;
  classifyError(error: unknown): ErrorKind | undefined;
}

/** The parts of a store that differ between database servers. */
export interface ServerStoreParts {
  readonly server: SqlServer;
  readonly writes: AtomicWrites;
  readonly owners: OwnerStatements;
  readonly queries: Queries;
  readonly feed: Feed;
  /** Runs a statement in a snapshot that is newer than the call, without uncommitted changes. */
  readonly readCommitted: RunStatement;
  /** Reads the keys with these values in the column. */
  readonly find: (
    column: "id" | "hash",
    values: readonly [string, ...string[]],
  ) => Promise<readonly StoredRow[]>;
  /** Builds statements that move `last_used_at` forward. Each runs in its own transaction. */
  readonly touch: (uses: ReadonlyMap<string, Date>) => readonly Statement[];
}

/** A store over a database server. It has every method of a store, and each returns a promise. */
export interface ServerStore
  extends Promised<Required<Omit<ManagedKeyStore, "findByHash" | "findManyByHash">>> {
  findByHash(hash: KeyHash): Promise<KeyRecord | undefined>;
  /** A key that cannot be read is an object without members. */
  findManyByHash(hashes: readonly KeyHash[]): Promise<readonly (KeyRecord | undefined)[]>;
}

// Not a readable record, so a verifier rejects the request as it does for a store error.
const UNREADABLE = Object.freeze({}) as unknown as KeyRecord;
// Bounds the lookups that pile up while a server hangs: after their timeout they still wait for a connection.
const MAX_LOOKUPS = 1_000;
const UNCHANGED = new Error("A statement changed no row");
const RETRY_MS = 5_000;
const MAX_PAUSE_MS = 100;

/**
 * Creates a store from the statements of a database. Every error of the driver becomes a StoreError, because drivers
 * put statements and parameters, and so hashes, into their errors.
 */
export function createServerStore(parts: ServerStoreParts): ServerStore {
  const { server, writes, owners, queries, find, touch, feed, readCommitted } = parts;
  const decodeKey = createRowDecoder();
  let lookups = 0;

  /** In a batch, one unreadable key must not fail the lookups of the others. */
  const decodeInBatch = (row: StoredRow): KeyRecord => {
    try {
      return decodeKey(row);
    } catch {
      return UNREADABLE;
    }
  };

  /** Counts a lookup as pending until it settles. */
  const counted = <T>(lookup: () => Promise<T>): Promise<T> => {
    if (lookups >= MAX_LOOKUPS) {
      return Promise.reject(new StoreError(`More than ${MAX_LOOKUPS} lookups are pending`));
    }
    lookups += 1;
    const result = lookup();
    result.then(onSettled, onSettled);
    return result;
  };
  const onSettled = (): void => {
    lookups -= 1;
  };

  const findOne = (column: "id" | "hash", value: string): Promise<KeyRecord | undefined> =>
    withRetries(server, () => find(column, [value])).then((rows) => {
      const row = rows.find((candidate) => candidate[column] === value);
      return row && decodeKey(row);
    });

  const findByHash = (hash: KeyHash): Promise<KeyRecord | undefined> =>
    isStorable(hash) ? counted(() => findOne("hash", hash)) : Promise.resolve(undefined);

  const findMany = async (hashes: readonly KeyHash[]): Promise<readonly (KeyRecord | undefined)[]> => {
    const [first, ...others] = hashes.filter(isStorable);
    const rows = first === undefined ? [] : await withRetries(server, () => find("hash", [first, ...others]));
    const found = new Map(rows.map((row) => [row.hash, row]));
    return hashes.map((hash) => {
      const row = found.get(hash);
      return row && decodeInBatch(row);
    });
  };

  const readAll = async (statement: Statement | undefined): Promise<readonly StoredRow[]> =>
    statement === undefined ? [] : (await withRetries(server, () => server.read(statement))).rows;

  /** Runs a write. Returns whether every statement that is not optional changed a row; otherwise nothing is written. */
  const runWrite = ([first, ...others]: AtomicWrite): Promise<boolean> =>
    withRetries(server, async () => {
      if (others.length === 0) return (await server.write(first)).changes > 0;
      const committed = server.transaction(async (run) => {
        if ((await run(first)).changes === 0) return false;
        for (const statement of others) {
          if ((await run(statement)).changes === 0 && !statement.isOptional) throw UNCHANGED;
        }
        return true;
      });
      return committed.catch((error: unknown) => {
        if (error !== UNCHANGED) throw error;
        return false;
      });
    });

  const { runReserving, changeOwner } = createServerOwnerWrites({
    run: (statement) => withRetries(server, () => server.write(statement)),
    transaction: (work) => withRetries(server, () => server.transaction(work)),
    owners,
    writes,
    runWrite,
  });

  const isCreatorAlive = async ({ createdByKey: id }: KeyRecord): Promise<boolean> =>
    id === null || (await findOne("id", id))?.revokedAt === null;

  const hasVersion = (id: string, version: number) => async (): Promise<boolean> =>
    (await findOne("id", id))?.version === version;

  return {
    findByHash,

    findManyByHash: (hashes) => counted(() => findMany(hashes)),

    findById: async (id) => (isStorable(id) ? findOne("id", id) : undefined),

    async list(query) {
      const rows = await readAll(queries.keys(query));
      return toPage(rows, query.limit, decodeKey, "created_at");
    },

    async insert(record, audit, quota = unlimitedQuota(record), claims) {
      const write = writes.insert(record, audit, quota, claims);
      const inserted = await runReserving(write, record.ownerId, quota, () => isCreatorAlive(record));
      if (!inserted) throw createCreatorError();
    },

    async update(id, ifVersion, change, audit, quota) {
      if (!isStorable(id)) return false;
      const write = writes.update(id, ifVersion, change, audit, quota);
      if (quota === undefined) return runWrite(write);
      return runReserving(write, audit.ownerId, quota, hasVersion(id, ifVersion));
    },

    async replace(id, ifVersion, change, successor, audit, quota = unlimitedQuota(successor)) {
      if (!isStorable(id)) return false;
      const write = writes.replace(id, ifVersion, change, successor, audit, quota);
      return runReserving(write, successor.ownerId, quota, hasVersion(id, ifVersion));
    },

    suspendOwner: (ownerId, audit) => changeOwner(owners.suspend(ownerId, audit.at), audit),

    resumeOwner: (ownerId, audit) => changeOwner(owners.resume(ownerId, audit.at), audit),

    rehash: async (id, from, to, audit) =>
      isStorable(id) && isStorable(from) && runWrite(writes.rehash(id, from, to, audit)),

    remove: async (id, ifVersion, audit) => isStorable(id) && runWrite(writes.remove(id, ifVersion, audit)),

    async touch(uses) {
      const storable = new Map([...uses].filter(([id]) => isStorable(id)));
      for (const statement of touch(storable)) await withRetries(server, () => server.write(statement));
    },

    async auditTrail(query) {
      const rows = await readAll(queries.audit(query));
      return toPage(rows, query.limit, decodeAudit, "at");
    },

    changes: (since) =>
      withRetries(server, async () => {
        const { rows } = await readCommitted(feed.read(since));
        return feed.decode(rows, since);
      }),

    async appendAudit(entries) {
      const [first, ...others] = entries.length === 0 ? [] : writes.appendAudit(entries);
      if (first === undefined) return;
      await withRetries(server, async () => {
        if (others.length === 0) return server.write(first);
        return server.transaction(async (run) => {
          for (const statement of [first, ...others]) await run(statement);
        });
      });
    },
  };
}

/**
 * Runs `work`, and repeats it after transient errors for up to 5 seconds, with exponential back-off and jitter.
 *
 * @throws KeyConflictError if a unique value exists, and StoreError for any other error of `work`.
 */
export async function withRetries<T>(
  server: Pick<SqlServer, "name" | "classifyError">,
  work: () => Promise<T>,
): Promise<T> {
  const end = performance.now() + RETRY_MS;
  for (let pause = 1; ; pause = Math.min(pause * 2, MAX_PAUSE_MS)) {
    try {
      return await work();
    } catch (error) {
      const kind = server.classifyError(error);
      if (kind !== "transient" || performance.now() >= end) throw explain(server, kind, error);
    }
    await sleep(pause * (0.5 + Math.random()));
  }
}

export const DUPLICATE = "A key, or an audit entry, of this id or hash exists";

function explain({ name }: Pick<SqlServer, "name">, kind: ErrorKind | undefined, error: unknown): unknown {
  if (error instanceof StoreError || error instanceof KeyInputError) return error;
  if (kind === "duplicate") return new KeyConflictError(DUPLICATE);
  if (kind !== "missing-table" && kind !== "missing-column") return toStoreError(error, name);
  const problem = kind === "missing-table" ? "missing" : "of an older version";
  return new StoreError(`The tables are ${problem}; call await store.migrate() first`, error);
}
