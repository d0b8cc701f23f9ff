import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { judgeClaims } from "../../../src/jwt/claims.js";

const rules = { issuers: new Set(["i", "j"]), audiences: new Set(["a", "b"]), tolerance: 0 };
const claims = { iss: "i", aud: "a", exp: 1_000 };
const judge = (more: object, now = 500_000, tolerance = 0) =>
  judgeClaims({ ...claims, ...more }, { ...rules, tolerance }, now);

describe("judgeClaims", () => {
  test.each<[string, object, number, number, string | undefined]>([
    ["works", {}, 500_000, 0, undefined],
    ["another issuer of the list", { iss: "j" }, 500_000, 0, undefined],
    ["one audience of several", { aud: ["x", "b"] }, 500_000, 0, undefined],
    ["a millisecond before its end", {}, 999_999, 0, undefined],
    ["its end", {}, 1_000_000, 0, "expired"],
    ["long after", {}, 9e12, 0, "expired"],
    ["its end, with tolerance", {}, 1_000_000, 30, undefined],
    ["a millisecond before the end of the tolerance", {}, 1_029_999, 30, undefined],
    ["the end of the tolerance", {}, 1_030_000, 30, "expired"],
    ["half seconds", { exp: 1_000.5 }, 1_000_499, 0, undefined],
    ["half seconds, over", { exp: 1_000.5 }, 1_000_500, 0, "expired"],
    ["exp beyond every date", { exp: 1.7e308 }, 500_000, 0, undefined],
    ["before nbf", { nbf: 501 }, 500_999, 0, "not_yet_valid"],
    ["at nbf", { nbf: 501 }, 501_000, 0, undefined],
    ["before nbf, within the tolerance", { nbf: 501 }, 496_000, 5, undefined],
    ["before nbf, a millisecond too early for the tolerance", { nbf: 501 }, 495_999, 5, "not_yet_valid"],
    ["expired and not yet valid", { nbf: 2_000 }, 1_000_000, 0, "expired"],
    ["no exp", { exp: undefined }, 500_000, 0, "invalid_token"],
    ["exp a string", { exp: "1000" }, 500_000, 0, "invalid_token"],
    ["exp infinite", { exp: Number.POSITIVE_INFINITY }, 500_000, 0, "invalid_token"],
    ["exp NaN", { exp: Number.NaN }, 500_000, 0, "invalid_token"],
    ["nbf infinite", { nbf: Number.NEGATIVE_INFINITY }, 500_000, 0, "invalid_token"],
    ["iat NaN", { iat: Number.NaN }, 500_000, 0, "invalid_token"],
    ["a clock that is none", {}, Number.NaN, 30, "expired"],
  ])("%s", (_, more, now, tolerance, expected) => {
    expect(judge(more, now, tolerance)).toBe(expected);
  });

  test("whatever the claims are, only the right ones pass, and nothing throws", () => {
    const anything = fc.anything({ withNullPrototype: true, withBigInt: true });
    const member = (right: unknown) => fc.oneof(fc.constant(right), anything);
    const record = fc.record(
      { iss: member("i"), aud: member("a"), exp: member(1_000) },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(record, (given) => {
        const { iss, aud, exp } = given as Record<string, unknown>;
        const isRight =
          (iss === "i" || iss === "j") &&
          (aud === "a" || aud === "b" || (Array.isArray(aud) && aud.length > 0)) &&
          typeof exp === "number" &&
          exp > 500;
        const flaw = judgeClaims(given as Record<string, unknown>, rules, 500_000);
        if (!isRight) expect(flaw).toBeDefined();
        if (iss === "i" && aud === "a" && exp === 1_000) expect(flaw).toBeUndefined();
      }),
      { numRuns: 1_000 },
    );
  });
});
