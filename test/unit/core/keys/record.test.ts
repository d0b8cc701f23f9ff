import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isReadableRecord, keyStatus, toApiKey } from "../../../../src/core/keys/record.js";
import { hashSecret, type VerifiableRecord } from "../../../../src/index.js";
import { recordOf, START } from "../fixtures.js";

const hash = hashSecret("abc");
const now = START.getTime();
const status = (more: object, at = now) => keyStatus({ ...recordOf(hash), ...more } as VerifiableRecord, at);

describe("keyStatus", () => {
  test.each([
    ["no member set", {}, "active"],
    ["all members null", { expiresAt: null, disabledAt: null, revokedAt: null, rotatedAt: null }, "active"],
    ["an expiry in a millisecond", { expiresAt: new Date(now + 1) }, "active"],
    ["an expiry now", { expiresAt: new Date(now) }, "expired"],
    ["an expiry in the past", { expiresAt: new Date(now - 1) }, "expired"],
    ["an invalid date as expiry", { expiresAt: new Date(Number.NaN) }, "expired"],
    ["a string as expiry", { expiresAt: "2999-01-01T00:00:00Z" }, "expired"],
    ["a number as expiry", { expiresAt: now + 1e9 }, "expired"],
    ["an expiry of 0", { expiresAt: 0 }, "expired"],
    ["an empty expiry", { expiresAt: "" }, "expired"],
    ["a suspendedAt", { suspendedAt: START }, "suspended"],
    ["a suspendedAt that is not a date", { suspendedAt: "no" }, "suspended"],
    ["a suspendedAt and a disabledAt", { suspendedAt: START, disabledAt: START }, "suspended"],
    ["a suspendedAt and a revokedAt", { suspendedAt: START, revokedAt: START }, "revoked"],
    ["a disabledAt", { disabledAt: START }, "disabled"],
    ["a disabledAt in the future", { disabledAt: new Date(now + 1e9) }, "disabled"],
    ["a disabledAt that is not a date", { disabledAt: "no" }, "disabled"],
    ["a revokedAt", { revokedAt: START }, "revoked"],
    ["an invalid date as revokedAt", { revokedAt: new Date(Number.NaN) }, "revoked"],
    [
      "a rotation, before the end of the overlap",
      { rotatedAt: START, expiresAt: new Date(now + 1) },
      "retiring",
    ],
    ["a rotation, after the overlap", { rotatedAt: START, expiresAt: START }, "expired"],
    [
      "a revokedAt, a disabledAt and an expiry in the past",
      { revokedAt: START, disabledAt: START, expiresAt: START },
      "revoked",
    ],
    ["a disabledAt and an expiry in the past", { disabledAt: START, expiresAt: START }, "disabled"],
    ["a rotatedAt and a disabledAt", { rotatedAt: START, disabledAt: START }, "disabled"],
  ])("a key with %s is %s", (_, more, expected) => {
    expect(status(more)).toBe(expected);
  });

  test("a key with an expiry is expired if the clock is invalid", () => {
    expect(status({ expiresAt: new Date(8.64e15) }, Number.NaN)).toBe("expired");
    expect(status({}, Number.NaN)).toBe("active");
  });

  test("a key is active only before its expiry (property)", () => {
    fc.assert(
      fc.property(fc.date({ noInvalidDate: true }), fc.date({ noInvalidDate: true }), (expiresAt, at) => {
        expect(status({ expiresAt }, at.getTime())).toBe(at < expiresAt ? "active" : "expired");
      }),
    );
  });
});

describe("isReadableRecord", () => {
  test("requires id, hash, owner and scopes", () => {
    expect(isReadableRecord(recordOf(hash))).toBe(true);
    for (const member of ["id", "hash", "ownerId", "scopes"]) {
      const { [member]: _, ...rest } = recordOf(hash) as unknown as Record<string, unknown>;
      expect(isReadableRecord(rest)).toBe(false);
      expect(isReadableRecord({ ...rest, [member]: null })).toBe(false);
      expect(isReadableRecord({ ...rest, [member]: "" })).toBe(false);
      expect(isReadableRecord({ ...rest, [member]: 7 })).toBe(false);
    }
  });

  test("accepts an allowlist and an environment", () => {
    const more = { ipAllowlist: ["10.0.0.0/8"], environment: "live" };
    expect(isReadableRecord(recordOf(hash, more))).toBe(true);
    expect(isReadableRecord(recordOf(hash, { ipAllowlist: null, environment: null }))).toBe(true);
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
    [{ ...recordOf(hash), environment: "" }],
    [{ ...recordOf(hash), environment: 7 }],
    [{ ...recordOf(hash), hash: Buffer.from(hash) }],
  ])("rejects %j", (value) => {
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

  test("has no hash, and null for members that are not set", () => {
    const key = toApiKey(recordOf(hash), now);
    expect(JSON.stringify(key)).not.toContain(hash);
    expect(key).toEqual({
      id: "key_1",
      version: null,
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
      suspendedAt: null,
      revokedAt: null,
      revokedReason: null,
      rotatedAt: null,
      replacedBy: null,
      replaces: null,
      disabledBy: null,
      rotationRoot: null,
      createdBy: null,
      createdByKey: null,
    });
  });

  test("has every other member of the record", () => {
    const at = (second: number) => new Date(now + second * 1_000);
    const shown = {
      version: 3,
      name: "Billing",
      start: "ezt_live_ab12",
      environment: "live",
      ipAllowlist: ["10.0.0.0/8"],
      rateLimit: { limit: 5, windowSeconds: 60 },
      metadata: { team: "a" },
      createdAt: at(1),
      updatedAt: at(2),
      expiresAt: at(3),
      lastUsedAt: at(4),
      disabledAt: at(5),
      suspendedAt: at(8),
      revokedAt: at(6),
      revokedReason: "lost",
      rotatedAt: at(7),
      replacedBy: "key_2",
      replaces: "key_0",
      disabledBy: "owner" as const,
      rotationRoot: "key_root",
      createdBy: "ann",
      createdByKey: "key_creator",
    };
    expect(toApiKey(recordOf(hash, shown), now)).toEqual({
      id: "key_1",
      ownerId: "acme",
      scopes: ["vehicles:read"],
      status: "revoked",
      ...shown,
    });
  });

  test("has null for values that are not dates", () => {
    const record = {
      ...recordOf(hash),
      createdAt: "2030-01-01",
      lastUsedAt: 5,
    } as unknown as VerifiableRecord;
    expect(toApiKey(record, now)).toMatchObject({ createdAt: null, lastUsedAt: null });
  });

  test("keeps an empty allowlist, which is not the same as null", () => {
    expect(toApiKey(recordOf(hash, { ipAllowlist: [] }), now).ipAllowlist).toEqual([]);
  });

  test("is frozen at every depth and shares no object with the record", () => {
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
