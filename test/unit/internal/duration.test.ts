import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  DURATION_FORMAT,
  type Duration,
  MAX_TIMER_MS,
  parseDuration,
  readDuration,
} from "../../../src/internal/duration.js";

describe("parseDuration", () => {
  it.each([
    ["500ms", 500],
    ["0s", 0],
    ["30s", 30_000],
    ["15m", 900_000],
    ["24h", 86_400_000],
    ["90d", 7_776_000_000],
    ["007d", 604_800_000],
    ["36500d", 3_153_600_000_000],
  ])("converts %s to %i ms", (text, expected) => {
    expect(parseDuration(text)).toBe(expected);
  });

  it.each([
    "",
    "24",
    "h",
    "24 h",
    " 24h",
    "24h ",
    "24h\n",
    "-1h",
    "+1h",
    "1.5h",
    "1e3s",
    "24H",
    "1w",
    "1y",
    "1M",
    "1h30m",
    "0x10s",
    "Infinityd",
    "NaNs",
    "36501d",
    "999999999999d",
    "1000000000000ms",
    "٣d",
    24,
    0,
    null,
    undefined,
    Number.POSITIVE_INFINITY,
    ["24h"],
    { toString: () => "24h" },
  ])("returns undefined for %j", (value) => {
    expect(parseDuration(value)).toBeUndefined();
  });

  it("multiplies the number by its unit (property)", () => {
    const units = { ms: 1, s: 1e3, m: 6e4, h: 36e5, d: 864e5 } as const;
    fc.assert(
      fc.property(fc.nat(36_500), fc.constantFrom(...Object.entries(units)), (count, [unit, size]) => {
        expect(parseDuration(`${count}${unit}`)).toBe(count * size);
      }),
    );
  });
});

describe("readDuration", () => {
  const read = (value: unknown, bounds?: { min?: Duration; max?: Duration }) =>
    readDuration("thing", "timeout", value, bounds);
  const message = (rest: string) => new TypeError(`thing: "timeout" ${DURATION_FORMAT}${rest}`);

  it("returns milliseconds", () => {
    expect(read("250ms")).toBe(250);
    expect(read("5s")).toBe(5_000);
  });

  it("accepts what a timer can wait, by default", () => {
    expect(read("1ms")).toBe(1);
    expect(read(`${MAX_TIMER_MS}ms`)).toBe(2 ** 31 - 1);
    for (const value of ["0ms", "25d", `${MAX_TIMER_MS + 1}ms`]) {
      expect(() => read(value)).toThrow(message(`, from "1ms" to 24 days; received "${value}"`));
    }
  });

  it("accepts the bounds themselves and nothing beyond them", () => {
    const bounds = { min: "1s", max: "60d" } as const;
    expect(read("1s", bounds)).toBe(1_000);
    expect(read("60d", bounds)).toBe(60 * 86_400_000);
    for (const value of ["999ms", "61d"]) {
      expect(() => read(value, bounds)).toThrow(message(`, from "1s" to "60d"; received "${value}"`));
    }
  });

  it.each([
    [250, "250ms"],
    [1.5, "1ms"],
    [0, "250ms"],
    [-1, "250ms"],
    [Number.NaN, "250ms"],
    [Number.POSITIVE_INFINITY, "250ms"],
  ])("rejects the number %s and shows the string to write", (value, example) => {
    expect(() => read(value)).toThrow(message(`; received the number ${value}, write "${example}"`));
  });

  it.each([
    ["hunter2", "a string"],
    ["", "an empty string"],
    ["5", "a string"],
    [undefined, "undefined"],
    [null, "null"],
    [["5s"], "an array"],
    [{}, "an object"],
  ])("rejects %j without printing it", (value, received) => {
    expect(() => read(value)).toThrow(message(`, from "1ms" to 24 days; received ${received}`));
  });
});

it("describes the format for error messages", () => {
  expect(DURATION_FORMAT).toBe('must be a duration such as "250ms", "30s", "15m", "24h" or "90d"');
});
