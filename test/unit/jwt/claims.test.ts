import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkClaims } from "../../../src/jwt/claims.js";

const rules = { issuers: new Set(["i", "j"]), audiences: new Set(["a", "b"]), tolerance: 0 };
const claims = { iss: "i", aud: "a", exp: 1_000 };
const check = (more: object, now = 500_000, tolerance = 0) =>
  checkClaims({ ...claims, ...more }, { ...rules, tolerance }, now);

describe("checkClaims", () => {
  it.each<[string, object, number, number, string | undefined]>([
    ["valid claims", {}, 500_000, 0, undefined],
    ["the second of two issuers", { iss: "j" }, 500_000, 0, undefined],
    ["one of several audiences", { aud: ["x", "b"] }, 500_000, 0, undefined],
    ["a millisecond before exp", {}, 999_999, 0, undefined],
    ["at exp", {}, 1_000_000, 0, "expired"],
    ["long after exp", {}, 9e12, 0, "expired"],
    ["at exp, within the tolerance", {}, 1_000_000, 30, undefined],
    ["a millisecond before the end of the tolerance", {}, 1_029_999, 30, undefined],
    ["the end of the tolerance", {}, 1_030_000, 30, "expired"],
    ["a fractional exp", { exp: 1_000.5 }, 1_000_499, 0, undefined],
    ["a fractional exp, expired", { exp: 1_000.5 }, 1_000_500, 0, "expired"],
    ["exp beyond the range of dates", { exp: 1.7e308 }, 500_000, 0, undefined],
    ["before nbf", { nbf: 501 }, 500_999, 0, "not_yet_valid"],
    ["at nbf", { nbf: 501 }, 501_000, 0, undefined],
    ["before nbf, within the tolerance", { nbf: 501 }, 496_000, 5, undefined],
    ["a millisecond before the tolerance of nbf", { nbf: 501 }, 495_999, 5, "not_yet_valid"],
    ["expired and not yet valid", { nbf: 2_000 }, 1_000_000, 0, "expired"],
    ["no exp", { exp: undefined }, 500_000, 0, "invalid_token"],
    ["a string as exp", { exp: "1000" }, 500_000, 0, "invalid_token"],
    ["an infinite exp", { exp: Number.POSITIVE_INFINITY }, 500_000, 0, "invalid_token"],
    ["NaN as exp", { exp: Number.NaN }, 500_000, 0, "invalid_token"],
    ["an infinite nbf", { nbf: Number.NEGATIVE_INFINITY }, 500_000, 0, "invalid_token"],
    ["NaN as iat", { iat: Number.NaN }, 500_000, 0, "invalid_token"],
    ["a clock that returns NaN", {}, Number.NaN, 30, "expired"],
  ])("checks %s", (_, more, now, tolerance, expected) => {
    expect(check(more, now, tolerance)).toBe(expected);
  });

  it("accepts only valid claims, and never throws", () => {
    const anything = fc.anything({ withNullPrototype: true, withBigInt: true });
    const member = (valid: unknown) => fc.oneof(fc.constant(valid), anything);
    const record = fc.record(
      { iss: member("i"), aud: member("a"), exp: member(1_000) },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(record, (given) => {
        const { iss, aud, exp } = given as Record<string, unknown>;
        const isValid =
          (iss === "i" || iss === "j") &&
          (aud === "a" || aud === "b" || (Array.isArray(aud) && aud.length > 0)) &&
          typeof exp === "number" &&
          exp > 500;
        const reason = checkClaims(given as Record<string, unknown>, rules, 500_000);
        if (!isValid) expect(reason).toBeDefined();
        if (iss === "i" && aud === "a" && exp === 1_000) expect(reason).toBeUndefined();
      }),
      { numRuns: 1_000 },
    );
  });
});
