import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeCursor, encodeCursor } from "../../../../src/core/keys/cursor.js";
import { KeyInputError } from "../../../../src/index.js";

test("property: what is written is read", () => {
  fc.assert(
    fc.property(
      fc.date({ noInvalidDate: true }),
      fc.oneof(fc.string(), fc.constantFrom("ä", "日本", "😀", "")),
      (at, id) => {
        const cursor = encodeCursor({ at, id });
        expect(cursor).toMatch(/^[A-Za-z0-9_-]+$/);
        expect(decodeCursor(cursor)).toEqual({ at, id });
      },
    ),
  );
});

const written = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

test.each([
  [""],
  ["junk"],
  ["%%%"],
  [written(null)],
  [written({})],
  [written([])],
  [written([1])],
  [written(["1", "a"])],
  [written([1, 2])],
  [written([null, "a"])],
  [written([9e15, "a"])],
  [written("2030-01-01")],
  [undefined as never],
  [7 as never],
])("%j is a KeyInputError", (cursor) => {
  expect(() => decodeCursor(cursor)).toThrow(
    new KeyInputError("cursor", "is not one that a list has answered"),
  );
});
