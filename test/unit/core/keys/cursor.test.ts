import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeCursor, encodeCursor } from "../../../../src/core/keys/cursor.js";
import { KeyInputError } from "../../../../src/index.js";

test("decodeCursor returns what encodeCursor encoded (property)", () => {
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

const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

test.each([
  [""],
  ["junk"],
  ["%%%"],
  [encoded(null)],
  [encoded({})],
  [encoded([])],
  [encoded([1])],
  [encoded(["1", "a"])],
  [encoded([1, 2])],
  [encoded([null, "a"])],
  [encoded([9e15, "a"])],
  [encoded("2030-01-01")],
  [undefined as never],
  [7 as never],
])("rejects %j with a KeyInputError", (cursor) => {
  expect(() => decodeCursor(cursor)).toThrow(new KeyInputError("cursor", "is not a cursor of a list"));
});
