import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readExpiry, readPastDate } from "../../../../src/core/manager/dates.js";
import { START } from "../fixtures.js";
import { problemOf } from "./input-error.js";

describe("readExpiry", () => {
  const read = (value: unknown) => readExpiry("expiresAt", value, START);

  it.each([
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
  ])("reads %s", (value, expected) => {
    expect(read(value)?.toISOString()).toBe(expected);
  });

  it.each([
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
  ])("rejects %j, which does not exist", (value) => {
    expect(problemOf(() => read(value))).toBe("expiresAt must be an existing date and time");
  });

  it.each([
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
  ])("rejects %j", (value) => {
    expect(problemOf(() => read(value))).toBe(
      "expiresAt must be a Date or a date and time with an offset, such as 2030-01-31T12:00:00Z",
    );
  });

  it("rejects an invalid Date and years after 9999", () => {
    for (const date of [new Date(Number.NaN), new Date("junk")])
      expect(problemOf(() => read(date))).toBe("expiresAt must be a valid Date");
    for (const date of [new Date("+010000-01-01T00:00:00Z"), "9999-12-31T23:59:59-00:01"])
      expect(problemOf(() => read(date))).toBe("expiresAt must be before the year 10000");
  });

  it("rejects the past and the present", () => {
    for (const value of [
      START,
      new Date(START.getTime() - 1),
      "2030-01-01T00:00:00Z",
      "2029-12-31T23:59:59Z",
    ])
      expect(problemOf(() => read(value))).toBe("expiresAt must be in the future");
    expect(read(new Date(START.getTime() + 1))).toEqual(new Date(START.getTime() + 1));
  });

  it("returns null for an absent value, and copies a Date", () => {
    expect([read(undefined), read(null)]).toEqual([null, null]);
    const date = new Date("2031-01-01T00:00:00Z");
    const copy = read(date);
    date.setTime(0);
    expect(copy?.toISOString()).toBe("2031-01-01T00:00:00.000Z");
  });

  it("reads every moment with every offset (property)", () => {
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

describe("readPastDate", () => {
  const read = (value: unknown) => readPastDate("createdAt", value, START);

  it("reads a Date or an RFC 3339 string from 1970 to now", () => {
    expect([read(undefined), read(null)]).toEqual([null, null]);
    for (const date of [new Date(0), START]) {
      expect(read(date)).toEqual(date);
      expect(read(date.toISOString())).toEqual(date);
    }
    expect(read("2020-02-29T12:00:00+01:00")?.toISOString()).toBe("2020-02-29T11:00:00.000Z");
  });

  it.each<[unknown, string]>([
    [new Date(START.getTime() + 1), "createdAt must not be in the future"],
    ["1969-12-31T23:59:59Z", "createdAt must not be before 1970"],
    [new Date(-1), "createdAt must not be before 1970"],
    [new Date(Number.NaN), "createdAt must be a valid Date"],
    ["2021-02-29T00:00:00Z", "createdAt must be an existing date and time"],
  ])("rejects %j", (value, expected) => {
    expect(problemOf(() => read(value))).toBe(expected);
  });
});
