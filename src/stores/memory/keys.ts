import {
  KeyConflictError,
  type KeyHash,
  type KeyQuery,
  type KeyRecord,
  keyStatus,
  type VerifiableRecord,
} from "../../kit.js";
import { type Column, momentColumn, numberColumn, words } from "./columns.js";
import { type KeyDraft, type Kind, type Rare, tailText } from "./drafts.js";
import type { Selection, Timeline } from "./newest.js";
import { createPool, flatCopy, type Pool } from "./pool.js";
import { recent } from "./recent.js";
import { MAX_ROWS } from "./row-index.js";
import { uniqueTexts } from "./unique.js";

/** Keys, a row for each. The row of a key that was removed is given to a later one. */
export interface KeyTable extends Timeline {
  /** The row of the key of this id. */
  find(id: string): number | undefined;
  /** The key of this hash, frozen: what it answers is shared. */
  findByHash(hash: KeyHash): KeyRecord | undefined;
  /** A copy of a key. */
  read(row: number): KeyRecord;
  select(query: KeyQuery): Selection;
  /**
   * To be called before `insert`.
   *
   * @throws KeyConflictError when there is a key of this id or hash, RangeError when the table is full.
   */
  assertNew(draft: KeyDraft): void;
  insert(draft: KeyDraft): void;
  /** Writes all of a key again, but for its id and hash. */
  rewrite(row: number, draft: KeyDraft): void;
  hashAt(row: number): string;
  /** @throws KeyConflictError when there is a key of this hash. */
  assertNewHash(hash: KeyHash): void;
  rehash(row: number, hash: KeyHash): void;
  /** Moves `lastUsedAt` forward, never back. */
  touch(row: number, time: number): void;
  remove(row: number): void;
  /** A copy of the id of a key: the one that the table has or, when the key is inserted next, is going to have. */
  copyId(id: string): string;
}

// The words of a row lie together, so that a lookup waits for memory once or twice. In columns is what most
// keys have nothing of, and the owner, whose keys are looked for.
const HASH = 0;
const ID = 8;
const KIND = 12;
const START_TAIL = 13;
const CREATED_AT = 14;
const WORDS = 15;

// Numbers of owners: that of a row that is not in use, and one that no row has.
const FREE = 0;
const NOBODY = -1;

const NOTHING_RARE: Rare = Object.freeze({
  name: null,
  rateLimit: null,
  metadata: null,
  revokedReason: null,
  replacedBy: null,
  replaces: null,
});

/** Makes an empty table. The names of its owners are among the `texts`. */
export function keyTable(texts: Pool<string>): KeyTable {
  const rows = words(WORDS);
  const hashes = uniqueTexts(rows, HASH, 64);
  const ids = uniqueTexts(rows, ID, 32, (id) => copyId(id));
  const kinds = createPool(readKind);
  const lists = createPool(readList);
  const kindAt = rows.column(KIND);
  const startTail = rows.column(START_TAIL);
  const createdAt = momentColumn(rows.column(CREATED_AT));
  const owners = numberColumn();
  const allowlists = numberColumn();
  const versions = numberColumn(1);
  const updatedAt = momentColumn(); // none: at its creation
  const expiresAt = momentColumn();
  const lastUsedAt = momentColumn();
  const disabledAt = momentColumn();
  const revokedAt = momentColumn();
  const rotatedAt = momentColumn();
  const rare = new Map<number, Rare>();
  const free: number[] = [];
  let end = 0;

  let lastCopy = "";

  const copyId = (id: string): string => {
    const row = ids.find(id);
    if (row !== undefined) return ids.get(row);
    if (id !== lastCopy) lastCopy = flatCopy(id);
    return lastCopy;
  };

  const make = (row: number): KeyRecord => {
    const created = new Date(createdAt.get(row) as number);
    const kind = kinds.get(kindAt.get(row)) as Kind;
    const others = (rare.size > 0 && rare.get(row)) || NOTHING_RARE;
    return {
      hash: hashes.get(row) as KeyHash,
      id: ids.get(row),
      ownerId: texts.get(owners.get(row)) as string,
      scopes: kind.scopes,
      environment: kind.environment,
      revokedAt: dateAt(revokedAt, row),
      disabledAt: dateAt(disabledAt, row),
      expiresAt: dateAt(expiresAt, row),
      rotatedAt: dateAt(rotatedAt, row),
      ipAllowlist: lists.get(allowlists.get(row)),
      rateLimit: others.rateLimit,
      createdAt: created,
      version: versions.get(row),
      name: others.name,
      start: kind.startLead + tailText(startTail.get(row)),
      metadata: others.metadata,
      updatedAt: dateAt(updatedAt, row) ?? created,
      lastUsedAt: dateAt(lastUsedAt, row),
      revokedReason: others.revokedReason,
      replacedBy: others.replacedBy,
      replaces: others.replaces,
    };
  };

  const lookups = recent((row) => Object.freeze(make(row)));

  const recordIfSame = (row: number, hash: string): KeyRecord | undefined => {
    const record = lookups.get(row);
    return record.hash === hash ? record : undefined;
  };

  /** Gives a row another value of a pool. */
  const exchange = (pool: Pool<unknown>, column: Column<number>, row: number, key: string | null): void => {
    const before = column.get(row);
    column.set(row, pool.take(key));
    pool.release(before);
  };

  const rewrite = (row: number, draft: KeyDraft): void => {
    exchange(texts, owners, row, draft.ownerId);
    exchange(kinds, kindAt, row, draft.kind);
    exchange(lists, allowlists, row, draft.ipAllowlist);
    startTail.set(row, draft.startTail);
    versions.set(row, draft.version);
    createdAt.set(row, draft.createdAt);
    updatedAt.set(row, draft.updatedAt === draft.createdAt ? null : draft.updatedAt);
    expiresAt.set(row, draft.expiresAt);
    lastUsedAt.set(row, draft.lastUsedAt);
    disabledAt.set(row, draft.disabledAt);
    revokedAt.set(row, draft.revokedAt);
    rotatedAt.set(row, draft.rotatedAt);
    if (draft.rare === undefined) rare.delete(row);
    else rare.set(row, draft.rare);
    lookups.forget(row);
  };

  const assertNewHash = (hash: string): void => {
    if (hashes.find(hash) !== undefined) throw new KeyConflictError("A key of this hash exists");
  };

  const isDead = (row: number, at: number): boolean =>
    [revokedAt, expiresAt].some((moments) => (moments.get(row) ?? Number.POSITIVE_INFINITY) <= at);

  /** What the status of a key depends on. */
  const stateAt = (row: number): VerifiableRecord => ({
    id: "",
    hash: "",
    ownerId: "",
    scopes: [],
    revokedAt: dateAt(revokedAt, row),
    disabledAt: dateAt(disabledAt, row),
    expiresAt: dateAt(expiresAt, row),
    rotatedAt: dateAt(rotatedAt, row),
  });

  return Object.freeze({
    end: () => end,
    timeAt: (row: number) => createdAt.get(row) as number,
    leap: createdAt.leap,
    idAt: ids.get,
    find: ids.find,
    findByHash: (hash: KeyHash) => hashes.search(hash, recordIfSame),

    read(row: number): KeyRecord {
      const record = make(row);
      return {
        ...record,
        scopes: [...record.scopes],
        ipAllowlist: record.ipAllowlist && [...record.ipAllowlist],
        rateLimit: structuredClone(record.rateLimit),
        metadata: structuredClone(record.metadata),
        updatedAt: new Date(record.updatedAt),
      };
    },

    select({ ownerId, environment, status, endedBefore: deadBefore, now }: KeyQuery): Selection {
      const owner = ownerId === undefined ? undefined : (texts.find(ownerId) ?? NOBODY);
      const lastInUse = (row: number): number => {
        let before = row - 1;
        while (before >= 0 && owners.get(before) === FREE) before -= 1;
        return before;
      };
      return {
        previous: owner === undefined ? lastInUse : (row) => owners.lastBefore(row, owner),
        has: (row) =>
          (environment === undefined || kinds.get(kindAt.get(row))?.environment === environment) &&
          (status === undefined || keyStatus(stateAt(row), now.getTime()) === status) &&
          (deadBefore === undefined || isDead(row, deadBefore.getTime())),
      };
    },

    assertNew({ id, hash }: KeyDraft): void {
      if (ids.find(id) !== undefined) throw new KeyConflictError("A key of this id exists");
      assertNewHash(hash);
      if (free.length === 0 && end === MAX_ROWS) throw new RangeError("The store is full");
    },

    insert(draft: KeyDraft): void {
      const row = free.pop() ?? end++;
      rewrite(row, draft);
      ids.set(row, draft.id);
      hashes.set(row, draft.hash);
    },

    rewrite,

    hashAt: hashes.get,
    assertNewHash,

    rehash(row: number, hash: KeyHash): void {
      hashes.clear(row);
      hashes.set(row, hash);
      lookups.forget(row);
    },

    touch(row: number, time: number): void {
      if ((lastUsedAt.get(row) ?? Number.NEGATIVE_INFINITY) >= time) return;
      lastUsedAt.set(row, time);
      lookups.forget(row);
    },

    remove(row: number): void {
      hashes.clear(row);
      ids.clear(row);
      exchange(texts, owners, row, null);
      exchange(kinds, kindAt, row, null);
      exchange(lists, allowlists, row, null);
      rare.delete(row);
      lookups.forget(row);
      free.push(row);
    },

    copyId,
  });
}

function readKind(json: string): Kind {
  const kind = JSON.parse(json) as Kind;
  return Object.freeze({ ...kind, scopes: Object.freeze(kind.scopes.map(asName)) });
}

/**
 * The same text, as the engine keeps the names of properties and the texts in code: each once. So a scope is
 * compared with the one that a route asks for by its address.
 */
function asName(text: string): string {
  return Object.keys({ [text]: true })[0] as string;
}

function readList(json: string): readonly string[] {
  return Object.freeze(JSON.parse(json));
}

function dateAt(moments: Column<number | null>, row: number): Date | null {
  const time = moments.get(row);
  return time === null ? null : new Date(time);
}
