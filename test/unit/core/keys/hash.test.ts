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
  test("returns SHA-256 in hex (FIPS 180-4)", () => {
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

  test("returns the version and HMAC-SHA-256 if there is a pepper", () => {
    expect(hashSecret("abc", V1)).toBe(`v1:${hmac(V1, "abc")}`);
    expect(hashSecret("abc", { current: "v2", keys: { v1: V1, v2: V2 } })).toBe(`v2:${hmac(V2, "abc")}`);
    expect(hashSecret("abc", "pfeffer mit ümlaut, lang genug")).toBe(
      `v1:${hmac("pfeffer mit ümlaut, lang genug", "abc")}`,
    );
  });

  test.each([
    ["", "an empty string"],
    [undefined, "undefined"],
    [null, "null"],
    [7, "a number"],
    [["abc"], "an array"],
  ])("rejects %j as a secret", (secret, received) => {
    expect(() => hashSecret(secret as never)).toThrow(
      new TypeError(`hashSecret: the secret must be a non-empty string; received ${received}`),
    );
  });
});

const NO_CURRENT = '"keys" must have a member for the version in "current"';
const NO_VERSION = "a version must be 1 to 32 characters of A-Z a-z 0-9 _ -";

describe("peppers", () => {
  test("the current version comes first, then the others from newest to oldest", () => {
    const hashers = createHashers({ current: "v2", keys: { v1: V1, v2: V2, v3: `${V1}3` } });
    expect(hashers.map((hash) => String(hash("abc")).split(":")[0])).toEqual(["v2", "v3", "v1"]);
    expect(createHashers(V1)).toHaveLength(1);
    expect(createHashers(undefined)).toHaveLength(1);
  });

  test("unpeppered hashes come last, and only with the option", () => {
    const pepper = { current: "v1", keys: { v1: V1 } };
    expect(createHashers(pepper)).toHaveLength(1);
    const hashers = createHashers({ ...pepper, unpeppered: true });
    expect(hashers.map((hash) => hash("abc"))).toEqual([hashSecret("abc", pepper), hashSecret("abc")]);
  });

  test.each([
    ["an empty pepper", "", 'version "v1" must be a non-empty string; received an empty string'],
    ["null", null, "expected a string or { current, keys }; received null"],
    ["a number", 7, "expected a string or { current, keys }; received a number"],
    ["no keys", { current: "v1" }, NO_CURRENT],
    ["keys of null", { current: "v1", keys: null }, NO_CURRENT],
    ["a string as keys", { current: "length", keys: V1 }, NO_CURRENT],
    ["a current version without a key", { current: "v2", keys: { v1: V1 } }, NO_CURRENT],
    ["a current version from Object.prototype", { current: "toString", keys: { v1: V1 } }, NO_CURRENT],
    [
      "an empty key",
      { current: "v1", keys: { v1: V1, v2: "" } },
      'version "v2" must be a non-empty string; received an empty string',
    ],
    [
      "an undefined key, as from an unset environment variable",
      { current: "v1", keys: { v1: V1, v2: undefined } },
      'version "v2" must be a non-empty string; received undefined',
    ],
    ["a version with a colon", { current: "v:1", keys: { "v:1": V1 } }, NO_VERSION],
    ["a version of 33 characters", { current: "v".repeat(33), keys: { ["v".repeat(33)]: V1 } }, NO_VERSION],
    [
      "an unknown member",
      { current: "v1", keys: { v1: V1 }, key: V1 },
      'unknown option "key"; known options are current, keys, unpeppered',
    ],
    [
      "a string as unpeppered",
      { current: "v1", keys: { v1: V1 }, unpeppered: "no" },
      '"unpeppered" must be true or false; received a string',
    ],
  ])("rejects %s", (_, pepper, message) => {
    const error = new TypeError(`pepper: ${message}`);
    expect(() => createHashers(pepper as never)).toThrow(error);
    expect(() => hashSecret("abc", pepper as never)).toThrow(error);
  });

  test("accepts versions of up to 32 characters", () => {
    for (const version of ["v".repeat(32), "a-b_C9"]) {
      expect(hashSecret("abc", { current: version, keys: { [version]: V1 } })).toBe(
        `${version}:${hmac(V1, "abc")}`,
      );
    }
  });

  test("does not print a pepper in an error", () => {
    try {
      createHashers({ current: "v2", keys: { v1: V1, v3: "" } });
      expect.unreachable();
    } catch (error) {
      expect(inspect(error)).not.toContain(V1);
    }
  });

  test("warns about a short pepper without printing it", () => {
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

const NO_ARRAY = '"legacyHashes" must be an array of { name, hash }';
const INVALID_NAME = 'legacyHashes: "name" must be 1 to 32 characters of A-Z a-z 0-9 _ -';

describe("legacy hashes", () => {
  const legacy = (hash: unknown, name: unknown = "old") => [{ name, hash }] as never;

  test("follow the peppers, with their name before the hash", async () => {
    const hashers = createHashers(V1, [
      { name: "old", hash: (secret) => `${secret}=` },
      { name: "older", hash: async (secret) => (secret === "abc" ? "$2b$10$salted" : undefined) },
    ]);
    expect(hashers[1]?.("abc")).toBe("old:abc=");
    expect(await hashers[2]?.("abc")).toBe("older:$2b$10$salted");
    expect(await hashers[2]?.("abd")).toBeUndefined();
  });

  test("do not accept a stolen hash as a secret if the legacy hash is the secret itself", () => {
    const hashers = createHashers(undefined, [{ name: "plaintext", hash: (secret) => secret }]);
    const stolen = hashSecret("abc");
    expect(hashers.map((hash) => hash(stolen))).not.toContain(stolen);
  });

  test.each([[""], ["with space"], ["a\0b"], ["é"], ["x".repeat(191)], [7], [null], [{}]])(
    "reject the invalid hash %j with a StoreError that does not contain it",
    async (value) => {
      const [, old] = createHashers(
        undefined,
        legacy(() => value),
      );
      expect(() => old?.("abc")).toThrow(new StoreError('The legacy hash "old" returned an invalid hash'));
      const [, later] = createHashers(
        undefined,
        legacy(async () => value),
      );
      await expect(later?.("abc")).rejects.toThrow(StoreError);
    },
  );

  test("accept up to 190 printable ASCII characters", () => {
    for (const imported of ["x".repeat(190), "!~", "x"]) {
      const [, old] = createHashers(undefined, [{ name: "old", hash: () => imported }]);
      expect(old?.("abc")).toBe(`old:${imported}`);
    }
  });

  test.each([
    ["an object instead of an array", { name: "old", hash: () => "" }, `${NO_ARRAY}; received an object`],
    ["a string as hash", legacy("sha512"), 'legacyHashes: "hash" must be a function; received a string'],
    ["a missing hash", legacy(undefined), 'legacyHashes: "hash" must be a function; received undefined'],
    ["an empty name", legacy(() => "", ""), INVALID_NAME],
    ["an array as name", legacy(() => "", ["old"]), INVALID_NAME],
    ["a name with a colon", legacy(() => "", "a:b"), INVALID_NAME],
    ["the name of a pepper", legacy(() => "", "v1"), 'legacyHashes: the name "v1" is already used'],
    [
      "a name twice",
      [...legacy(() => ""), ...legacy(() => "")],
      'legacyHashes: the name "old" is already used',
    ],
    [
      "an unknown member",
      [{ name: "old", hash: () => "", salt: "" }],
      'legacyHashes: unknown option "salt"; known options are name, hash',
    ],
    ["null", null, `${NO_ARRAY}; received null`],
    ["an array of null", [null], "legacyHashes: expected an options object; received null"],
  ])("reject %s", (_, hashes, message) => {
    expect(() => createHashers(V1, hashes as never)).toThrow(new TypeError(message));
  });

  test("reject the name of any pepper version", () => {
    const pepper = { current: "v2", keys: { v1: V1, v2: V2 } };
    for (const name of ["v1", "v2"]) {
      expect(() =>
        createHashers(
          pepper,
          legacy(() => "", name),
        ),
      ).toThrow(`the name "${name}" is already used`);
    }
  });
});

describe("kinds of hash", () => {
  const pepper = { current: "v2", keys: { v1: V1, v2: V2, v3: `${V1}3` } };

  test("hashKind returns the pepper version or the name of the legacy hash", () => {
    expect(hashKind(hashSecret("abc"))).toBe("plain SHA-256");
    expect(hashKind(hashSecret("abc", V1))).toBe("v1");
    expect(hashKind("old:a:b")).toBe("old");
  });

  test("ownHashKinds returns the versions of a pepper, and plain SHA-256 if it is accepted", () => {
    expect(ownHashKinds(undefined)).toEqual(["plain SHA-256"]);
    expect(ownHashKinds(V1)).toEqual(["v1"]);
    expect(ownHashKinds(pepper)).toEqual(["v1", "v2", "v3"]);
    expect(ownHashKinds({ ...pepper, unpeppered: true })).toEqual(["v1", "v2", "v3", "plain SHA-256"]);
  });

  test("newerVersions returns the versions after the current one", () => {
    expect(newerVersions(undefined)).toEqual([]);
    expect(newerVersions(V1)).toEqual([]);
    expect(newerVersions(pepper)).toEqual(["v3"]);
    expect(newerVersions({ ...pepper, current: "v3" })).toEqual([]);
    expect(newerVersions({ ...pepper, current: "v1" })).toEqual(["v2", "v3"]);
  });
});

describe("sameHash", () => {
  test("compares for equality (property)", () => {
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

  test("detects a difference in any character", () => {
    const hash = hashSecret("abc");
    for (let at = 0; at < hash.length; at++) {
      const other = hash.slice(0, at) + (hash[at] === "0" ? "1" : "0") + hash.slice(at + 1);
      expect(sameHash(hash, other)).toBe(false);
    }
  });
});
