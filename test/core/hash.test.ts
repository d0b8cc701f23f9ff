import { createHash, createHmac } from "node:crypto";
import { inspect } from "node:util";
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { createHashers, sameHash } from "../../src/core/hash.js";
import { hashSecret, StoreError } from "../../src/index.js";

const V1 = "first pepper of 32 bytes, or so!";
const V2 = "second pepper of 32 bytes, or so";

afterEach(() => vi.restoreAllMocks());

const hmac = (pepper: string, secret: string) => createHmac("sha256", pepper).update(secret).digest("hex");

describe("hashSecret", () => {
  test("is SHA-256 in hex, as in FIPS 180-2", () => {
    expect(hashSecret("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1 }), (secret) => {
        expect(hashSecret(secret)).toBe(createHash("sha256").update(secret).digest("hex"));
      }),
    );
  });

  test("with a pepper it is HMAC-SHA-256 behind the pepper's version", () => {
    expect(hashSecret("abc", V1)).toBe(`v1:${hmac(V1, "abc")}`);
    expect(hashSecret("abc", { current: "v2", keys: { v1: V1, v2: V2 } })).toBe(`v2:${hmac(V2, "abc")}`);
    expect(hashSecret("abc", "pfeffer mit ümlaut, lang genug")).toBe(
      `v1:${hmac("pfeffer mit ümlaut, lang genug", "abc")}`,
    );
  });

  test.each([[""], [undefined], [null], [7], [["abc"]]])("refuses %j for a secret", (secret) => {
    expect(() => hashSecret(secret as never)).toThrow(TypeError);
  });
});

describe("peppers", () => {
  test("the current one comes first, then the others, the newest first; none twice", () => {
    const hashers = createHashers({ current: "v2", keys: { v1: V1, v2: V2, v3: `${V1}3` } });
    expect(hashers.map((hash) => String(hash("abc")).split(":")[0])).toEqual(["v2", "v3", "v1"]);
    expect(createHashers(V1)).toHaveLength(1);
    expect(createHashers(undefined)).toHaveLength(1);
  });

  test("keys from before there was a pepper are looked for last, and only when asked for", () => {
    const pepper = { current: "v1", keys: { v1: V1 } };
    expect(createHashers(pepper)).toHaveLength(1);
    const hashers = createHashers({ ...pepper, unpeppered: true });
    expect(hashers.map((hash) => hash("abc"))).toEqual([hashSecret("abc", pepper), hashSecret("abc")]);
  });

  test.each([
    ["an empty one", ""],
    ["null", null],
    ["a number", 7],
    ["no keys", { current: "v1" }],
    ["keys of null", { current: "v1", keys: null }],
    ["a current version without a key", { current: "v2", keys: { v1: V1 } }],
    ["a current version from Object.prototype", { current: "toString", keys: { v1: V1 } }],
    ["an empty key", { current: "v1", keys: { v1: V1, v2: "" } }],
    [
      "a key that is undefined, as from an unset variable",
      { current: "v1", keys: { v1: V1, v2: undefined } },
    ],
    ["a version with a colon", { current: "v:1", keys: { "v:1": V1 } }],
    ["a version of 33 characters", { current: "v".repeat(33), keys: { ["v".repeat(33)]: V1 } }],
    ["an unknown member", { current: "v1", keys: { v1: V1 }, key: V1 }],
    ["an unpeppered that is no boolean", { current: "v1", keys: { v1: V1 }, unpeppered: "no" }],
  ])("refuses %s", (_, pepper) => {
    expect(() => createHashers(pepper as never)).toThrow(TypeError);
    expect(() => hashSecret("abc", pepper as never)).toThrow(TypeError);
  });

  test("no error prints a pepper", () => {
    try {
      createHashers({ current: "v2", keys: { v1: V1, v3: "" } });
      expect.unreachable();
    } catch (error) {
      expect(inspect(error)).not.toContain(V1);
    }
  });

  test("a short one is a warning with a code, which does not print it", () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    createHashers("fifteen bytes!!");
    expect(warn).toHaveBeenCalledOnce();
    expect(warn.mock.calls[0]?.[1]).toMatchObject({ code: "KEYBEARER_SHORT_PEPPER" });
    expect(String(warn.mock.calls[0]?.[0])).not.toContain("fifteen bytes");
    createHashers("sixteen bytes!!!");
    createHashers("äääääääá"); // eight characters of two bytes
    expect(warn).toHaveBeenCalledOnce();
  });
});

describe("legacy hashes", () => {
  const legacy = (hash: unknown, name: unknown = "old") => [{ name, hash }] as never;

  test("come behind the peppers, and carry their name", async () => {
    const hashers = createHashers(V1, [
      { name: "old", hash: (secret) => `${secret}=` },
      { name: "older", hash: async (secret) => (secret === "abc" ? "$2b$10$salted" : undefined) },
    ]);
    expect(hashers[1]?.("abc")).toBe("old:abc=");
    expect(await hashers[2]?.("abc")).toBe("older:$2b$10$salted");
    expect(await hashers[2]?.("abd")).toBeUndefined();
  });

  test("an identity cannot let a stolen hash pass for a secret", () => {
    const hashers = createHashers(undefined, [{ name: "plaintext", hash: (secret) => secret }]);
    const stolen = hashSecret("abc");
    expect(hashers.map((hash) => hash(stolen))).not.toContain(stolen);
  });

  test.each([[""], ["with space"], ["a\0b"], ["é"], ["x".repeat(191)], [7], [null], [{}]])(
    "an answer of %j is a StoreError without it",
    async (answer) => {
      const [, old] = createHashers(
        undefined,
        legacy(() => answer),
      );
      expect(() => old?.("abc")).toThrow(
        new StoreError('The legacy hash "old" answered something that is no hash'),
      );
      const [, later] = createHashers(
        undefined,
        legacy(async () => answer),
      );
      await expect(later?.("abc")).rejects.toThrow(StoreError);
    },
  );

  test.each([
    ["no list", { name: "old", hash: () => "" }],
    ["no function", legacy("sha512")],
    ["no hash", legacy(undefined)],
    ["no name", legacy(() => "", "")],
    ["a name with a colon", legacy(() => "", "a:b")],
    ["the name of a pepper", legacy(() => "", "v1")],
    ["a name twice", [...legacy(() => ""), ...legacy(() => "")]],
    ["an unknown member", [{ name: "old", hash: () => "", salt: "" }]],
    ["null", null],
    ["a list of null", [null]],
  ])("refuses %s", (_, hashes) => {
    expect(() => createHashers(V1, hashes as never)).toThrow(TypeError);
  });
});

describe("sameHash", () => {
  test("property: is equality", () => {
    const texts = fc.string({ maxLength: 5 });
    const pairs = fc.oneof(
      fc.tuple(texts, texts),
      texts.map((text): [string, string] => [text, text]),
    );
    fc.assert(
      fc.property(pairs, ([a, b]) => {
        expect(sameHash(a, b)).toBe(a === b);
      }),
    );
  });

  test("sees a difference in any one character", () => {
    const hash = hashSecret("abc");
    for (let at = 0; at < hash.length; at++) {
      const other = hash.slice(0, at) + (hash[at] === "0" ? "1" : "0") + hash.slice(at + 1);
      expect(sameHash(hash, other)).toBe(false);
    }
  });
});
