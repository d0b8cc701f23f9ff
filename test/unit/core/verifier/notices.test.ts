import { describe, expect, it } from "vitest";
import {
  createVerifier,
  hashSecret,
  type VerifiableRecord,
  type VerifierOptions,
} from "../../../../src/index.js";
import { bearer, format, recordOf, START, scopes, service, storeOf } from "../fixtures.js";

const DAY = 86_400_000;
const later = (days: number, ms = 0): Date => new Date(START.getTime() + days * DAY + ms);
const seconds = (date: Date): number => date.getTime() / 1_000;

/** Returns the notice for a key with these members, at START. */
async function noticeOf(
  more: Partial<VerifiableRecord>,
  options: Partial<VerifierOptions> = {},
): Promise<string | undefined> {
  const secret = format.generate("live");
  const store = storeOf(() => recordOf(hashSecret(secret), more));
  const verifier = createVerifier({ store, scopes, format, clock: () => START, ...options });
  const result = await verifier.verify(bearer(secret));
  if (!result.ok) throw new Error(result.error.code);
  expect(Object.keys(result.headers)).toEqual(result.headers["API-Key-Notice"] ? ["API-Key-Notice"] : []);
  return result.headers["API-Key-Notice"];
}

describe("API-Key-Notice", () => {
  it("is absent for a new key without a near expiry", async () => {
    expect(await noticeOf({})).toBeUndefined();
    expect(await noticeOf({ createdAt: START, expiresAt: null })).toBeUndefined();
    expect(await noticeOf({ createdAt: later(-90, 1), expiresAt: later(14, 1) })).toBeUndefined();
  });

  it("has the expiry in whole seconds, from 14 days before it", async () => {
    expect(await noticeOf({ expiresAt: later(14) })).toBe(`expiring;end=@${seconds(later(14))}`);
    expect(await noticeOf({ expiresAt: later(0, 1) })).toBe(`expiring;end=@${seconds(START)}`);
  });

  it("has the end of an overlap, even if it is far away", async () => {
    const rotated = { rotatedAt: START, replacedBy: "key_2" };
    expect(await noticeOf({ ...rotated, expiresAt: later(1) })).toBe(`retiring;end=@${seconds(later(1))}`);
    expect(await noticeOf({ ...rotated, expiresAt: later(60) })).toBe(`retiring;end=@${seconds(later(60))}`);
    expect(await noticeOf(rotated)).toBe("retiring");
  });

  it("reminds of rotation at the age of 90 days, after an expiry", async () => {
    const due = `rotation-due;since=@${seconds(START)}`;
    expect(await noticeOf({ createdAt: later(-90) })).toBe(due);
    expect(await noticeOf({ createdAt: later(-90), expiresAt: later(3) })).toBe(
      `expiring;end=@${seconds(later(3))}, ${due}`,
    );
  });

  it("uses rotationAge, or no age at all", async () => {
    const createdAt = later(-30);
    expect(await noticeOf({ createdAt }, { rotationAge: "30d" })).toMatch(/^rotation-due/);
    expect(await noticeOf({ createdAt }, { rotationAge: "31d" })).toBeUndefined();
    expect(await noticeOf({ createdAt: later(-9_000) }, { rotationAge: false })).toBeUndefined();
    for (const rotationAge of [true, 90, "90", "0d", "-1d", null, "soon"]) {
      const store = storeOf(() => undefined);
      const options = { store, scopes, format, rotationAge } as unknown as VerifierOptions;
      expect(() => createVerifier(options)).toThrow(
        /^createVerifier: "rotationAge" must be a duration such as .*, or false$/,
      );
    }
  });

  it("ignores an invalid date of creation, which decides nothing", async () => {
    expect(await noticeOf({ createdAt: new Date(Number.NaN) })).toBeUndefined();
    expect(await noticeOf({ createdAt: "2001-01-01" as unknown as Date })).toBeUndefined();
  });

  it("follows the rotation of a key", async () => {
    const { manager, verifier, clock } = service();
    const { secret, key } = await manager.create({ ownerId: "acme", scopes: [], environment: "live" });
    const notice = async () => {
      const result = await verifier.verify(bearer(secret));
      return result.ok ? result.headers["API-Key-Notice"] : result.error.code;
    };
    expect(await notice()).toBeUndefined();
    await manager.rotate(key.id, { overlap: "24h" });
    expect(await notice()).toBe(`retiring;end=@${seconds(later(1))}`);
    clock.set(later(1));
    expect(await notice()).toBe("invalid_key");
  });
});
