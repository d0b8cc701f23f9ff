import { describe, expect, it } from "vitest";
import {
  checkFilters,
  checkMembers,
  readAllowlist,
  readEnvironment,
  readId,
  readInputDuration,
  readLabel,
  readLimit,
  readRateLimit,
  readScopes,
} from "../../../../src/core/manager/input.js";
import type { KeyFormat } from "../../../../src/index.js";
import { scopes } from "../fixtures.js";
import { problemOf } from "./input-error.js";

describe("readInputDuration", () => {
  it("returns milliseconds, and rejects anything else with examples", () => {
    expect(readInputDuration("overlap", "24h")).toBe(86_400_000);
    expect(readInputDuration("overlap", "0s")).toBe(0);
    for (const value of ["24", 24, null, undefined, "36501d"]) {
      expect(problemOf(() => readInputDuration("overlap", value))).toMatch(
        /^overlap must be a duration such as "250ms"/,
      );
    }
  });
});

describe("checkMembers", () => {
  const check = (input: unknown) => checkMembers("create", input, ["a", "b"]);

  it("names the unknown member and the known ones", () => {
    expect(check({ a: 1, b: undefined })).toBeUndefined();
    expect(check({})).toBeUndefined();
    expect(problemOf(() => check({ a: 1, c: undefined }))).toBe(
      "c is not a known member of create; known members are a, b",
    );
    expect(problemOf(() => check(JSON.parse('{"__proto__":{}}')))).toMatch(
      /^__proto__ is not a known member/,
    );
  });

  it.each([
    [undefined, "create must be an object; received undefined"],
    [null, "create must be an object; received null"],
    [[], "create must be an object; received an array"],
    ["hunter2", "create must be an object; received a string"],
    [() => {}, "create must be an object; received a function"],
  ])("rejects %j", (input, expected) => {
    expect(problemOf(() => check(input))).toBe(expected);
  });
});

describe("an unknown member name", () => {
  it.each(["a\nFORGED LOG LINE", "\u2028", "\u202ename", "x".repeat(1_000_000)])(
    "is quoted and shortened in the error: case %#",
    (name) => {
      const message = problemOf(() => checkMembers("create", { [name]: 1 }, ["ownerId"]));
      expect(message).toMatch(/^[\x20-\x7e…]{1,200}$/);
    },
  );
});

describe("checkFilters and readLimit", () => {
  it("rejects a filter that is not a string, even if it is undefined", () => {
    const check = (query: object) => checkFilters("list", query, ["ownerId", "limit"]);
    expect(check({ ownerId: "acme", limit: 5 })).toBeUndefined();
    expect(problemOf(() => check({ ownerId: undefined }))).toBe(
      "ownerId must be a string; received undefined; omit it to list all",
    );
    expect(problemOf(() => check({ ownerId: 7 }))).toMatch(/^ownerId must be a string; received a number/);
    expect(problemOf(() => check({ owner: "acme" }))).toMatch(/^owner is not a known member of list/);
  });

  it("accepts a limit from 1 to 1000, 50 by default", () => {
    expect([readLimit(undefined), readLimit(1), readLimit(1_000)]).toEqual([50, 1, 1_000]);
  });

  it.each([
    [0, "0"],
    [1_001, "1001"],
    [1.5, "1.5"],
    ["5", "a string"],
    [null, "null"],
    [Number.NaN, "NaN"],
  ])("rejects the limit %j", (limit, received) => {
    expect(problemOf(() => readLimit(limit))).toBe(
      `limit must be an integer from 1 to 1000; received ${received}`,
    );
  });
});

describe("readEnvironment", () => {
  const of = (...environments: string[]): KeyFormat => ({ environments, parse: () => undefined });

  it("accepts an environment of the format; optional if there is only one", () => {
    expect(readEnvironment("test", of("live", "test"))).toBe("test");
    expect(readEnvironment(undefined, of("live"))).toBe("live");
    for (const value of [undefined, null, "prod", ["live"], ""]) {
      expect(problemOf(() => readEnvironment(value, of("live", "test")))).toBe(
        "environment must be one of live, test",
      );
    }
    expect(problemOf(() => readEnvironment("prod", of("live")))).toBe("environment must be one of live");
    expect(problemOf(() => readEnvironment(null, of("live")))).toBe("environment must be one of live");
  });

  it("accepts any name, or none, for a format without environments", () => {
    const bare: KeyFormat = { parse: () => undefined };
    expect([readEnvironment(undefined, bare), readEnvironment(null, bare)]).toEqual([null, null]);
    expect(readEnvironment("staging", bare)).toBe("staging");
    expect(problemOf(() => readEnvironment("", bare))).toBe("environment must not be empty");
  });
});

describe("readLabel and readId", () => {
  it.each([
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
  ])("rejects %s", (_, value) => {
    expect(problemOf(() => readLabel("name", value))).toBe("name must not contain control characters");
    expect(problemOf(() => readId("ownerId", value))).toBe("ownerId must not contain control characters");
  });

  it("accepts up to 255 characters", () => {
    for (const character of ["a", "é", "車"]) {
      expect(readLabel("name", character.repeat(255))).toHaveLength(255);
      expect(problemOf(() => readLabel("name", character.repeat(256)))).toBe(
        "name must have at most 255 characters",
      );
      expect(readId("ownerId", character.repeat(255))).toHaveLength(255);
      expect(problemOf(() => readId("ownerId", character.repeat(256)))).toMatch(/at most 255/);
    }
  });

  it("keeps other alphabets and emoji unchanged", () => {
    for (const value of ["Fuhrpark Süd", "車両", "🚚", "a b", "'; drop table keys; --", "<b>"]) {
      expect(readLabel("name", value)).toBe(value);
    }
  });

  it("accepts an absent or empty label, but not such an id", () => {
    expect([readLabel("name", undefined), readLabel("name", null), readLabel("name", "")]).toEqual([
      null,
      null,
      "",
    ]);
    expect(problemOf(() => readId("ownerId", ""))).toBe("ownerId must not be empty");
    for (const value of [undefined, null, 7, {}, ["a"], true]) {
      expect(problemOf(() => readId("ownerId", value))).toMatch(/^ownerId must be a string; received /);
      if (value !== undefined && value !== null)
        expect(problemOf(() => readLabel("name", value))).toMatch(/^name must/);
    }
  });
});

describe("readScopes", () => {
  const read = (value: unknown) => readScopes("scopes", value, scopes);

  it("returns each scope once, in the given order, frozen", () => {
    const result = read(["vehicles:write", "drivers:read", "vehicles:write"]);
    expect(result).toEqual(["vehicles:write", "drivers:read"]);
    expect(Object.isFrozen(result)).toBe(true);
    expect(read([])).toEqual([]);
  });

  it.each([
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
    ["vehicles:read", "scopes must be an array of scopes; received a string"],
    [undefined, "scopes must be an array of scopes; received undefined"],
    [null, "scopes must be an array of scopes; received null"],
    [{ 0: "vehicles:read" }, "scopes must be an array of scopes; received an object"],
    [["trucks2:read"], 'scopes[0] is not a defined scope: "trucks2:read"'],
    [["x".repeat(128)], `scopes[0] is not a defined scope: "${"x".repeat(128)}"`],
    [["x".repeat(129)], "scopes[0] is not a defined scope"],
    [["ezt_live_0123456789ABCDEFGHIJKLMN"], "scopes[0] is not a defined scope"],
    [["abcdefghijklmnopqrstuvw1"], "scopes[0] is not a defined scope"],
  ])("rejects %j", (value, expected) => {
    expect(problemOf(() => read(value))).toBe(expected);
  });

  it("rejects a sparse array", () => {
    const list = ["vehicles:read"];
    list[2] = "drivers:read";
    expect(problemOf(() => read(list))).toBe("scopes[1] is not a defined scope");
  });
});

describe("readAllowlist", () => {
  const read = (value: unknown) => readAllowlist("ipAllowlist", value);

  it("returns null for an absent list, and a frozen copy otherwise", () => {
    expect([read(undefined), read(null)]).toEqual([null, null]);
    expect(read([])).toEqual([]);
    const list = ["10.0.0.0/8", "2001:db8::/32", "203.0.113.7"];
    const result = read(list);
    expect(result).toEqual(list);
    expect(result).not.toBe(list);
    expect(Object.isFrozen(result)).toBe(true);
  });

  it.each([
    [["10.0.0.0/8", "10.0.0.0/33"], /^ipAllowlist\[1\] must have a prefix length/],
    [["10.0.0.5/8"], /^ipAllowlist\[0\] .*10\.0\.0\.0\/8/],
    [["010.0.0.1"], /^ipAllowlist\[0\] is not an IP address/],
    [["localhost"], /^ipAllowlist\[0\] /],
    [["loopback"], /^ipAllowlist\[0\] /],
    [["*"], /^ipAllowlist\[0\] /],
    [[null], /^ipAllowlist\[0\] must be a string/],
    [[["10.0.0.0/8"]], /^ipAllowlist\[0\] must be a string/],
    ["10.0.0.0/8", /^ipAllowlist must be an array of networks; received /],
    [{}, /^ipAllowlist must be an array of networks; received /],
    [false, /^ipAllowlist must be an array of networks; received /],
    [new Array(1_001).fill("10.0.0.1"), /^ipAllowlist must have at most 1000 networks; received 1001$/],
  ])("rejects %j", (value, expected) => {
    expect(problemOf(() => read(value))).toMatch(expected);
  });

  it("accepts 1,000 networks", () => {
    expect(read(new Array(1_000).fill("10.0.0.1"))).toHaveLength(1_000);
  });

  it("rejects a sparse array", () => {
    const list = ["10.0.0.1"];
    list[2] = "10.0.0.2";
    expect(problemOf(() => read(list))).toMatch(/^ipAllowlist\[1\] /);
  });
});

describe("readRateLimit", () => {
  const read = (value: unknown) => readRateLimit("rateLimit", value);

  it("returns null for an absent limit, and a frozen copy otherwise", () => {
    expect([read(undefined), read(null)]).toEqual([null, null]);
    const result = read({ limit: 5, windowSeconds: 60 });
    expect(result).toEqual({ limit: 5, windowSeconds: 60 });
    expect(Object.isFrozen(result)).toBe(true);
    expect(read({ limit: 1, windowSeconds: 1 })).toEqual({ limit: 1, windowSeconds: 1 });
  });

  it.each([
    [{ limit: 0, windowSeconds: 60 }, "rateLimit.limit must be an integer of at least 1; received 0"],
    [{ limit: -1, windowSeconds: 60 }, "rateLimit.limit must be an integer of at least 1; received -1"],
    [{ limit: 1.5, windowSeconds: 60 }, "rateLimit.limit must be an integer of at least 1; received 1.5"],
    [
      { limit: Number.NaN, windowSeconds: 60 },
      "rateLimit.limit must be an integer of at least 1; received NaN",
    ],
    [
      { limit: Number.POSITIVE_INFINITY, windowSeconds: 60 },
      "rateLimit.limit must be an integer of at least 1; received Infinity",
    ],
    [
      { limit: 2 ** 53, windowSeconds: 60 },
      "rateLimit.limit must be an integer of at least 1; received 9007199254740992",
    ],
    [
      { limit: "5", windowSeconds: 60 },
      "rateLimit.limit must be an integer of at least 1; received a string",
    ],
    [{ limit: 5 }, "rateLimit.windowSeconds must be an integer of at least 1; received undefined"],
    [{ limit: 5, windowSeconds: 0 }, "rateLimit.windowSeconds must be an integer of at least 1; received 0"],
    [
      { limit: 5, windowSeconds: "1m" },
      "rateLimit.windowSeconds must be an integer of at least 1; received a string",
    ],
    [{}, "rateLimit.limit must be an integer of at least 1; received undefined"],
    [5, "rateLimit must be an object; received a number"],
    ["5/m", "rateLimit must be an object; received a string"],
    [[], "rateLimit must be an object; received an array"],
    [
      { limit: 5, windowSeconds: 60, window: 1 },
      "window is not a known member of rateLimit; known members are limit, windowSeconds",
    ],
  ])("rejects %j", (value, expected) => {
    expect(problemOf(() => read(value))).toBe(expected);
  });
});
