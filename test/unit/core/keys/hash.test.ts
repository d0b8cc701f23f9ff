import { createHash, createHmac } from "node:crypto";
import { inspect } from "node:util";
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  createHashers,
  hashKind,
  newerVersions,
  ownHashKinds,
  sameHash,
} from "../../../../src/core/keys/hash.js";
import { hashSecret, StoreError } from "../../../../src/index.js";

const V1 = "first pepper of 32 bytes, or so!";
const V2 = "second pepper of 32 bytes, or so";

afterEach(() => vi.restoreAllMocks());

const hmac = (pepper: string, secret: string) => createHmac("sha256", pepper).update(secret).digest("hex");

describe("hashSecret", () => {
  test("is SHA-256 in hex, as in FIPS 180-2", () => {
    expect(hashSecret("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const texts = fc
      .array(fc.integer({ min: 0, max: 0xffff }), { minLength: 1 })
      .map((units) => String.fromCharCode(...units));
    fc.assert(
      fc.property(texts, (secret) => {
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
    expect(() => hashSecret(secret as never)).toThrow(new TypeError("hashSecret: the secret must be a text"));
  });
});

const NO_CURRENT = '"keys" must have a member for the version that "current" names';
const NO_VERSION = "a version is 1 to 32 of A-Z a-z 0-9 _ -";

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
    ["an empty one", "", 'version "v1" must be a text that is not empty'],
    ["null", null, "expected a text or { current, keys }, got null"],
    ["a number", 7, "expected a text or { current, keys }, got a value of type number"],
    ["no keys", { current: "v1" }, NO_CURRENT],
    ["keys of null", { current: "v1", keys: null }, NO_CURRENT],
    ["keys that are a text", { current: "length", keys: V1 }, NO_CURRENT],
    ["a current version without a key", { current: "v2", keys: { v1: V1 } }, NO_CURRENT],
    ["a current version from Object.prototype", { current: "toString", keys: { v1: V1 } }, NO_CURRENT],
    [
      "an empty key",
      { current: "v1", keys: { v1: V1, v2: "" } },
      'version "v2" must be a text that is not empty',
    ],
    [
      "a key that is undefined, as from an unset variable",
      { current: "v1", keys: { v1: V1, v2: undefined } },
      'version "v2" must be a text that is not empty',
    ],
    ["a version with a colon", { current: "v:1", keys: { "v:1": V1 } }, NO_VERSION],
    ["a version of 33 characters", { current: "v".repeat(33), keys: { ["v".repeat(33)]: V1 } }, NO_VERSION],
    [
      "an unknown member",
      { current: "v1", keys: { v1: V1 }, key: V1 },
      'unknown option "key"; known options are current, keys, unpeppered',
    ],
    [
      "an unpeppered that is no boolean",
      { current: "v1", keys: { v1: V1 }, unpeppered: "no" },
      '"unpeppered" must be true or false',
    ],
  ])("refuses %s", (_, pepper, message) => {
    const error = new TypeError(`pepper: ${message}`);
    expect(() => createHashers(pepper as never)).toThrow(error);
    expect(() => hashSecret("abc", pepper as never)).toThrow(error);
  });

  test("a version may have 32 characters, and none is a letter too many", () => {
    for (const version of ["v".repeat(32), "a-b_C9"]) {
      expect(hashSecret("abc", { current: version, keys: { [version]: V1 } })).toBe(
        `${version}:${hmac(V1, "abc")}`,
      );
    }
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
    expect(warn.mock.calls[0]?.[0]).toBe('pepper version "v1" is shorter than 16 bytes');
    createHashers("sixteen bytes!!!");
    createHashers("äääääääá"); // eight characters of two bytes
    expect(warn).toHaveBeenCalledOnce();
  });
});

const NO_LIST = '"legacyHashes" must be a list of { name, hash }';
const NO_NAME = 'legacyHashes: "name" is 1 to 32 of A-Z a-z 0-9 _ -';

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

  test("an imported hash has up to 190 characters, of all that ASCII prints", () => {
    for (const answer of ["x".repeat(190), "!~", "x"]) {
      const [, old] = createHashers(undefined, [{ name: "old", hash: () => answer }]);
      expect(old?.("abc")).toBe(`old:${answer}`);
    }
  });

  test.each([
    ["no list", { name: "old", hash: () => "" }, NO_LIST],
    ["no function", legacy("sha512"), 'legacyHashes: "hash" must be a function, got a value of type string'],
    ["no hash", legacy(undefined), 'legacyHashes: "hash" must be a function, got undefined'],
    ["no name", legacy(() => "", ""), NO_NAME],
    ["a name that is no text", legacy(() => "", ["old"]), NO_NAME],
    ["a name with a colon", legacy(() => "", "a:b"), NO_NAME],
    ["the name of a pepper", legacy(() => "", "v1"), 'legacyHashes: the name "v1" is taken'],
    ["a name twice", [...legacy(() => ""), ...legacy(() => "")], 'legacyHashes: the name "old" is taken'],
    [
      "an unknown member",
      [{ name: "old", hash: () => "", salt: "" }],
      'legacyHashes: unknown option "salt"; known options are name, hash',
    ],
    ["null", null, NO_LIST],
    ["a list of null", [null], "legacyHashes: expected an options object, got null"],
  ])("refuses %s", (_, hashes, message) => {
    expect(() => createHashers(V1, hashes as never)).toThrow(new TypeError(message));
  });

  test("the name of an older pepper is taken, too", () => {
    const pepper = { current: "v2", keys: { v1: V1, v2: V2 } };
    for (const name of ["v1", "v2"]) {
      expect(() =>
        createHashers(
          pepper,
          legacy(() => "", name),
        ),
      ).toThrow(`the name "${name}" is taken`);
    }
  });
});

describe("the kinds of hash", () => {
  const pepper = { current: "v2", keys: { v1: V1, v2: V2, v3: `${V1}3` } };

  test("a hash tells the version of its pepper or the name of its legacy hash", () => {
    expect(hashKind(hashSecret("abc"))).toBe("plain SHA-256");
    expect(hashKind(hashSecret("abc", V1))).toBe("v1");
    expect(hashKind("old:a:b")).toBe("old");
  });

  test("those of a pepper are its versions, and the plain one where it counts", () => {
    expect(ownHashKinds(undefined)).toEqual(["plain SHA-256"]);
    expect(ownHashKinds(V1)).toEqual(["v1"]);
    expect(ownHashKinds(pepper)).toEqual(["v1", "v2", "v3"]);
    expect(ownHashKinds({ ...pepper, unpeppered: true })).toEqual(["v1", "v2", "v3", "plain SHA-256"]);
  });

  test("newer versions are those behind the current one", () => {
    expect(newerVersions(undefined)).toEqual([]);
    expect(newerVersions(V1)).toEqual([]);
    expect(newerVersions(pepper)).toEqual(["v3"]);
    expect(newerVersions({ ...pepper, current: "v3" })).toEqual([]);
    expect(newerVersions({ ...pepper, current: "v1" })).toEqual(["v2", "v3"]);
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
