import { decodeCursor, encodeCursor, type Page } from "../../kit.js";

/** Rows of which each has a time and an id. */
export interface Timeline {
  /** One more than the last row. */
  end(): number;
  timeAt(row: number): number;
  idAt(row: number): string;
  /** See {@link MomentColumn}. */
  leap(row: number, earliest: number, latest: number): number;
}

/** Which rows a list is of. */
export interface Selection {
  /** The last row before this one that may be one of them; -1 when there is none. To be quick. */
  previous(row: number): number;
  /** Whether a row that may be one of them is one. */
  has(row: number): boolean;
}

interface Place {
  readonly row: number;
  readonly time: number;
  readonly id: string;
}

/**
 * The page of a list behind `cursor`, newest first, and by id within a millisecond. A cursor is the place of the
 * last row that was seen, so that rows that are added meanwhile shift nothing.
 *
 * No order is kept up while rows come and go. They are walked over, from the last one on, which as a rule is the
 * newest; what is older than the last of the page is passed over, and leapt over where all of a block is.
 *
 * @throws KeyInputError for a cursor that no list has answered.
 */
export function newest<T>(
  { end, timeAt, idAt, leap }: Timeline,
  { previous, has }: Selection,
  read: (row: number) => T,
  { cursor, limit }: { readonly cursor?: string | undefined; readonly limit: number },
): Page<T> {
  const start = cursor === undefined ? undefined : readPlace(cursor);
  const latest = start?.time ?? Number.POSITIVE_INFINITY;
  const found: Place[] = [];
  // The last place of interest: one behind the page, which tells that another page follows.
  let last: Place = { row: -1, time: Number.NEGATIVE_INFINITY, id: "" };

  const prune = (): void => {
    found.sort(newestFirst);
    if (found.length <= limit) return;
    found.length = limit + 1;
    last = found[limit] as Place;
  };

  for (let row = previous(end()); row >= 0; row = previous(leap(row, last.time, latest))) {
    const time = timeAt(row);
    if (time > latest || time < last.time || !has(row)) continue;
    const place = { row, time, id: idAt(row) };
    if (start !== undefined && newestFirst(place, start) <= 0) continue;
    if (newestFirst(place, last) > 0) continue;
    found.push(place);
    if (found.length > 2 * limit) prune();
  }
  prune();

  const items = found.slice(0, limit).map(({ row }) => read(row));
  const seen = found[limit - 1];
  if (found.length <= limit || seen === undefined) return { items };
  return { items, nextCursor: encodeCursor({ at: new Date(seen.time), id: seen.id }) };
}

function readPlace(cursor: string): Place {
  const { at, id } = decodeCursor(cursor);
  return { row: -1, time: at.getTime(), id };
}

function newestFirst(a: Place, b: Place): number {
  return b.time - a.time || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0);
}
