import type { AuditAction, AuditEntry, AuditQuery } from "../../kit.js";
import { momentColumn, numberColumn, words } from "./columns.js";
import type { EntryDraft } from "./drafts.js";
import type { Selection, Timeline } from "./newest.js";
import { packedTexts, readWord } from "./packed.js";
import { flatCopy, type Pool } from "./pool.js";
import { MAX_ROWS, rowIndex } from "./row-index.js";

/** The audit trail, a row for each entry, in the order in which they came. None is ever taken away. */
export interface Trail extends Timeline {
  /** @throws RangeError when the trail is full; then it is as it was. */
  append(draft: EntryDraft): void;
  /** Whether there is an entry of this id. */
  hasId(id: string): boolean;
  read(row: number): AuditEntry;
  select(query: AuditQuery): Selection;
}

interface IdFinder {
  has(id: string): boolean;
  add(row: number): void;
}

// The number of an owner that no row has.
const NOBODY = -1;

const KEY_ID = 0;
const HEAD = 4;
const TAIL = 5;
const AT = 6;
const WORDS = 7;

/**
 * Makes an empty trail. Its texts are among the `texts`; `copyKeyId` makes the copy of a key's id that is kept.
 */
export function createTrail(texts: Pool<string>, copyKeyId: (id: string) => string): Trail {
  const rows = words(WORDS);
  const keyIds = packedTexts(rows, KEY_ID, 32, copyKeyId);
  const times = momentColumn(rows.column(AT));
  const sequences = numberColumn();
  const oddIds: (string | undefined)[] = [];
  const actions = numberColumn();
  const owners = numberColumn();
  const actors = numberColumn();
  const details = numberColumn();
  const oddDetails = new Map<number, unknown>();
  let finder: IdFinder | undefined;
  let end = 0;

  const timeAt = (row: number): number => times.get(row) as number;

  const idAt = (row: number): string =>
    oddIds[row] ?? spelled(timeAt(row), sequences.get(row), rows.get(row, HEAD), rows.get(row, TAIL));

  const setId = (row: number, id: string, at: number): void => {
    const sequence = Number.parseInt(id.slice(13, 25), 16);
    const head = headOf(id);
    const tail = tailOf(id);
    rows.set(row, HEAD, head);
    rows.set(row, TAIL, tail);
    if (spelled(at, sequence, head, tail) === id) sequences.set(row, sequence);
    else oddIds[row] = flatCopy(id);
  };

  /** Finds ids. Made when the first one is asked for: a trail that is only written with changes needs none. */
  const createFinder = (): IdFinder => {
    const headAt = (row: number): number => rows.get(row, HEAD);
    const index = rowIndex({ headOf, headAt, tailOf, tailAt: (row) => rows.get(row, TAIL) });
    const odd = new Set<string>();
    const rowIfSame = (row: number, id: string): number | undefined => (idAt(row) === id ? row : undefined);
    const has = (id: string): boolean => odd.has(id) || index.search(id, rowIfSame) !== undefined;
    // One entry may stand for many changes; as many rows of one id would crowd the index.
    const isRepeated = (row: number): boolean =>
      row > 0 && headAt(row) === headAt(row - 1) && idAt(row) === idAt(row - 1);
    const add = (row: number): void => {
      const id = oddIds[row];
      if (id !== undefined) odd.add(id);
      else if (!isRepeated(row)) index.add(row);
    };
    for (let row = 0; row < end; row++) add(row);
    return { has, add };
  };

  return Object.freeze({
    end: () => end,
    timeAt,
    idAt,
    leap: times.leap,

    append(draft: EntryDraft): void {
      const row = end;
      if (row === MAX_ROWS) throw new RangeError("The audit trail is full");
      keyIds.set(row, draft.keyId);
      times.set(row, draft.at);
      setId(row, draft.id, draft.at);
      actions.set(row, texts.take(draft.action));
      owners.set(row, texts.take(draft.ownerId));
      actors.set(row, texts.take(draft.actor));
      if (typeof draft.details === "string") details.set(row, texts.take(draft.details));
      else oddDetails.set(row, draft.details.clone);
      finder?.add(row);
      end += 1;
    },

    hasId(id: string): boolean {
      finder ??= createFinder();
      return finder.has(id);
    },

    read(row: number): AuditEntry {
      const json = texts.get(details.get(row));
      return {
        id: idAt(row),
        at: new Date(timeAt(row)),
        action: texts.get(actions.get(row)) as AuditAction,
        keyId: keyIds.get(row),
        ownerId: texts.get(owners.get(row)) as string,
        actor: texts.get(actors.get(row)),
        details: json === null ? structuredClone(oddDetails.get(row)) : JSON.parse(json),
      };
    },

    select({ keyId, ownerId }: AuditQuery): Selection {
      const owner = ownerId === undefined ? undefined : (texts.find(ownerId) ?? NOBODY);
      const head = keyId === undefined ? undefined : keyIds.headOf(keyId);
      const lastOfKey = (row: number): number => {
        let before = row - 1;
        while (before >= 0 && keyIds.headAt(before) !== head && !keyIds.isOdd(before)) before -= 1;
        return before;
      };
      const lastOfOwner = (row: number): number => owners.lastBefore(row, owner as number);
      return {
        previous: owner !== undefined ? lastOfOwner : keyId !== undefined ? lastOfKey : (row) => row - 1,
        has: (row) => keyId === undefined || keyIds.get(row) === keyId,
      };
    },
  });
}

// The ids of `createAuditEntry`: 12 digits of the time, 12 of a number within the millisecond, 16 random ones.
const HEAD_AT = 26;
const TAIL_AT = 35;

function headOf(id: string): number {
  return readWord(id, HEAD_AT);
}

function tailOf(id: string): number {
  return readWord(id.slice(TAIL_AT, TAIL_AT + 4) + id.slice(TAIL_AT + 5), 0);
}

function spelled(time: number, sequence: number, head: number, tail: number): string {
  const [first, last] = [hex(head >>> 0, 8), hex(tail >>> 0, 8)];
  return `${hex(time, 12)}-${hex(sequence, 12)}-${first}-${last.slice(0, 4)}-${last.slice(4)}`;
}

function hex(number: number, digits: number): string {
  return number.toString(16).padStart(digits, "0");
}
