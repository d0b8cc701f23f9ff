import {
  type AuditEntry,
  type AuditQuery,
  decodeCursor,
  encodeCursor,
  type KeyQuery,
  type KeyRecord,
  keyStatus,
  type ListPosition,
  type Page,
} from "keybearer";

/** A page of the keys that a query asks for. */
export function listKeys(keys: Iterable<KeyRecord>, query: KeyQuery): Page<KeyRecord> {
  const { ownerId, environment, status, deadBefore, now } = query;
  const found = [...keys].filter(
    (key) =>
      (ownerId === undefined || key.ownerId === ownerId) &&
      (environment === undefined || key.environment === environment) &&
      (status === undefined || keyStatus(key, now.getTime()) === status) &&
      (deadBefore === undefined ||
        [key.revokedAt, key.expiresAt].some((end) => end !== null && end <= deadBefore)),
  );
  return pageOf(found, ({ createdAt, id }) => ({ at: createdAt, id }), query);
}

/** A page of the audit entries that a query asks for. */
export function listEntries(trail: readonly AuditEntry[], query: AuditQuery): Page<AuditEntry> {
  const { keyId, ownerId } = query;
  const found = trail.filter(
    (entry) =>
      (keyId === undefined || entry.keyId === keyId) && (ownerId === undefined || entry.ownerId === ownerId),
  );
  return pageOf(found, (entry) => entry, query);
}

/** Newest first. A cursor is the place of the last item seen, so that what is added meanwhile shifts nothing. */
function pageOf<T>(
  items: readonly T[],
  place: (item: T) => ListPosition,
  { cursor, limit }: Pick<AuditQuery, "cursor" | "limit">,
): Page<T> {
  const start = cursor === undefined ? undefined : decodeCursor(cursor);
  const rest = items
    .filter((item) => start === undefined || newestFirst(start, place(item)) < 0)
    .sort((a, b) => newestFirst(place(a), place(b)));
  const page = structuredClone(rest.slice(0, limit));
  const last = page.at(-1);
  return rest.length > limit && last
    ? { items: page, nextCursor: encodeCursor(place(last)) }
    : { items: page };
}

function newestFirst(a: ListPosition, b: ListPosition): number {
  return b.at.getTime() - a.at.getTime() || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0);
}
