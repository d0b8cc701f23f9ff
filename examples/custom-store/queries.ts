import type { AuditEntry, AuditQuery, KeyQuery, KeyRecord, Page } from "keybearer";
import { decodeCursor, encodeCursor, keyStatus, type ListPosition, matchesSearch } from "keybearer/kit";

/** Returns a page of the keys that match the query. */
export function listKeys(keys: Iterable<KeyRecord>, query: KeyQuery): Page<KeyRecord> {
  const { ownerId, environment, status, createdByKey, endedBefore, search, now } = query;
  const found = [...keys].filter(
    (key) =>
      (ownerId === undefined || key.ownerId === ownerId) &&
      (environment === undefined || key.environment === environment) &&
      (createdByKey === undefined || key.createdByKey === createdByKey) &&
      (status === undefined || keyStatus(key, now.getTime()) === status) &&
      matchesSearch(key, search) &&
      (endedBefore === undefined ||
        [key.revokedAt, key.expiresAt].some((end) => end !== null && end <= endedBefore)),
  );
  return pageOf(found, ({ createdAt, id }) => ({ at: createdAt, id }), query);
}

/** Returns a page of the audit entries that match the query. */
export function listEntries(trail: readonly AuditEntry[], query: AuditQuery): Page<AuditEntry> {
  const { keyId, ownerId, actor } = query;
  const found = trail.filter(
    (entry) =>
      (keyId === undefined || entry.keyId === keyId) &&
      (ownerId === undefined || entry.ownerId === ownerId) &&
      (actor === undefined || entry.actor === actor),
  );
  return pageOf(found, (entry) => entry, query);
}

/**
 * Returns a page, newest first. A cursor is the position of the last item of a page, so items that are added between two
 * calls do not shift the next page.
 */
function pageOf<T>(
  items: readonly T[],
  positionOf: (item: T) => ListPosition,
  { cursor, limit }: Pick<AuditQuery, "cursor" | "limit">,
): Page<T> {
  const start = cursor === undefined ? undefined : decodeCursor(cursor);
  const rest = items
    .filter((item) => start === undefined || newestFirst(start, positionOf(item)) < 0)
    .sort((a, b) => newestFirst(positionOf(a), positionOf(b)));
  const page = structuredClone(rest.slice(0, limit));
  const last = page.at(-1);
  return rest.length > limit && last
    ? { items: page, nextCursor: encodeCursor(positionOf(last)) }
    : { items: page };
}

function newestFirst(a: ListPosition, b: ListPosition): number {
  return b.at.getTime() - a.at.getTime() || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0);
}
