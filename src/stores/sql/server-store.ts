import { setTimeout as sleep } from "node:timers/promises";
import {
  type AuditEntry,
  type AuditQuery,
  type KeyChange,
  type KeyHash,
  KeyInputError,
  type KeyQuery,
  type KeyRecord,
  type ManagedKeyStore,
  type Page,
  StoreError,
} from "../../kit.js";
import { type Lists, pageOf } from "./queries.js";
import { createKeyReader, isStorable, type RawRow, readAudit } from "./rows.js";
import type { Statement, Write, Writes } from "./statements.js";

/** What a statement came to. */
export interface Outcome {
  readonly rows: readonly RawRow[];
  /** How many rows it wrote. */
  readonly changes: number;
}

/** Runs a statement, within a transaction or outside of one. */
export type Run = (statement: Statement) => Promise<Outcome>;

/** What goes wrong at a server that a store knows what to do about. */
export type Fault = "missing" | "duplicate" | "transient";

/**
 * A database server, through the client that the host opened. Whatever fails, a connection goes back to its
 * pool only when nothing is open on it.
 */
export interface Server {
  /** For messages. */
  readonly name: string;
  readonly read: Run;
  /** Runs one statement that writes; it is committed when this answers. */
  readonly write: Run;
  /** Runs the work in a transaction, READ COMMITTED, on one connection. Rolls back when the work throws. */
  transaction<T>(work: (run: Run) => Promise<T>): Promise<T>;
  faultOf(error: unknown): Fault | undefined;
}

/** What is different from one database to the next. */
export interface ServerStoreParts {
  readonly server: Server;
  readonly writes: Writes;
  readonly lists: Lists;
  /** Reads the keys that have one of these values in the column: one statement for as many as there are. */
  readonly find: (
    column: "id" | "hash",
    values: readonly [string, ...string[]],
  ) => Promise<readonly RawRow[]>;
  /** Statements that move `last_used_at` forward, each a transaction of its own. */
  readonly touch: (uses: ReadonlyMap<string, Date>) => readonly Statement[];
}

/** A store over a database server: every method of a store, and each answers a promise. */
export interface ServerStore extends ManagedKeyStore {
  findByHash(hash: KeyHash): Promise<KeyRecord | undefined>;
  /** In an answer for several hashes, a key that cannot be read is an object that is no record. */
  findManyByHash(hashes: readonly KeyHash[]): Promise<readonly (KeyRecord | undefined)[]>;
  /** The key of this id. */
  findById(id: string): Promise<KeyRecord | undefined>;
  list(query: KeyQuery): Promise<Page<KeyRecord>>;
  insert(record: KeyRecord, audit: AuditEntry): Promise<void>;
  update(id: string, ifVersion: number, change: KeyChange, audit: AuditEntry): Promise<boolean>;
  replace(
    id: string,
    ifVersion: number,
    change: KeyChange,
    successor: KeyRecord,
    audit: AuditEntry,
  ): Promise<boolean>;
  rehash(id: string, from: KeyHash, to: KeyHash, audit: AuditEntry): Promise<boolean>;
  remove(id: string, ifVersion: number, audit: AuditEntry): Promise<boolean>;
  touch(uses: ReadonlyMap<string, Date>): Promise<void>;
  auditTrail(query: AuditQuery): Promise<Page<AuditEntry>>;
  appendAudit(entries: readonly AuditEntry[]): Promise<void>;
}

// Is there, and is none: whoever looks for this key is refused, as with an error.
const NO_RECORD = Object.freeze({}) as unknown as KeyRecord;
// While a server hangs, requests come on; those that were given up still wait for a connection.
const MAX_LOOKUPS = 1_000;
const PATIENCE_MS = 5_000;
const LONGEST_PAUSE_MS = 100;

/**
 * Makes a store of the statements of a database and a client that runs them. All that the client throws becomes
 * a StoreError: the errors of drivers hold statements and parameters, and so hashes.
 */
export function createServerStore({ server, writes, lists, find, touch }: ServerStoreParts): ServerStore {
  const readKey = createKeyReader();
  let lookups = 0;

  /** For lookups that share an answer: what is wrong with one key must not keep the others from theirs. */
  const readKeyOrNone = (row: RawRow): KeyRecord => {
    try {
      return readKey(row);
    } catch {
      return NO_RECORD;
    }
  };

  const findAll = async (
    column: "id" | "hash",
    values: readonly string[],
  ): Promise<readonly (KeyRecord | undefined)[]> => {
    const [first, ...others] = values.filter(isStorable);
    const rows = first === undefined ? [] : await attempt(server, () => find(column, [first, ...others]));
    const found = new Map(rows.map((row) => [row[column], row]));
    const read = values.length === 1 ? readKey : readKeyOrNone;
    return values.map((value) => {
      const row = found.get(value);
      return row && read(row);
    });
  };

  const findByHashes = async (hashes: readonly KeyHash[]): Promise<readonly (KeyRecord | undefined)[]> => {
    if (lookups >= MAX_LOOKUPS) throw new StoreError(`More than ${MAX_LOOKUPS} lookups wait for an answer`);
    lookups += 1;
    try {
      return await findAll("hash", hashes);
    } finally {
      lookups -= 1;
    }
  };

  const readAll = async (statement: Statement | undefined): Promise<readonly RawRow[]> =>
    statement === undefined ? [] : (await attempt(server, () => server.read(statement))).rows;

  /** Writes all, or nothing when the first statement finds its row changed by somebody else. */
  const writeIfCurrent = ([first, ...others]: Write): Promise<boolean> =>
    attempt(server, async () => {
      if (others.length === 0) return (await server.write(first)).changes > 0;
      return server.transaction(async (run) => {
        if ((await run(first)).changes === 0) return false;
        for (const statement of others) await run(statement);
        return true;
      });
    });

  return {
    findByHash: async (hash) => (await findByHashes([hash]))[0],

    findManyByHash: findByHashes,

    findById: async (id) => (await findAll("id", [id]))[0],

    async list(query) {
      const rows = await readAll(lists.keys(query));
      return pageOf(rows, query.limit, readKey, ({ createdAt, id }) => ({ at: createdAt, id }));
    },

    async insert(record, audit) {
      const inserted = await writeIfCurrent(writes.insert(record, audit));
      if (!inserted) throw new StoreError("The key was not stored");
    },

    update: async (id, ifVersion, change, audit) =>
      isStorable(id) && writeIfCurrent(writes.update(id, ifVersion, change, audit)),

    replace: async (id, ifVersion, change, successor, audit) =>
      isStorable(id) && writeIfCurrent(writes.replace(id, ifVersion, change, successor, audit)),

    rehash: async (id, from, to, audit) =>
      isStorable(id) && isStorable(from) && writeIfCurrent(writes.rehash(id, from, to, audit)),

    remove: async (id, ifVersion, audit) =>
      isStorable(id) && writeIfCurrent(writes.remove(id, ifVersion, audit)),

    async touch(uses) {
      const storable = new Map([...uses].filter(([id]) => isStorable(id)));
      for (const statement of touch(storable)) await attempt(server, () => server.write(statement));
    },

    async auditTrail(query) {
      const rows = await readAll(lists.audit(query));
      return pageOf(rows, query.limit, readAudit, (entry) => entry);
    },

    async appendAudit(entries) {
      const [first, ...others] = entries.length === 0 ? [] : writes.appendAudit(entries);
      if (first === undefined) return;
      await attempt(server, async () => {
        if (others.length === 0) return server.write(first);
        return server.transaction(async (run) => {
          for (const statement of [first, ...others]) await run(statement);
        });
      });
    },
  };
}

/**
 * Runs the work, and again when the server has undone it for the sake of others: for up to 5 seconds, with
 * pauses that grow and differ.
 *
 * @throws StoreError for whatever the work throws.
 */
export async function attempt<T>(
  server: Pick<Server, "name" | "faultOf">,
  work: () => Promise<T>,
): Promise<T> {
  const end = performance.now() + PATIENCE_MS;
  for (let pause = 1; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    try {
      return await work();
    } catch (error) {
      if (server.faultOf(error) !== "transient" || performance.now() >= end) throw explained(server, error);
    }
    await sleep(pause * (0.5 + Math.random()));
  }
}

const EXPLANATIONS = {
  missing: "The tables are missing; call await store.migrate() first",
  duplicate: "A key, or an audit entry, of this id or hash exists",
};

function explained({ name, faultOf }: Pick<Server, "name" | "faultOf">, error: unknown): unknown {
  if (error instanceof StoreError || error instanceof KeyInputError) return error;
  const fault = faultOf(error);
  if (fault === "missing" || fault === "duplicate") return new StoreError(EXPLANATIONS[fault], error);
  const code = (error as { code?: unknown } | null | undefined)?.code;
  const known = typeof code === "string" && /^\w{1,64}$/.test(code);
  return new StoreError(`${name} failed${known ? ` (${code})` : ""}`, error);
}
