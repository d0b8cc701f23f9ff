import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { checkedRecord } from "../../../../src/core/keys/checked-record.js";
import { freezeRecord, isCreatedBy } from "../../../../src/core/keys/frozen-record.js";
import { RECORD_MEMBERS } from "../../../../src/core/keys/record.js";
import { hashSecret, StoreError, type VerifiableRecord } from "../../../../src/index.js";
import { recordOf, START } from "../fixtures.js";

const hash = hashSecret("abc");
const full = {
  ...Object.fromEntries(RECORD_MEMBERS.map((member) => [member, `the ${member}`])),
  hash,
  scopes: ["vehicles:read"],
  ipAllowlist: ["192.0.2.0/24"],
  createdAt: START,
} as unknown as VerifiableRecord;

describe("freezeRecord", () => {
  it("copies every member", () => {
    const frozen = freezeRecord(full);
    expect({ ...frozen }).toStrictEqual(full);
    expect(Object.keys(frozen).sort()).toEqual([...RECORD_MEMBERS].sort());
  });

  it("returns a frozen copy that shares its members", () => {
    const record = { ...full };
    const frozen = freezeRecord(record);
    expect(Object.isFrozen(frozen)).toBe(true);
    expect(Object.isFrozen(record)).toBe(false);
    expect(frozen.scopes).toBe(record.scopes);
  });

  test.each([
    ["null", null],
    ["no owner", { ...full, ownerId: undefined }],
    ["an empty id", { ...full, id: "" }],
    ["scopes that are not an array", { ...full, scopes: "vehicles:read" }],
    ["an allowlist that is not an array", { ...full, ipAllowlist: "192.0.2.0/24" }],
  ])("rejects %s", (_, record) => {
    expect(() => freezeRecord(record as VerifiableRecord)).toThrow(StoreError);
  });
});

describe("checkedRecord", () => {
  it("compares the hash of a frozen record", () => {
    const frozen = freezeRecord(full);
    expect(checkedRecord(frozen, hash)).toBe(frozen);
    expect(() => checkedRecord(frozen, hashSecret("abd"))).toThrow("another hash");
  });

  test.each([
    ["a changed copy of a frozen record", { ...freezeRecord(full), id: "" }],
    ["an object with the prototype of one", Object.create(Object.getPrototypeOf(freezeRecord(full)))],
    ["an object that inherits from one", Object.create(freezeRecord(full), { id: { value: "" } })],
  ])("checks %s", (_, record) => {
    expect(() => checkedRecord(record, hash)).toThrow("not a key record");
  });
});

describe("isCreatedBy", () => {
  it("is the same for a frozen record as for any other", () => {
    const time = fc.integer({ min: -(2 ** 45), max: 2 ** 45 });
    const distance = fc.oneof(fc.integer({ min: -2_000, max: 2_000 }), time);
    fc.assert(
      fc.property(time, distance, (created, difference) => {
        const record = recordOf(hash, { createdAt: new Date(created) });
        const expected = difference >= 0;
        expect(isCreatedBy(record, created + difference)).toBe(expected);
        expect(isCreatedBy(freezeRecord(record), created + difference)).toBe(expected);
      }),
    );
  });

  test.each([
    ["no date", undefined],
    ["null", null],
    ["an invalid date", new Date(Number.NaN)],
    ["a string", "2020-01-01T00:00:00Z"],
  ])("is false for %s", (_, createdAt) => {
    const record = recordOf(hash, { createdAt } as unknown as Partial<VerifiableRecord>);
    for (const time of [START.getTime(), -1, Number.POSITIVE_INFINITY]) {
      expect(isCreatedBy(record, time)).toBe(false);
      expect(isCreatedBy(freezeRecord(record), time)).toBe(false);
    }
  });
});
