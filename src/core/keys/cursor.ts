import { KeyInputError } from "../errors.js";

/** A position in a list that is ordered by time, then id, newest first. */
export interface ListPosition {
  readonly at: Date;
  readonly id: string;
}

/**
 * Encodes the position of the last item of a page as an opaque string, for stores to return as `nextCursor`. Rows that
 * are added later do not shift the next page.
 *
 * @example
 * return { items, nextCursor: encodeCursor({ at: last.createdAt, id: last.id }) };
 */
export function encodeCursor({ at, id }: ListPosition): string {
  return Buffer.from(JSON.stringify([at.getTime(), id])).toString("base64url");
}

/**
 * Decodes a cursor of {@link encodeCursor}.
 *
 * @throws KeyInputError if the string is not such a cursor.
 */
export function decodeCursor(cursor: string): ListPosition {
  try {
    const [time, id] = JSON.parse(Buffer.from(cursor, "base64url").toString());
    const at = new Date(time);
    if (typeof time === "number" && !Number.isNaN(at.getTime()) && typeof id === "string") return { at, id };
  } catch {
    // rejected below
  }
  throw new KeyInputError("cursor", "is not a cursor of a list");
}
