import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  checkFilter,
  checkInput,
  readAllowlist,
  readEnvironment,
  readExpiry,
  readId,
  readLimit,
  readMetadata,
  readPast,
  readRateLimit,
  readScopes,
  readText,
} from "../../../../src/core/manager/input.js";
import { type KeyFormat, KeyInputError } from "../../../../src/index.js";
import { readDuration } from "../../../../src/internal/duration.js";
import { START, scopes } from "../fixtures.js";

function caught(read: () => unknown): KeyInputError {
  try {
    read();
  } catch (error) {
    if (error instanceof KeyInputError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

/** The error of a reader; its path is part of what is tested. */
function problem(read: () => unknown): string {
  const { path, problem } = caught(read);
  return `${path} ${problem}`;
}

describe("readDuration", () => {
  test("is milliseconds, or an error that shows how a duration looks", () => {
    expect(readDuration("overlap", "24h")).toBe(86_400_000);
    expect(readDuration("overlap", "0s")).toBe(0);
    for (const value of ["24", 24, null, undefined, "36501d"]) {
      expect(problem(() => readDuration("overlap", value))).toMatch(
        /^overlap must be a duration such as "30s"/,
      );
    }
  });
});

describe("checkInput", () => {
  const check = (input: unknown) => checkInput("create", input, ["a", "b"]);

  test("names the unknown member, and those that are known", () => {
    expect(check({ a: 1, b: undefined })).toBeUndefined();
    expect(check({})).toBeUndefined();
    expect(problem(() => check({ a: 1, c: undefined }))).toBe(
      "c is not a member that create knows; it knows a, b",
    );
    expect(problem(() => check(JSON.parse('{"__proto__":{}}')))).toMatch(/^__proto__ is not a member/);
  });

  test.each([
    [undefined, "create needs an object, got undefined"],
    [null, "create needs an object, got null"],
    [[], "create needs an object, got an array"],
    ["hunter2", "create needs an object, got a value of type string"],
    [() => {}, "create needs an object, got a value of type function"],
  ])("%j is no input", (input, expected) => {
    expect(problem(() => check(input))).toBe(expected);
  });
});

describe("readExpiry", () => {
  const read = (value: unknown) => readExpiry("expiresAt", value, START);

  test.each([
    ["2031-01-31T12:00:00Z", "2031-01-31T12:00:00.000Z"],
    ["2031-01-31t12:00:00z", "2031-01-31T12:00:00.000Z"],
    ["2031-01-31T12:00:00.5Z", "2031-01-31T12:00:00.500Z"],
    ["2031-01-31T12:00:00.123456789Z", "2031-01-31T12:00:00.123Z"],
    ["2031-01-31T12:00:00+02:00", "2031-01-31T10:00:00.000Z"],
    ["2031-01-31T12:00:00-05:30", "2031-01-31T17:30:00.000Z"],
    ["2032-02-29T00:00:00Z", "2032-02-29T00:00:00.000Z"],
    ["2400-02-29T00:00:00Z", "2400-02-29T00:00:00.000Z"],
    ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000Z"],
    ["2030-01-01T00:00:00.001Z", "2030-01-01T00:00:00.001Z"],
    ["2029-12-31T23:59:59-00:01", "2030-01-01T00:00:59.000Z"],
  ])("%s", (text, expected) => {
    expect(read(text)?.toISOString()).toBe(expected);
  });

  test.each([
    "2031-02-29T00:00:00Z",
    "2100-02-29T00:00:00Z",
    "2031-04-31T00:00:00Z",
    "2031-13-01T00:00:00Z",
    "2031-00-01T00:00:00Z",
    "2031-01-00T00:00:00Z",
    "2031-01-32T00:00:00Z",
    "2031-01-31T24:00:00Z",
    "2031-01-31T12:60:00Z",
    "2031-01-31T12:00:60Z",
    "2031-01-31T12:00:00+24:00",
    "2031-01-31T12:00:00+02:60",
  ])("%j is no day or time that there is", (value) => {
    expect(problem(() => read(value))).toBe("expiresAt is not a real date and time");
  });

  test.each([
    "2031-01-31T12:00:00",
    "2031-01-31T12:00Z",
    "2031-01-31",
    "2031-01-31 12:00:00Z",
    "2031-1-31T12:00:00Z",
    "31-01-2031T12:00:00Z",
    "+012031-01-31T12:00:00Z",
    "2031-01-31T12:00:00.Z",
    "2031-01-31T12:00:00.1234567890Z",
    "2031-01-31T12:00:00+0200",
    "2031-01-31T12:00:00 Z",
    "2031-01-31T12:00:00Z\n",
    " 2031-01-31T12:00:00Z",
    "2031-W05-5T12:00:00Z",
    "tomorrow",
    "never",
    "",
    "0",
    1_927_627_200_000,
    0,
    true,
    {},
    ["2031-01-31T12:00:00Z"],
    { toString: () => "2031-01-31T12:00:00Z" },
  ])("%j is refused", (value) => {
    expect(problem(() => read(value))).toBe(
      "expiresAt must be a Date or a date and time with an offset, such as 2030-01-31T12:00:00Z",
    );
  });

  test("a Date that is none, or beyond four digits of a year, is refused", () => {
    for (const date of [new Date(Number.NaN), new Date("junk")])
      expect(problem(() => read(date))).toBe("expiresAt is not a date");
    for (const date of [new Date("+010000-01-01T00:00:00Z"), "9999-12-31T23:59:59-00:01"])
      expect(problem(() => read(date))).toBe("expiresAt must be before the year 10000");
  });

  test("the past, and the present, are refused", () => {
    for (const value of [
      START,
      new Date(START.getTime() - 1),
      "2030-01-01T00:00:00Z",
      "2029-12-31T23:59:59Z",
    ])
      expect(problem(() => read(value))).toBe("expiresAt must be in the future");
    expect(read(new Date(START.getTime() + 1))).toEqual(new Date(START.getTime() + 1));
  });

  test("none is null, and a Date is copied", () => {
    expect([read(undefined), read(null)]).toEqual([null, null]);
    const date = new Date("2031-01-01T00:00:00Z");
    const copy = read(date);
    date.setTime(0);
    expect(copy?.toISOString()).toBe("2031-01-01T00:00:00.000Z");
  });

  test("property: every moment of the calendar is read, whatever its offset", () => {
    const from = new Date("2030-01-02T00:00:00Z");
    const to = new Date("9999-12-30T00:00:00Z");
    const pad = (value: number) => String(value).padStart(2, "0");
    fc.assert(
      fc.property(
        fc.date({ min: from, max: to, noInvalidDate: true }),
        fc.integer({ min: -1439, max: 1439 }),
        (date, offset) => {
          const local = new Date(date.getTime() + offset * 60_000).toISOString().slice(0, -1);
          const zone = `${offset < 0 ? "-" : "+"}${pad(Math.floor(Math.abs(offset) / 60))}:${pad(Math.abs(offset) % 60)}`;
          expect(read(local + zone)).toEqual(date);
        },
      ),
    );
  });
});

describe("readPast", () => {
  const read = (value: unknown) => readPast("createdAt", value, START);

  test("is a moment from 1970 to now, as a Date or in RFC 3339", () => {
    expect([read(undefined), read(null)]).toEqual([null, null]);
    for (const date of [new Date(0), START]) {
      expect(read(date)).toEqual(date);
      expect(read(date.toISOString())).toEqual(date);
    }
    expect(read("2020-02-29T12:00:00+01:00")?.toISOString()).toBe("2020-02-29T11:00:00.000Z");
  });

  test.each<[unknown, string]>([
    [new Date(START.getTime() + 1), "createdAt must not be in the future"],
    ["1969-12-31T23:59:59Z", "createdAt must not be before 1970"],
    [new Date(-1), "createdAt must not be before 1970"],
    [new Date(Number.NaN), "createdAt is not a date"],
    ["2021-02-29T00:00:00Z", "createdAt is not a real date and time"],
  ])("%j is refused", (value, expected) => {
    expect(problem(() => read(value))).toBe(expected);
  });
});

describe("filters and pages", () => {
  test("a filter is a text; one that is there and undefined would list the keys of everybody", () => {
    const check = (query: object) => checkFilter("list", query, ["ownerId", "limit"]);
    expect(check({ ownerId: "acme", limit: 5 })).toBeUndefined();
    expect(problem(() => check({ ownerId: undefined }))).toBe(
      "ownerId must be a text, got undefined; leave it out to list all",
    );
    expect(problem(() => check({ ownerId: 7 }))).toMatch(
      /^ownerId must be a text, got a value of type number/,
    );
    expect(problem(() => check({ owner: "acme" }))).toMatch(/^owner is not a member that list knows/);
  });

  test("a page has 1 to 1000 items, 50 when nobody says", () => {
    expect([readLimit(undefined), readLimit(1), readLimit(1_000)]).toEqual([50, 1, 1_000]);
    for (const limit of [0, 1_001, 1.5, "5", null, Number.NaN]) {
      expect(problem(() => readLimit(limit))).toBe("limit must be a whole number from 1 to 1000");
    }
  });
});

describe("readEnvironment", () => {
  const of = (...environments: string[]): KeyFormat => ({ environments, parse: () => undefined });

  test("is one of the format's, which the only one needs not be asked for", () => {
    expect(readEnvironment("test", of("live", "test"))).toBe("test");
    expect(readEnvironment(undefined, of("live"))).toBe("live");
    for (const value of [undefined, null, "prod", ["live"], ""]) {
      expect(problem(() => readEnvironment(value, of("live", "test")))).toBe(
        "environment must be one of live, test",
      );
    }
    expect(problem(() => readEnvironment("prod", of("live")))).toBe("environment must be one of live");
    expect(problem(() => readEnvironment(null, of("live")))).toBe("environment must be one of live");
  });

  test("is the host's own name, or none, for a format without any", () => {
    const none: KeyFormat = { parse: () => undefined };
    expect([readEnvironment(undefined, none), readEnvironment(null, none)]).toEqual([null, null]);
    expect(readEnvironment("staging", none)).toBe("staging");
    expect(problem(() => readEnvironment("", none))).toBe("environment must not be empty");
  });
});

describe("texts", () => {
  test.each([
    ["a NUL", "a\0b"],
    ["a line break", "a\nb"],
    ["a carriage return", "a\rb"],
    ["a tab", "a\tb"],
    ["an escape", "a\u001b[31mb"],
    ["DEL", "a\u007fb"],
    ["a C1 control", "a\u0085b"],
    ["a line separator", "a\u2028b"],
    ["a paragraph separator", "a\u2029b"],
    ["a lone surrogate", "a\ud800b"],
  ])("%s is refused", (_, text) => {
    expect(problem(() => readText("name", text))).toBe("name must not have control characters");
    expect(problem(() => readId("ownerId", text))).toBe("ownerId must not have control characters");
  });

  test("255 characters are enough", () => {
    for (const character of ["a", "é", "車"]) {
      expect(readText("name", character.repeat(255))).toHaveLength(255);
      expect(problem(() => readText("name", character.repeat(256)))).toBe(
        "name must have at most 255 characters",
      );
      expect(readId("ownerId", character.repeat(255))).toHaveLength(255);
      expect(problem(() => readId("ownerId", character.repeat(256)))).toMatch(/at most 255/);
    }
  });

  test("other alphabets and emoji are kept as they are", () => {
    for (const text of ["Fuhrpark Süd", "車両", "🚚", "a b", "'; drop table keys; --", "<b>"]) {
      expect(readText("name", text)).toBe(text);
    }
  });

  test("a name may be absent or empty, an id may not", () => {
    expect([readText("name", undefined), readText("name", null), readText("name", "")]).toEqual([
      null,
      null,
      "",
    ]);
    expect(problem(() => readId("ownerId", ""))).toBe("ownerId must not be empty");
    for (const value of [undefined, null, 7, {}, ["a"], true]) {
      expect(problem(() => readId("ownerId", value))).toMatch(/^ownerId must be a text, got /);
      if (value !== undefined && value !== null)
        expect(problem(() => readText("name", value))).toMatch(/^name must/);
    }
  });
});

describe("readScopes", () => {
  const read = (value: unknown) => readScopes("scopes", value, scopes);

  test("each once, in the order given, frozen", () => {
    const result = read(["vehicles:write", "drivers:read", "vehicles:write"]);
    expect(result).toEqual(["vehicles:write", "drivers:read"]);
    expect(Object.isFrozen(result)).toBe(true);
    expect(read([])).toEqual([]);
  });

  test.each([
    [["vehicles:read", "nope"], 'scopes[1] is not a defined scope: "nope"'],
    [["reports:read"], 'scopes[0] is planned and cannot be granted yet: "reports:read"'],
    [["constructor"], 'scopes[0] is not a defined scope: "constructor"'],
    [["*"], 'scopes[0] is not a defined scope: "*"'],
    [["Vehicles:read"], 'scopes[0] is not a defined scope: "Vehicles:read"'],
    [[""], 'scopes[0] is not a defined scope: ""'],
    [[7], "scopes[0] is not a defined scope"],
    [[null], "scopes[0] is not a defined scope"],
    [[undefined], "scopes[0] is not a defined scope"],
    [[["vehicles:read"]], "scopes[0] is not a defined scope"],
    ["vehicles:read", "scopes must be a list of scopes, got a value of type string"],
    [undefined, "scopes must be a list of scopes, got undefined"],
    [null, "scopes must be a list of scopes, got null"],
    [{ 0: "vehicles:read" }, "scopes must be a list of scopes, got a value of type object"],
    [["trucks2:read"], 'scopes[0] is not a defined scope: "trucks2:read"'],
    [["x".repeat(128)], `scopes[0] is not a defined scope: "${"x".repeat(128)}"`],
    [["x".repeat(129)], "scopes[0] is not a defined scope"],
    [["ezt_live_0123456789ABCDEFGHIJKLMN"], "scopes[0] is not a defined scope"],
    [["abcdefghijklmnopqrstuvw1"], "scopes[0] is not a defined scope"],
  ])("%j", (value, expected) => {
    expect(problem(() => read(value))).toBe(expected);
  });

  test("a hole in the list is refused", () => {
    const list = ["vehicles:read"];
    list[2] = "drivers:read";
    expect(problem(() => read(list))).toBe("scopes[1] is not a defined scope");
  });
});

describe("readAllowlist", () => {
  const read = (value: unknown) => readAllowlist("ipAllowlist", value);

  test("none is null, empty stays empty, and the list is a frozen copy", () => {
    expect([read(undefined), read(null)]).toEqual([null, null]);
    expect(read([])).toEqual([]);
    const list = ["10.0.0.0/8", "2001:db8::/32", "203.0.113.7"];
    const result = read(list);
    expect(result).toEqual(list);
    expect(result).not.toBe(list);
    expect(Object.isFrozen(result)).toBe(true);
  });

  test.each([
    [["10.0.0.0/8", "10.0.0.0/33"], /^ipAllowlist\[1\] has no prefix length/],
    [["10.0.0.5/8"], /^ipAllowlist\[0\] .*10\.0\.0\.0\/8/],
    [["010.0.0.1"], /^ipAllowlist\[0\] is not an IP address/],
    [["localhost"], /^ipAllowlist\[0\] /],
    [["loopback"], /^ipAllowlist\[0\] /],
    [["*"], /^ipAllowlist\[0\] /],
    [[null], /^ipAllowlist\[0\] must be a text/],
    [[["10.0.0.0/8"]], /^ipAllowlist\[0\] must be a text/],
    ["10.0.0.0/8", /^ipAllowlist must be a list/],
    [{}, /^ipAllowlist must be a list/],
    [false, /^ipAllowlist must be a list/],
    [new Array(1_001).fill("10.0.0.1"), /^ipAllowlist must have at most 1000/],
  ])("%j", (value, expected) => {
    expect(problem(() => read(value))).toMatch(expected);
  });

  test("1,000 networks are fine", () => {
    expect(read(new Array(1_000).fill("10.0.0.1"))).toHaveLength(1_000);
  });

  test("a hole in the list is refused", () => {
    const list = ["10.0.0.1"];
    list[2] = "10.0.0.2";
    expect(problem(() => read(list))).toMatch(/^ipAllowlist\[1\] /);
  });
});

describe("readRateLimit", () => {
  const read = (value: unknown) => readRateLimit("rateLimit", value);

  test("none is null; a limit is a frozen copy", () => {
    expect([read(undefined), read(null)]).toEqual([null, null]);
    const result = read({ limit: 5, windowSeconds: 60 });
    expect(result).toEqual({ limit: 5, windowSeconds: 60 });
    expect(Object.isFrozen(result)).toBe(true);
    expect(read({ limit: 1, windowSeconds: 1 })).toEqual({ limit: 1, windowSeconds: 1 });
  });

  test.each([
    [{ limit: 0, windowSeconds: 60 }, "rateLimit.limit must be a whole number above 0"],
    [{ limit: -1, windowSeconds: 60 }, "rateLimit.limit must be a whole number above 0"],
    [{ limit: 1.5, windowSeconds: 60 }, "rateLimit.limit must be a whole number above 0"],
    [{ limit: Number.NaN, windowSeconds: 60 }, "rateLimit.limit must be a whole number above 0"],
    [
      { limit: Number.POSITIVE_INFINITY, windowSeconds: 60 },
      "rateLimit.limit must be a whole number above 0",
    ],
    [{ limit: 2 ** 53, windowSeconds: 60 }, "rateLimit.limit must be a whole number above 0"],
    [{ limit: "5", windowSeconds: 60 }, "rateLimit.limit must be a whole number above 0"],
    [{ limit: 5 }, "rateLimit.windowSeconds must be a whole number above 0"],
    [{ limit: 5, windowSeconds: 0 }, "rateLimit.windowSeconds must be a whole number above 0"],
    [{ limit: 5, windowSeconds: "1m" }, "rateLimit.windowSeconds must be a whole number above 0"],
    [{}, "rateLimit.limit must be a whole number above 0"],
    [5, "rateLimit needs an object, got a value of type number"],
    ["5/m", "rateLimit needs an object, got a value of type string"],
    [[], "rateLimit needs an object, got an array"],
    [
      { limit: 5, windowSeconds: 60, window: 1 },
      "window is not a member that rateLimit knows; it knows limit, windowSeconds",
    ],
  ])("%j", (value, expected) => {
    expect(problem(() => read(value))).toBe(expected);
  });
});

describe("readMetadata", () => {
  const read = (value: unknown) => readMetadata("metadata", value);

  test("property: every JSON object that is small enough comes back as it was, frozen", () => {
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

  test("is a copy, frozen to the ground", () => {
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

  test.each<[string, unknown, RegExp]>([
    [
      "a name like a secret",
      { ezt_live_0123456789ABCDEFGHIJKLMN: undefined },
      /^metadata\."ezt_live_012…" must hold/,
    ],
    ["undefined inside", { a: undefined }, /^metadata\.a must hold JSON values only, got undefined$/],
    ["a function", { a: { b: () => 1 } }, /^metadata\.a\.b must hold JSON values only/],
    ["a bigint", { a: [1n] }, /^metadata\.a\[0\] must hold JSON values only/],
    ["NaN", { a: Number.NaN }, /^metadata\.a must hold/],
    ["infinity", { a: Number.POSITIVE_INFINITY }, /^metadata\.a must hold/],
    ["a symbol", { a: Symbol("a") }, /^metadata\.a must hold/],
    ["a Date", { a: new Date() }, /^metadata\.a must hold/],
    ["a Map", { a: new Map() }, /^metadata\.a must hold/],
    ["a Buffer", { a: Buffer.from("a") }, /^metadata\.a must hold/],
    ["a class", { a: new (class A {})() }, /^metadata\.a must hold/],
    ["toJSON", { a: { toJSON: () => 1 } }, /^metadata\.a\.toJSON must hold/],
    ["a hole", { a: hole }, /^metadata\.a\[0\] must hold/],
    ["__proto__ at the top", JSON.parse('{"__proto__":{"admin":true}}'), /must not have a member __proto__/],
    ["__proto__ inside", JSON.parse('{"a":[{"__proto__":1}]}'), /must not have a member __proto__/],
    ["a circle", circular, /is nested too deeply/],
    ["ten levels", nested(10), /is nested too deeply/],
    ["ten levels of lists", { a: listed(9) }, /is nested too deeply/],
    ["a NUL", { a: ["a\0b"] }, /^metadata\.a\[0\] must not have NUL characters or lone surrogates$/],
    ["half a surrogate pair", { a: "\ud83d" }, /^metadata\.a must not have NUL characters or lone/],
    ["a name with a NUL", { "a\0": 1 }, /^metadata must not have NUL characters or lone surrogates$/],
    ["101 members", members(101), /^metadata must have at most 100 members, got 101$/],
    ["10,000 members", members(10_000), /^metadata must have at most 100 members, got 10000$/],
    ["10,000 members inside", { a: members(10_000) }, /^metadata must be at most 16384 bytes/],
    ["16 KiB of ASCII", { a: "x".repeat(16_384) }, /^metadata must be at most 16384 bytes/],
    ["16 KiB in UTF-8", { a: "é".repeat(8_192) }, /^metadata must be at most 16384 bytes/],
    ["a list", [1], /^metadata must be an object, got an array$/],
    ["a text", "a", /^metadata must be an object/],
    ["a number", 7, /^metadata must be an object/],
    ["a Map", new Map([["a", 1]]), /^metadata must be an object/],
    ["a Date", new Date(), /^metadata must be an object/],
  ])("%s is refused", (_, value, expected) => {
    expect(problem(() => read(value))).toMatch(expected);
  });

  test.each(["a\nb", "a\r\nb", "\u001b[2J", "a.b", "a b", "x".repeat(1_000)])(
    "a member named %j stands in the path on one line, and shortened",
    (name) => {
      const deep = (depth: number): object => (depth === 0 ? {} : { [name]: deep(depth - 1) });
      for (const value of [deep(10), { [name]: Number.NaN }, { a: { [name]: [() => {}] } }]) {
        const error = caught(() => read(value));
        for (const text of [error.message, error.path]) {
          expect(text).not.toMatch(/\p{Cc}/u);
          expect(text.length).toBeLessThan(1_000);
        }
      }
      const shown = name.length > 12 ? `"${name.slice(0, 12)}…"` : JSON.stringify(name);
      expect(caught(() => read({ [name]: Number.NaN })).path).toBe(`metadata.${shown}`);
    },
  );

  test("the limits themselves are fine", () => {
    expect(Object.keys(read(members(100)) ?? {})).toHaveLength(100);
    const text = "x".repeat(16_384 - '{"a":""}'.length);
    expect(read({ a: text })).toEqual({ a: text });
    expect(read(nested(8))).toEqual(nested(8));
    expect(read({ a: listed(7) })).toEqual({ a: listed(7) });
    expect(read({ "🚚": "🚚" })).toEqual({ "🚚": "🚚" });
  });

  test("polluted input pollutes nothing", () => {
    problem(() => read(JSON.parse('{"__proto__":{"admin":true}}')));
    const result = read(JSON.parse('{"constructor":{"prototype":{"admin":true}}}'));
    expect(JSON.stringify(result)).toBe('{"constructor":{"prototype":{"admin":true}}}');
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });
});

describe("what a caller sent, in an error", () => {
  test.each(["a\nFORGED LOG LINE", "\u2028", "\u202ename", "x".repeat(1_000_000)])("%#", (name) => {
    const message = problem(() => checkInput("create", { [name]: 1 }, ["ownerId"]));
    expect(message).toMatch(/^[\x20-\x7e…]{1,200}$/);
  });
});
