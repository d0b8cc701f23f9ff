import { type AuditQuery, decodeCursor, encodeCursor, type Page } from "../../kit.js";

/** Spreads entries over 256 Maps, because a Map of a million entries blocks for 29 ms when it grows. */
export function shardedMap<T>(): (key: string) => Map<string, T> {
  const shards = Array.from({ length: 256 }, () => new Map<string, T>());
  const digit = (code: number): number => (code & 15) + 9 * (code >> 6); // of hexadecimal
  return (key) => {
    const [high, low] = [key.charCodeAt(key.length - 2), key.charCodeAt(key.length - 1)];
    return shards[(digit(high) * 16 + digit(low)) & 255] as Map<string, T>;
  };
}

type Position = { readonly group: string; readonly time: number; readonly id: string };
const MAX_CHUNK = 1_024;

/** Items in order of group, date and id. */
export interface SortedList<T> {
  add(item: T): void;
  /** Adds an item, or replaces the item with the same id. */
  put(item: T): void;
  remove(item: T): void;
  /** Returns the items of a group, oldest first. */
  group(group: string): Iterable<T>;
  /** Returns copies of the items of a group, newest first. */
  page(group: string, query: AuditQuery, matches: (item: T) => boolean): Page<T>;
}

/** Keeps items in order of group, date and id. Chunks keep an insert fast when keys do not arrive in order. */
export function sortedList<T extends { readonly id: string }>(
  dateKey: keyof T,
  groupKey?: keyof T,
): SortedList<T> {
  const chunks: T[][] = [[]];
  const dateOf = (item: T): Date => item[dateKey] as Date;
  const timeOf = (item: T): number => dateOf(item).getTime();
  const groupOf = (item: T): string => (groupKey === undefined ? "" : (item[groupKey] as string));

  const isBefore = (item: T, { group, time, id }: Position): boolean => {
    if (groupOf(item) !== group) return groupOf(item) < group;
    return timeOf(item) === time ? item.id < id : timeOf(item) < time;
  };

  /** Finds the first of `count` items, or of chunks by their last item, that is not before a position. */
  const search = (list: readonly (T | T[])[], count: number, position: Position): number => {
    let [low, middle, high] = [0, count - 1, count]; // most new items belong at the end
    while (low < high) {
      const entry = list[middle] as T | T[];
      if (isBefore(Array.isArray(entry) ? (entry.at(-1) as T) : entry, position)) low = middle + 1;
      else high = middle;
      middle = (low + high) >>> 1;
    }
    return low;
  };

  const locate = (position: Position) => {
    const place = search(chunks, chunks.length - 1, position);
    const chunk = chunks[place] as T[];
    return { place, chunk, index: search(chunk, chunk.length, position) };
  };

  const write = (item: T, replaces: boolean, added: readonly T[]): void => {
    const { place, chunk, index } = locate({ group: groupOf(item), time: timeOf(item), id: item.id });
    chunk.splice(index, replaces && chunk[index]?.id === item.id ? 1 : 0, ...added);
    const half = index === MAX_CHUNK ? MAX_CHUNK : MAX_CHUNK / 2; // chunks stay full if items arrive in order
    if (chunk.length > MAX_CHUNK) chunks.splice(place + 1, 0, chunk.splice(half));
    if (chunk.length === 0 && chunks.length > 1) chunks.splice(place, 1);
  };

  return {
    add: (item: T) => write(item, false, [item]),
    put: (item: T) => write(item, true, [item]),
    remove: (item: T) => write(item, true, []),

    *group(group: string): Iterable<T> {
      const { place, index } = locate({ group, time: Number.NEGATIVE_INFINITY, id: "" });
      for (const [number, chunk] of chunks.slice(place).entries()) {
        for (const item of number === 0 ? chunk.slice(index) : chunk) {
          if (groupOf(item) !== group) return;
          yield item;
        }
      }
    },

    page(group: string, { cursor, limit }: AuditQuery, matches: (item: T) => boolean): Page<T> {
      const start = cursor === undefined ? undefined : decodeCursor(cursor);
      const time = start?.at.getTime() ?? Number.POSITIVE_INFINITY;
      const { place, chunk, index } = locate({ group, time, id: start?.id ?? "" });
      const items: T[] = [];
      for (const older of [...chunks.slice(0, place), chunk.slice(0, index)].reverse()) {
        for (const item of older.toReversed()) {
          if (groupOf(item) !== group) return { items };
          if (!matches(item)) continue;
          const last = items.at(-1);
          if (items.length < limit) items.push(structuredClone(item));
          else if (last) return { items, nextCursor: encodeCursor({ at: dateOf(last), id: last.id }) };
        }
      }
      return { items };
    },
  };
}
