import {
  decodeCursor,
  encodeCursor,
  type KeyQuery,
  type KeyRecord,
  keyStatus,
  type ListPosition,
  type Page,
} from "../../kit.js";
import { placeOf } from "./layout.js";

/** A part of a list, and where the next one begins, if there may be one. */
export interface Part<T> {
  readonly items: readonly T[];
  readonly next: string | undefined;
}

/** How a list is read. */
export interface Listing<T> {
  /** Reads the places from `from` on, in the words of `ZREVRANGEBYLEX`; at most so many. */
  readPart(from: string, count: number): Promise<Part<T>>;
  /** Whether an item belongs to the list. */
  accepts(item: T): boolean;
  /** Whether it may be that few do. */
  readonly rare: boolean;
  placeOf(item: T): ListPosition;
}

// A script holds up everybody else while it runs; one that reads so many keys takes some 2 ms.
const MAX_IN_A_PART = 250;

/**
 * Reads a page, in parts, until it is full. Every part begins behind the last place of the one before, so that
 * keys which come and go meanwhile neither shift nor hide others.
 */
export async function readPage<T>(
  { readPart, accepts, rare, placeOf: at }: Listing<T>,
  limit: number,
  cursor: string | undefined,
): Promise<Page<T>> {
  const items: T[] = [];
  const count = rare ? MAX_IN_A_PART : Math.min(limit + 1, MAX_IN_A_PART);
  for (let from: string | undefined = startOf(cursor); from !== undefined; ) {
    const part: Part<T> = await readPart(from, count);
    for (const item of part.items) {
      if (!accepts(item)) continue;
      const last = items.at(-1);
      if (items.length >= limit && last !== undefined) return { items, nextCursor: encodeCursor(at(last)) };
      items.push(item);
    }
    from = part.next;
  }
  return { items };
}

function startOf(cursor: string | undefined): string {
  if (cursor === undefined) return "+";
  const { at, id } = decodeCursor(cursor);
  return `(${placeOf(at, id)}`;
}

/** Whether a key is one of those that a query asks for. */
export function isAskedFor(record: KeyRecord, query: KeyQuery): boolean {
  const { ownerId, environment, status, endedBefore: deadBefore, now } = query;
  const isDead = (end: Date | null) => deadBefore !== undefined && end !== null && end <= deadBefore;
  return (
    (ownerId === undefined || record.ownerId === ownerId) &&
    (environment === undefined || record.environment === environment) &&
    (status === undefined || keyStatus(record, now.getTime()) === status) &&
    (deadBefore === undefined || isDead(record.revokedAt) || isDead(record.expiresAt))
  );
}
