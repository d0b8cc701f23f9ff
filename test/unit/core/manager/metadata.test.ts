import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readMetadata } from "../../../../src/core/manager/metadata.js";
import { inputError, problemOf } from "./input-error.js";

describe("readMetadata", () => {
  const read = (value: unknown) => readMetadata("metadata", value);

  it("returns every small JSON object unchanged and frozen (property)", () => {
    const json = fc.dictionary(
      fc.string({ maxLength: 20 }).filter((name) => name !== "__proto__"),
      fc.jsonValue({ maxDepth: 4 }).filter((value) => !JSON.stringify(value).includes("__proto__")),
      { maxKeys: 10 },
    );
    fc.assert(
      fc.property(json, (value) => {
        const result = read(value);
        expect(result).toEqual(JSON.parse(JSON.stringify(value)));
        expect(Object.isFrozen(result)).toBe(true);
      }),
    );
  });

  it("returns a deeply frozen copy", () => {
    const value = { team: { name: "a" }, list: [{ a: 1 }] };
    const result = read(value);
    value.team.name = "b";
    expect(result).toEqual({ team: { name: "a" }, list: [{ a: 1 }] });
    expect(result).toSatisfy(({ list: [first] }) => Object.isFrozen(first));
    expect([read(undefined), read(null)]).toEqual([null, null]);
    expect(read(Object.assign(Object.create(null), { a: 1 }))).toEqual({ a: 1 });
  });

  const nested = (depth: number): object => (depth === 0 ? {} : { a: nested(depth - 1) });
  const listed = (depth: number): unknown[] => (depth === 0 ? [] : [listed(depth - 1)]);
  const circular: { self?: object } = {};
  circular.self = circular;
  const hole: number[] = [];
  hole[1] = 1;
  const members = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`m${i}`, i]));

  it.each<[string, unknown, RegExp]>([
    [
      "a member name that looks like a secret",
      { ezt_live_0123456789ABCDEFGHIJKLMN: undefined },
      /^metadata\."ezt_live_012…" must be a JSON value/,
    ],
    ["undefined inside", { a: undefined }, /^metadata\.a must be a JSON value; received undefined$/],
    ["a function", { a: { b: () => 1 } }, /^metadata\.a\.b must be a JSON value/],
    ["a bigint", { a: [1n] }, /^metadata\.a\[0\] must be a JSON value/],
    ["NaN", { a: Number.NaN }, /^metadata\.a must be a JSON value/],
    ["infinity", { a: Number.POSITIVE_INFINITY }, /^metadata\.a must be a JSON value/],
    ["a symbol", { a: Symbol("a") }, /^metadata\.a must be a JSON value/],
    ["a Date", { a: new Date() }, /^metadata\.a must be a JSON value/],
    ["a Map", { a: new Map() }, /^metadata\.a must be a JSON value/],
    ["a Buffer", { a: Buffer.from("a") }, /^metadata\.a must be a JSON value/],
    ["a class", { a: new (class A {})() }, /^metadata\.a must be a JSON value/],
    ["toJSON", { a: { toJSON: () => 1 } }, /^metadata\.a\.toJSON must be a JSON value/],
    ["a sparse array", { a: hole }, /^metadata\.a\[0\] must be a JSON value/],
    ["__proto__ at the top", JSON.parse('{"__proto__":{"admin":true}}'), /must not have a member __proto__/],
    ["__proto__ inside", JSON.parse('{"a":[{"__proto__":1}]}'), /must not have a member __proto__/],
    ["a circular reference", circular, /is nested too deeply/],
    ["ten levels", nested(10), /is nested too deeply/],
    ["ten levels of arrays", { a: listed(9) }, /is nested too deeply/],
    ["a NUL", { a: ["a\0b"] }, /^metadata\.a\[0\] must not contain NUL characters or lone surrogates$/],
    ["half a surrogate pair", { a: "\ud83d" }, /^metadata\.a must not contain NUL characters or lone/],
    ["a name with a NUL", { "a\0": 1 }, /^metadata must not contain NUL characters or lone surrogates$/],
    ["101 members", members(101), /^metadata must have at most 100 members; received 101$/],
    ["10,000 members", members(10_000), /^metadata must have at most 100 members; received 10000$/],
    ["10,000 members inside", { a: members(10_000) }, /^metadata must be at most 16384 bytes/],
    ["16 KiB of ASCII", { a: "x".repeat(16_384) }, /^metadata must be at most 16384 bytes/],
    ["16 KiB in UTF-8", { a: "é".repeat(8_192) }, /^metadata must be at most 16384 bytes/],
    ["an array", [1], /^metadata must be an object; received an array$/],
    ["a string", "a", /^metadata must be an object/],
    ["a number", 7, /^metadata must be an object/],
    ["a Map", new Map([["a", 1]]), /^metadata must be an object/],
    ["a Date", new Date(), /^metadata must be an object/],
  ])("rejects %s", (_, value, expected) => {
    expect(problemOf(() => read(value))).toMatch(expected);
  });

  it.each(["a\nb", "a\r\nb", "\u001b[2J", "a.b", "a b", "x".repeat(1_000)])(
    "shortens and quotes the member name %j in the path",
    (name) => {
      const deep = (depth: number): object => (depth === 0 ? {} : { [name]: deep(depth - 1) });
      for (const value of [deep(10), { [name]: Number.NaN }, { a: { [name]: [() => {}] } }]) {
        const error = inputError(() => read(value));
        for (const text of [error.message, error.path]) {
          expect(text).not.toMatch(/\p{Cc}/u);
          expect(text.length).toBeLessThan(1_000);
        }
      }
      const shown = name.length > 12 ? `"${name.slice(0, 12)}…"` : JSON.stringify(name);
      expect(inputError(() => read({ [name]: Number.NaN })).path).toBe(`metadata.${shown}`);
    },
  );

  it("accepts values at the limits", () => {
    expect(Object.keys(read(members(100)) ?? {})).toHaveLength(100);
    const text = "x".repeat(16_384 - '{"a":""}'.length);
    expect(read({ a: text })).toEqual({ a: text });
    expect(read(nested(8))).toEqual(nested(8));
    expect(read({ a: listed(7) })).toEqual({ a: listed(7) });
    expect(read({ "🚚": "🚚" })).toEqual({ "🚚": "🚚" });
  });

  it("does not pollute prototypes", () => {
    problemOf(() => read(JSON.parse('{"__proto__":{"admin":true}}')));
    const result = read(JSON.parse('{"constructor":{"prototype":{"admin":true}}}'));
    expect(JSON.stringify(result)).toBe('{"constructor":{"prototype":{"admin":true}}}');
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });
});
