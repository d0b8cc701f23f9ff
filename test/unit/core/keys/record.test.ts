import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isReadableRecord, keyStatus, toApiKey } from "../../../../src/core/keys/record.js";
import { hashSecret, type VerifiableRecord } from "../../../../src/index.js";
import { deepFreeze } from "../../../../src/internal/freeze.js";
import { recordOf, START } from "../fixtures.js";

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
      expect(isReadableRecord({ ...rest, [member]: "" })).toBe(false);
      expect(isReadableRecord({ ...rest, [member]: 7 })).toBe(false);
    }
  });

  test("an allowlist and an environment may be there", () => {
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

  test("holds everything else that is there", () => {
    const at = (second: number) => new Date(now + second * 1_000);
    const shown = {
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
      revokedAt: at(6),
      revokedReason: "lost",
      rotatedAt: at(7),
      replacedBy: "key_2",
      replaces: "key_0",
    };
    expect(toApiKey(recordOf(hash, { ...shown, version: 3 }), now)).toEqual({
      id: "key_1",
      ownerId: "acme",
      scopes: ["vehicles:read"],
      status: "revoked",
      ...shown,
    });
  });

  test("a date that is none is shown as none", () => {
    const record = {
      ...recordOf(hash),
      createdAt: "2030-01-01",
      lastUsedAt: 5,
    } as unknown as VerifiableRecord;
    expect(toApiKey(record, now)).toMatchObject({ createdAt: null, lastUsedAt: null });
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
  expect(Object.isFrozen(frozen)).toBe(true);
  expect(Object.isFrozen(frozen.at)).toBe(false);
});
