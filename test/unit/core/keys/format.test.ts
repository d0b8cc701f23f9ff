import { describe, expect, test } from "vitest";
import { isGenerated, startOf } from "../../../../src/core/keys/format.js";
import { keyFormat } from "../../../../src/index.js";
import { checksum, format } from "../fixtures.js";

const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const HEX = "0123456789abcdef";

describe("keyFormat", () => {
  test("generates prefix, environment, 32 random characters and a checksum", () => {
    const secret = format.generate("live");
    expect(secret).toMatch(/^ezt_live_[0-9A-Za-z]{38}$/);
    expect(secret.slice(-6)).toBe(checksum(secret.slice(0, -6)));
    expect(format.parse(secret)).toEqual({ environment: "live" });
    expect(format.start(secret)).toBe(secret.slice(0, "ezt_live_".length + 4));
  });

  test("rejects a checksum with a character that is not base62", () => {
    // Such characters map to 255 = 4 * 62 + 7. A decoder that took 255 for a digit would accept these checksums.
    const collide = (secret: string) => {
      const tens = BASE62.indexOf(secret.at(-2) as string);
      return secret.endsWith("7") && tens >= 4 ? `${secret.slice(0, -2)}${BASE62[tens - 4]}` : undefined;
    };
    let begin: string | undefined;
    while (begin === undefined) begin = collide(format.generate("live"));
    for (const character of ["_", "~", "é", "\0"]) expect(format.parse(begin + character)).toBeUndefined();
  });

  test("the checksum covers prefix and environment", () => {
    const body = format.generate("live").slice("ezt_live_".length);
    expect(format.parse(`ezt_test_${body}`)).toBeUndefined();
    const other = keyFormat({ prefix: "ezu", environments: ["live"] });
    expect(other.parse(`ezu_live_${body}`)).toBeUndefined();
  });

  test("accepts a prefix with underscores, and keeps prefixes apart that start alike", () => {
    const long = keyFormat({ prefix: "my_app_v2", environments: ["live"] });
    expect(long.parse(long.generate("live"))).toEqual({ environment: "live" });
    const short = keyFormat({ prefix: "my_app" });
    expect(short.parse(long.generate("live"))).toBeUndefined();
    expect(short.parse(short.generate())).toEqual({ environment: undefined });
  });

  test("parses keys without a prefix, such as the 32 hex digits of an older system", () => {
    const legacy = keyFormat({ alphabet: "hex", length: 32, checksum: false });
    const secret = "0123456789abcdef0123456789abcdef";
    expect(legacy.parse(secret)).toEqual({ environment: undefined });
    expect(legacy.generate()).toMatch(/^[0-9a-f]{32}$/);
    expect(legacy.start(secret)).toBe("0123");
    expect(legacy.environments).toBeUndefined();
    for (const wrong of [
      secret.toUpperCase(),
      secret.slice(1),
      `${secret}0`,
      `${secret.slice(1)}g`,
      `${secret.slice(1)}\u0130`,
      `${secret.slice(1)}\u0661`,
    ]) {
      expect(legacy.parse(wrong)).toBeUndefined();
    }
  });

  test("rejects an environment of another format and lists its own", () => {
    expect(() => format.generate("staging" as never)).toThrow(
      new TypeError(
        'keyFormat: cannot generate a secret for environment "staging"; this format has live, test',
      ),
    );
    expect(() => format.generate()).toThrow(
      new TypeError("keyFormat: cannot generate a secret for no environment; this format has live, test"),
    );
    expect(() => format.generate("constructor" as never)).toThrow(TypeError);
    const bare = keyFormat({ prefix: "ezt" });
    expect(() => bare.generate("live")).toThrow(
      new TypeError(
        'keyFormat: cannot generate a secret for environment "live"; this format has no environments',
      ),
    );
  });

  test("random characters have no bias, even if the size of the alphabet does not divide 256", () => {
    for (const alphabet of [BASE62, HEX, "ABCDEFGHJKMNPQRSTVWXYZ23456789"]) {
      const own = keyFormat({ alphabet, length: 250, checksum: false });
      const counts = new Map<string, number>();
      for (let i = 0; i < 800; i++)
        for (const character of own.generate()) counts.set(character, (counts.get(character) ?? 0) + 1);
      const expected = (250 * 800) / alphabet.length;
      let chiSquare = 0;
      for (const character of alphabet)
        chiSquare += ((counts.get(character) ?? 0) - expected) ** 2 / expected;
      // Modulo bias would give more than 1,000. By chance, this bound is exceeded less than once in a million runs.
      const freedom = alphabet.length - 1;
      expect(chiSquare).toBeLessThan(freedom + 7 * Math.sqrt(2 * freedom));
    }
  });

  test("start returns four characters of a string in another format", () => {
    expect(format.start("acct-1234")).toBe("acct");
  });

  test("parses secrets with the longest prefix, environment and random part", () => {
    const own = keyFormat({ prefix: "p".repeat(32), environments: ["e".repeat(32)], length: 256 });
    const secret = own.generate("e".repeat(32));
    expect(secret).toHaveLength(32 + 1 + 32 + 1 + 256 + 6);
    expect(own.parse(secret)).toBeDefined();
  });

  test("is frozen and copies the array of environments", () => {
    const environments = ["live"];
    const own = keyFormat({ prefix: "x", environments });
    environments.push("test");
    expect(own.environments).toEqual(["live"]);
    expect(Object.isFrozen(own)).toBe(true);
    expect(Object.isFrozen(own.environments)).toBe(true);
    const parsed = own.parse(own.generate("live"));
    expect(Object.isFrozen(parsed)).toBe(true);
  });

  test.each([
    ["an unknown option", { prefx: "ezt" }, /"prefx"/],
    ["an empty prefix", { prefix: "" }, /"prefix"/],
    ["a prefix with a hyphen", { prefix: "e-z" }, /"prefix"/],
    ["a prefix that ends in an underscore", { prefix: "ezt_" }, /"prefix"/],
    ["a prefix with two underscores", { prefix: "e__t" }, /"prefix"/],
    ["a prefix that begins with a digit", { prefix: "1ezt" }, /"prefix"/],
    ["a prefix of 33 characters", { prefix: "e".repeat(33) }, /"prefix"/],
    ["a number as prefix", { prefix: 7 }, /"prefix"/],
    ["an array as prefix", { prefix: ["ezt"] }, /"prefix"/],
    ["environments without a prefix", { environments: ["live"] }, /"environments"/],
    ["an empty array of environments", { prefix: "ezt", environments: [] }, /"environments"/],
    ["the same environment twice", { prefix: "ezt", environments: ["live", "live"] }, /"environments"/],
    ["an environment with an underscore", { prefix: "ezt", environments: ["a_b"] }, /"environments"/],
    [
      "a valid environment and an invalid one",
      { prefix: "ezt", environments: ["live", "a_b"] },
      /"environments"/,
    ],
    ["an environment of 33 characters", { prefix: "ezt", environments: ["e".repeat(33)] }, /"environments"/],
    ["a number as environment", { prefix: "ezt", environments: [7] }, /"environments"/],
    ["a string as environments", { prefix: "ezt", environments: "live" }, /"environments"/],
    ["an alphabet of one character", { alphabet: "a", length: 256 }, /"alphabet"/],
    ["a number as alphabet", { alphabet: 77, length: 256 }, /"alphabet"/],
    ["an array as alphabet", { alphabet: ["0123456789abcdef"] }, /"alphabet"/],
    ["an alphabet with a repetition", { alphabet: "abcdefa", length: 64 }, /"alphabet"/],
    ["an alphabet with a space", { alphabet: "ab cdefghijk", length: 64 }, /"alphabet"/],
    ["an alphabet with =", { alphabet: "abcdefghijk=", length: 64 }, /"alphabet"/],
    ["a member of Object.prototype as alphabet", { alphabet: "toString", length: 64 }, /"alphabet"/],
    ["21 base62 characters", { length: 21 }, /needs? 22 characters/],
    ["31 hex characters", { alphabet: "hex", length: 31 }, /needs? 32 characters/],
    ["257 characters", { length: 257 }, /"length"/],
    ["a fraction as length", { length: 32.5 }, /"length"/],
    ["a string as length", { length: "32" }, /"length"/],
    ["NaN as length", { length: Number.NaN }, /"length"/],
    ["a string as checksum", { checksum: "yes" }, /"checksum"/],
    ["null as checksum", { checksum: null }, /"checksum"/],
    ["undefined as options", undefined, /options object/],
  ])("rejects %s", (_, choice, message) => {
    const make = () => keyFormat(choice as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
    expect(make).toThrow(/^keyFormat: /);
  });
});

test("parses a secret at the end of a longer text", () => {
  const secret = format.generate("test");
  expect(format.parse(`Bearer ${secret}`, 7)).toEqual({ environment: "test" });
  expect(format.parse(`Bearer ${secret}`, 6)).toBeUndefined();
  expect(format.parse(`Bearer ${secret}`)).toBeUndefined();
  expect(format.parse(`Bearer ${secret},`, 7)).toBeUndefined();
});

test("accepts random parts of every length, and rejects a wrong character at every place", () => {
  for (let length = 22; length <= 29; length++) {
    for (const checksum of [true, false]) {
      const choice = keyFormat({ prefix: "p", length, checksum });
      const secret = choice.generate();
      expect(choice.parse(secret)).toEqual({});
      for (let i = "p_".length; i < secret.length; i++) {
        for (const wrong of ["_", "é", "\u0141", "\ud800", String.fromCharCode(secret.charCodeAt(i) + 128)]) {
          expect(choice.parse(secret.slice(0, i) + wrong + secret.slice(i + 1))).toBeUndefined();
        }
      }
    }
  }
});

test("rejects characters whose codes are all 0", () => {
  const legacy = keyFormat({ alphabet: "hex", length: 32, checksum: false });
  expect(legacy.parse("\0".repeat(32))).toBeUndefined();
});

test.each<[unknown, string]>([
  [31, "31"],
  [Number.NaN, "NaN"],
  ["32", "a string"],
  [null, "null"],
])("names the length %j in the error", (length, received) => {
  expect(() => keyFormat({ alphabet: "hex", length: length as never })).toThrow(
    'keyFormat: "length" must be an integer from 32 to 256: 128 random bits need 32 characters of this alphabet; ' +
      `received ${received}`,
  );
});

test("isGenerated is false for a wrapped format", () => {
  expect(isGenerated(format)).toBe(true);
  expect(isGenerated({ ...format })).toBe(false);
});

test("startOf returns four characters for a format without `start`", () => {
  expect(startOf({ parse: () => ({}) }, "acct-1234")).toBe("acct");
  expect(startOf({ parse: () => ({}), start: (secret) => secret.slice(0, 6) }, "acct-1234")).toBe("acct-1");
});
