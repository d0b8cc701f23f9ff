import {
  decodeCursor,
  encodeCursor,
  type KeyQuery,
  type KeyRecord,
  keyStatus,
  type ListPosition,
  type Page,
} from "../../kit.js";
import { encodePosition } from "./layout.js";

/** A batch of a list. */
export interface Batch<T> {
  readonly items: readonly T[];
  /** Where the next batch starts; `undefined` if this is the last one. */
  readonly next: string | undefined;
}

/** How a list is read. */
export interface ListReader<T> {
  /** Reads at most `count` items from `start` on, which is a bound of `ZREVRANGEBYLEX`. */
  readBatch(start: string, count: number): Promise<Batch<T>>;
  /** Whether an item belongs to the list. */
  matches(item: T): boolean;
  /** Whether `matches` may reject most items. */
  readonly selective: boolean;
  positionOf(item: T): ListPosition;
}

// A script blocks the server while it runs; reading 250 keys takes about 2 ms.
const MAX_BATCH = 250;

/**
 * Reads batches until a page is full. Each batch starts after the last position of the one before, so keys that are
 * inserted or removed in between neither shift nor hide others.
 */
export async function readPage<T>(
  { readBatch, matches, selective, positionOf }: ListReader<T>,
  limit: number,
  cursor: string | undefined,
): Promise<Page<T>> {
  const items: T[] = [];
  const count = selective ? MAX_BATCH : Math.min(limit + 1, MAX_BATCH);
  for (let start: string | undefined = startOf(cursor); start !== undefined; ) {
    const batch: Batch<T> = await readBatch(start, count);
    for (const item of batch.items) {
      if (!matches(item)) continue;
      const last = items.at(-1);
      if (items.length >= limit && last !== undefined) {
        return { items, nextCursor: encodeCursor(positionOf(last)) };
      }
      items.push(item);
    }
    start = batch.next;
  }
  return { items };
}

function startOf(cursor: string | undefined): string {
  return cursor === undefined ? "+" : `(${encodePosition(decodeCursor(cursor))}`;
}

/** Whether a key matches a query. */
export function matchesQuery(record: KeyRecord, query: KeyQuery): boolean {
  const { ownerId, environment, status, endedBefore, now } = query;
  const hasEnded = (end: Date | null) => endedBefore !== undefined && end !== null && end <= endedBefore;
  return (
    (ownerId === undefined || record.ownerId === ownerId) &&
    (environment === undefined || record.environment === environment) &&
    (status === undefined || keyStatus(record, now.getTime()) === status) &&
    (endedBefore === undefined || hasEnded(record.revokedAt) || hasEnded(record.expiresAt))
  );
}
