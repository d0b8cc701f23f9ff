import fc from "fast-check";
import { expect, test } from "vitest";
import { DURATION_FORM, parseDuration } from "../../../src/internal/duration.js";

test.each([
  ["500ms", 500],
  ["0s", 0],
  ["30s", 30_000],
  ["15m", 900_000],
  ["24h", 86_400_000],
  ["90d", 7_776_000_000],
  ["007d", 604_800_000],
  ["36500d", 3_153_600_000_000],
])("%s is %i ms", (text, expected) => {
  expect(parseDuration(text)).toBe(expected);
});

test.each([
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
])("%j is none", (value) => {
  expect(parseDuration(value)).toBeUndefined();
});

test("an error shows how one looks", () => {
  expect(DURATION_FORM).toBe('must be a duration such as "30s", "15m", "24h" or "90d", up to 36500d');
});

test("property: is the number times its unit", () => {
  const units = { ms: 1, s: 1e3, m: 6e4, h: 36e5, d: 864e5 } as const;
  fc.assert(
    fc.property(fc.nat(36_500), fc.constantFrom(...Object.entries(units)), (count, [unit, size]) => {
      expect(parseDuration(`${count}${unit}`)).toBe(count * size);
    }),
  );
});
