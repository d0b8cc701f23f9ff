import { KeyInputError } from "../errors.js";

/** A place in a list that is ordered by time and then id, newest first. */
export interface ListPosition {
  readonly at: Date;
  readonly id: string;
}

/**
 * Writes a place in a list as an opaque text, for stores to use as `nextCursor`: the place of the last item
 * of a page. Rows that are added meanwhile neither shift nor hide the ones behind it.
 *
 * @example
 * return { items, nextCursor: encodeCursor({ at: last.createdAt, id: last.id }) };
 */
export function encodeCursor({ at, id }: ListPosition): string {
  return Buffer.from(JSON.stringify([at.getTime(), id])).toString("base64url");
}

/**
 * Reads what {@link encodeCursor} wrote.
 *
 * @throws KeyInputError for anything else.
 */
export function decodeCursor(cursor: string): ListPosition {
  try {
    const [time, id] = JSON.parse(Buffer.from(cursor, "base64url").toString());
    const at = new Date(time);
    if (typeof time === "number" && !Number.isNaN(at.getTime()) && typeof id === "string") return { at, id };
  } catch {
    // Refused below, like every other text that is no cursor.
  }
  throw new KeyInputError("cursor", "is not one that a list has answered");
}
