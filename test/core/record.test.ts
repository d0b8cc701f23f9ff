import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { deepFreeze, isReadableRecord, toApiKey } from "../../src/core/record.js";
import { hashSecret, keyStatus, type VerifiableRecord } from "../../src/index.js";
import { recordOf, START } from "./fixtures.js";

const hash = hashSecret("abc");
const now = START.getTime();
const status = (more: object, at = now) => keyStatus({ ...recordOf(hash), ...more } as VerifiableRecord, at);

describe("keyStatus", () => {
  test.each([
    ["nothing set", {}, "active"],
    ["everything null", { expiresAt: null, disabledAt: null, revokedAt: null, rotatedAt: null }, "active"],
    ["an expiry in a millisecond", { expiresAt: new Date(now + 1) }, "active"],
    ["an expiry now", { expiresAt: new Date(now) }, "expired"],
    ["an expiry in the past", { expiresAt: new Date(now - 1) }, "expired"],
    ["an expiry that is no date", { expiresAt: new Date(Number.NaN) }, "expired"],
    ["an expiry that is a text", { expiresAt: "2999-01-01T00:00:00Z" }, "expired"],
    ["an expiry that is a number", { expiresAt: now + 1e9 }, "expired"],
    ["an expiry of 0", { expiresAt: 0 }, "expired"],
    ["an empty expiry", { expiresAt: "" }, "expired"],
    ["disabled", { disabledAt: START }, "disabled"],
    ["disabled in the future", { disabledAt: new Date(now + 1e9) }, "disabled"],
    ["a mark of disablement that is no date", { disabledAt: "no" }, "disabled"],
    ["revoked", { revokedAt: START }, "revoked"],
    ["a mark of revocation that is no date", { revokedAt: new Date(Number.NaN) }, "revoked"],
    ["rotated, overlap running", { rotatedAt: START, expiresAt: new Date(now + 1) }, "retiring"],
    ["rotated, overlap over", { rotatedAt: START, expiresAt: START }, "expired"],
    [
      "revoked and disabled and expired",
      { revokedAt: START, disabledAt: START, expiresAt: START },
      "revoked",
    ],
    ["disabled and expired", { disabledAt: START, expiresAt: START }, "disabled"],
    ["rotated and disabled", { rotatedAt: START, disabledAt: START }, "disabled"],
  ])("%s: %s", (_, more, expected) => {
    expect(status(more)).toBe(expected);
  });

  test("under a clock that is none, a key with an expiry is expired", () => {
    expect(status({ expiresAt: new Date(8.64e15) }, Number.NaN)).toBe("expired");
    expect(status({}, Number.NaN)).toBe("active");
  });

  test("property: a key works at most until its expiry", () => {
    fc.assert(
      fc.property(fc.date({ noInvalidDate: true }), fc.date({ noInvalidDate: true }), (expiresAt, at) => {
        expect(status({ expiresAt }, at.getTime())).toBe(at < expiresAt ? "active" : "expired");
      }),
    );
  });
});

describe("isReadableRecord", () => {
  test("needs id, hash, owner and scopes", () => {
    expect(isReadableRecord(recordOf(hash))).toBe(true);
    for (const member of ["id", "hash", "ownerId", "scopes"]) {
      const { [member]: _, ...rest } = recordOf(hash) as unknown as Record<string, unknown>;
      expect(isReadableRecord(rest)).toBe(false);
      expect(isReadableRecord({ ...rest, [member]: null })).toBe(false);
    }
  });

  test.each([
    [null],
    [undefined],
    ["text"],
    [7],
    [true],
    [[]],
    [{ ...recordOf(hash), scopes: "vehicles:read" }],
    [{ ...recordOf(hash), scopes: { 0: "vehicles:read" } }],
    [{ ...recordOf(hash), ipAllowlist: "10.0.0.0/8" }],
    [{ ...recordOf(hash), ipAllowlist: {} }],
    [{ ...recordOf(hash), hash: Buffer.from(hash) }],
  ])("%j is none", (value) => {
    expect(isReadableRecord(value)).toBe(false);
  });
});

describe("toApiKey", () => {
  const record: VerifiableRecord = recordOf(hash, {
    version: 7,
    metadata: { team: { name: "a" }, list: [1, { deep: true }] },
    ipAllowlist: ["10.0.0.0/8"],
    rateLimit: { limit: 5, windowSeconds: 60 },
    createdAt: START,
  });

  test("holds neither hash nor version, and null for what is not there", () => {
    const key = toApiKey(recordOf(hash), now);
    expect(JSON.stringify(key)).not.toContain(hash);
    expect(key).toEqual({
      id: "key_1",
      ownerId: "acme",
      name: null,
      start: "",
      environment: null,
      status: "active",
      scopes: ["vehicles:read"],
      ipAllowlist: null,
      rateLimit: null,
      metadata: null,
      createdAt: null,
      updatedAt: null,
      expiresAt: null,
      lastUsedAt: null,
      disabledAt: null,
      revokedAt: null,
      revokedReason: null,
      rotatedAt: null,
      replacedBy: null,
      replaces: null,
    });
    expect(toApiKey(record, now)).not.toHaveProperty("version");
  });

  test("an empty allowlist stays empty, which is not the same as none", () => {
    expect(toApiKey(recordOf(hash, { ipAllowlist: [] }), now).ipAllowlist).toEqual([]);
  });

  test("is frozen to the ground and shares nothing with the record", () => {
    const key = toApiKey(record, now);
    expect(key.metadata).toEqual(record.metadata);
    for (const part of [key, key.scopes, key.ipAllowlist, key.metadata, key.rateLimit, key.metadata?.team]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
    expect(key.metadata).toSatisfy(({ list: [, second] }) => Object.isFrozen(second));
    expect(Object.isFrozen(record.metadata)).toBe(false);
    key.createdAt?.setTime(0);
    expect(record.createdAt).toEqual(new Date("2030-01-01T00:00:00Z"));
  });
});

test("deepFreeze leaves dates and primitives alone", () => {
  expect(deepFreeze(7)).toBe(7);
  expect(deepFreeze(null)).toBeNull();
  const frozen = deepFreeze({ at: new Date(5) });
  expect(frozen.at).toEqual(new Date(5));
});
