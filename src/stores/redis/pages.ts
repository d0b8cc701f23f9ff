import {
  decodeCursor,
  encodeCursor,
  type KeyQuery,
  type KeyRecord,
  keyStatus,
  type ListPosition,
  matchesSearch,
  type Page,
  StoreError,
} from "../../kit.js";
import { decodePosition, encodePosition } from "./layout.js";

/** An item of a list, or `undefined` if it is lost or cannot be read, and its position. */
export interface Entry<T> {
  readonly position: ListPosition;
  readonly item: T | undefined;
}

/** A batch of a list. */
export interface Batch<T> {
  readonly entries: readonly Entry<T>[];
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
}

// A script blocks the server while it runs; reading 250 keys takes about 2 ms.
const MAX_BATCH = 250;

/**
 * Reads batches until a page is full. Each batch starts after the last position of the one before, so keys that are
 * inserted or removed in between neither shift nor hide others.
 */
export async function readPage<T>(
  { readBatch, matches, selective }: ListReader<T>,
  limit: number,
  cursor: string | undefined,
): Promise<Page<T>> {
  const items: T[] = [];
  const damaged: string[] = [];
  const createPage = (): Page<T> => ({ items, ...(damaged.length > 0 && { damaged }) });
  let last: ListPosition | undefined;
  const count = selective ? MAX_BATCH : Math.min(limit + 1, MAX_BATCH);
  for (let start: string | undefined = startOf(cursor); start !== undefined; ) {
    const batch: Batch<T> = await readBatch(start, count);
    for (const { item, position } of batch.entries) {
      if (item !== undefined && !matches(item)) continue;
      if (items.length + damaged.length >= limit && last !== undefined) {
        return { ...createPage(), nextCursor: encodeCursor(last) };
      }
      last = position;
      if (item === undefined) damaged.push(position.id);
      else items.push(item);
    }
    start = batch.next;
  }
  return createPage();
}

/** Reads an entry of a batch: its position, a line break and its text. */
export function readEntry<T>(text: string, decode: (text: string) => T): Entry<T> {
  const position = decodePosition(text.slice(0, text.indexOf("\n")));
  if (position === undefined) throw new StoreError("A position in a list of the Redis store cannot be read");
  try {
    return { position, item: decode(text) };
  } catch {
    return { position, item: undefined };
  }
}

function startOf(cursor: string | undefined): string {
  return cursor === undefined ? "+" : `(${encodePosition(decodeCursor(cursor))}`;
}

/** Whether a key matches a query. */
export function matchesQuery(record: KeyRecord, query: KeyQuery): boolean {
  const { ownerId, environment, status, createdByKey, endedBefore, now } = query;
  const hasEnded = (end: Date | null) => endedBefore !== undefined && end !== null && end <= endedBefore;
  return (
    (ownerId === undefined || record.ownerId === ownerId) &&
    (environment === undefined || record.environment === environment) &&
    (createdByKey === undefined || record.createdByKey === createdByKey) &&
    (status === undefined || keyStatus(record, now.getTime()) === status) &&
    matchesSearch(record, query.search) &&
    (endedBefore === undefined || hasEnded(record.revokedAt) || hasEnded(record.expiresAt))
  );
}
