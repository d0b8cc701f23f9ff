import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  headerValue,
  isComplete,
  isTruncated,
  mayLackLines,
  pathOf,
  REPEATED,
  resolveRequestId,
  singleHeader,
  trimOws,
  withRequestId,
} from "../../../../src/core/requests/request.js";
import type { AuthRequest } from "../../../../src/index.js";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe("resolveRequestId", () => {
  test("prefers the id of the framework", () => {
    expect(resolveRequestId({ headers: { "x-request-id": "sent" }, requestId: "own" })).toBe("own");
  });

  test("accepts a well-formed X-Request-Id from any kind of headers", () => {
    expect(resolveRequestId({ headers: { "x-request-id": "a.b_c:d-1" } })).toBe("a.b_c:d-1");
    expect(resolveRequestId({ headers: { "X-Request-ID": "abc" } })).toBe("abc");
    expect(resolveRequestId({ headers: new Headers({ "X-Request-Id": "abc" }) })).toBe("abc");
    expect(resolveRequestId({ headers: {}, requestId: "a".repeat(128) })).toBe("a".repeat(128));
  });

  test.each([
    ["no characters", ""],
    ["129 characters", "a".repeat(129)],
    ["a space", "a b"],
    ["a line break", "a\r\nSet-Cookie: x=1"],
    ["a line break at the end", "abc\n"],
    ["markup", "<script>"],
    ["a quote", 'a"b'],
    ["a percent sign", "a%0d"],
    ["a letter outside ASCII", "é"],
    ["a NUL", "a\0"],
  ])("never echoes an id with %s", (_, id) => {
    const fresh = resolveRequestId({ headers: { "x-request-id": id }, requestId: id });
    expect(fresh).toMatch(UUID);
    expect(resolveRequestId({ headers: { "x-request-id": id } })).not.toBe(fresh);
    expect(resolveRequestId({ headers: { "x-request-id": "good" }, requestId: id })).toBe("good");
  });

  test("creates an id if there is none", () => {
    expect(resolveRequestId({ headers: {} })).toMatch(UUID);
    expect(resolveRequestId({ headers: new Headers() })).toMatch(UUID);
  });

  test("creates an id if X-Request-Id is repeated", () => {
    expect(resolveRequestId({ headers: { "x-request-id": ["a", "b"] } })).toMatch(UUID);
  });

  test("returns only safe characters (property)", () => {
    const texts = fc.array(fc.integer({ max: 0xffff, min: 0 })).map((units) => String.fromCharCode(...units));
    fc.assert(
      fc.property(fc.oneof(texts, fc.string({ minLength: 1 })), (id) => {
        expect(resolveRequestId({ headers: { "x-request-id": id } })).toMatch(/^[A-Za-z0-9._:-]{1,128}$/);
      }),
    );
  });
});

describe("headers", () => {
  test("names are case-insensitive, and repeated values are joined", () => {
    expect(headerValue({ headers: { ACCEPT: "a" } }, "accept")).toBe("a");
    expect(headerValue({ headers: { accept: ["a", "b"] } }, "accept")).toBe("a, b");
    expect(headerValue({ headers: new Headers([["Accept", "a"]]) }, "accept")).toBe("a");
    expect(headerValue({ headers: {} }, "accept")).toBeUndefined();
    expect(headerValue({ headers: { accept: undefined } }, "accept")).toBeUndefined();
    expect(headerValue({ headers: { accepd: "a", "x-accept": "b", Accept: "c" } }, "accept")).toBe("c");
    expect(headerValue({ headers: new Headers() }, "accept")).toBeUndefined();
  });

  test("ignores inherited members", () => {
    expect(headerValue({ headers: {} }, "tostring")).toBeUndefined();
    expect(headerValue({ headers: {} }, "constructor")).toBeUndefined();
    expect(headerValue({ headers: Object.create({ accept: "a" }) }, "accept")).toBeUndefined();
  });

  test("accepts a header named get", () => {
    expect(headerValue({ headers: { get: "a", accept: "b" } }, "accept")).toBe("b");
  });

  test("singleHeader counts lines in rawHeaders if present, otherwise in headers", () => {
    const accept = (headers: AuthRequest["headers"], rawHeaders?: readonly string[]) =>
      singleHeader({ headers, rawHeaders }, "accept");
    const headers = { accept: "a" };
    expect(accept(headers, ["Accept", "a", "ACCEPT", "accept"])).toBe(REPEATED);
    expect(accept(headers, ["Host", "accept", "Accept", "a"])).toBe("a");
    expect(accept(headers, [])).toBe("a");
    expect(accept(headers)).toBe("a");
    expect(accept({ accept: ["a", "b"] })).toBe(REPEATED);
    expect(accept({ accept: ["a"] })).toBe("a");
    expect(accept({ accept: undefined })).toBeUndefined();
    expect(accept({ accept: undefined, Accept: "a" })).toBe("a");
    expect(accept({ accept: "text/html" })).toBe("text/html");
    expect(accept({ accept: "a", Accept: "b" })).toBe(REPEATED);
    expect(accept({ accept: "", Accept: "b" })).toBe(REPEATED);
    expect(accept(new Headers({ accept: "a" }))).toBe("a");
    expect(accept(new Headers())).toBeUndefined();
    expect(accept(Object.create({ accept: "a" }))).toBeUndefined();
    expect(accept({ Accept: "a", accepd: "b", "accept-language": "c" })).toBe("a");
  });
});

describe("truncated headers", () => {
  const lines = (count: number) => Array.from({ length: count }, () => ["X-A", "1"]).flat();

  test("as many lines as the server reads may lack more", () => {
    expect([999, 1_000, 1_001].map((count) => mayLackLines(lines(count)))).toEqual([false, true, true]);
    expect([4, 5, 6].map((count) => mayLackLines(lines(count), 5))).toEqual([false, true, true]);
  });

  test("a server without a limit drops no lines", () => {
    expect([0, 2_000].map((count) => mayLackLines(lines(count), 0))).toEqual([false, false]);
  });

  test("isTruncated believes headersTruncated first, then counts rawHeaders", () => {
    const rawHeaders = lines(1_000);
    expect(isTruncated({ headers: {}, rawHeaders })).toBe(true);
    expect(isTruncated({ headers: {}, rawHeaders: [] })).toBe(false);
    expect(isTruncated({ headers: {}, rawHeaders, headersTruncated: false })).toBe(false);
    expect(isTruncated({ headers: {}, rawHeaders: [], headersTruncated: true })).toBe(true);
  });

  test("isComplete needs Headers, rawHeaders or headersTruncated", () => {
    expect(isComplete({ headers: new Headers() })).toBe(true);
    expect(isComplete({ headers: {} })).toBe(false);
    expect(isComplete({ headers: {}, rawHeaders: [] })).toBe(true);
    expect(isComplete({ headers: {}, headersTruncated: false })).toBe(true);
    expect(isComplete({ headers: new Headers(), headersTruncated: true })).toBe(false);
    expect(isTruncated({ headers: {} })).toBe(false);
  });
});

test.each([
  ["/a/b?key=secret", "/a/b"],
  ["/a#secret", "/a"],
  ["/a?x=\nsecret", "/a"],
  ["/a", "/a"],
  ["?secret", "/"],
  ["http://fleet.test/a?secret", "/a"],
  ["http://fleet.test?secret", "/"],
  ["*", "*"],
  [undefined, undefined],
])("pathOf(%j) returns %j", (path, expected) => {
  expect(pathOf({ headers: {}, path })).toBe(expected);
});

test("withRequestId copies every member, including getters", () => {
  class Incoming {
    readonly headers = { accept: "a" };
    readonly rawHeaders = ["Accept", "a"];
    readonly headersTruncated = true;
    readonly remoteAddress = "203.0.113.7";
    readonly method = "GET";
    readonly requestId = "theirs";
    get path() {
      return "/a?b";
    }
  }
  expect(withRequestId(new Incoming(), "ours")).toEqual({
    headers: { accept: "a" },
    rawHeaders: ["Accept", "a"],
    headersTruncated: true,
    remoteAddress: "203.0.113.7",
    method: "GET",
    path: "/a?b",
    requestId: "ours",
  });
});

test("trimOws removes only spaces and tabs from both ends (property)", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(" ", "\t", "a", "\n", "\u00a0") }), (text) => {
      expect(trimOws(text)).toBe(text.replace(/^[ \t]+/, "").replace(/[ \t]+$/, ""));
    }),
  );
});
