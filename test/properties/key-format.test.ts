import { crc32 } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { keyFormat } from "../../src/index.js";
import { checksum, format } from "../unit/core/fixtures.js";
import { runs } from "./runs.js";

const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LEAD = "ezt_live_".length;
const CHECKSUM = 6;

const options = fc
  .record({
    prefix: fc.option(fc.stringMatching(/^[A-Za-z][A-Za-z0-9]{0,6}(_[A-Za-z0-9]{1,4}){0,2}$/), {
      nil: undefined,
    }),
    environments: fc.option(
      fc.uniqueArray(fc.stringMatching(/^[A-Za-z0-9]{1,8}$/), { minLength: 1, maxLength: 4 }),
      { nil: undefined },
    ),
    alphabet: fc.constantFrom("base62", "hex", "ABCDEFGHJKMNPQRSTVWXYZ23456789", "01", "._~+/-0123456789"),
    extra: fc.nat(20),
    checksum: fc.boolean(),
  })
  .map(({ prefix, environments, alphabet, extra, checksum }) => {
    const size = alphabet === "base62" ? 62 : alphabet === "hex" ? 16 : alphabet.length;
    return {
      alphabet,
      checksum,
      length: Math.ceil(128 / Math.log2(size)) + extra,
      ...(prefix !== undefined && { prefix }),
      ...(prefix !== undefined && environments !== undefined && { environments }),
    };
  });

describe("keyFormat", () => {
  test("parses what it generates, and shows four random characters of it", () => {
    fc.assert(
      fc.property(options, fc.nat(), (choice, pick) => {
        const own = keyFormat(choice);
        const environment = choice.environments?.[pick % choice.environments.length];
        const secret = own.generate(environment);
        const lead = [choice.prefix, environment, ""].filter((part) => part !== undefined).join("_");
        expect(secret.startsWith(lead)).toBe(true);
        expect(secret).toHaveLength(lead.length + choice.length + (choice.checksum ? 6 : 0));
        expect(own.parse(secret)).toEqual({ environment });
        expect(own.start(secret)).toBe(secret.slice(0, lead.length + 4));
        if (choice.checksum) expect(secret.slice(-6)).toBe(checksum(secret.slice(0, -6)));
        for (const wrong of [secret.slice(0, -1), `${secret}0`, ` ${secret}`, `${secret}\n`, ""]) {
          expect(own.parse(wrong)).toBeUndefined();
        }
      }),
      runs(300),
    );
  });
});

/*
 * What the checksum detects:
 * - every change within 32 consecutive bits, and so within four characters, as any CRC-32;
 * - every change of two characters of the random part, at any distance. Not every CRC does; the first test proves it for
 *   this one, up to the maximum length of the random part;
 * - every change of the checksum alone, because a number has only one checksum.
 *
 * Any other change, such as one character of the random part and one of the checksum, is missed once in 2^32 times.
 */
describe("a change of a secret", () => {
  const MAX_RANDOM = 256;

  test("two changed characters of the random part never cancel each other, at any distance", () => {
    // A CRC is linear: the effect of two changes is the XOR of their effects on a string of zeros.
    const zeros = Buffer.alloc(MAX_RANDOM);
    const empty = Array.from({ length: MAX_RANDOM + 1 }, (_, length) => crc32(zeros.subarray(0, length)));
    /** The effect on the CRC of a difference in one character, `after` characters before the end. */
    const effect = (difference: number, after: number) =>
      (crc32(Buffer.from([difference, ...zeros.subarray(0, after)])) ^ (empty[after + 1] as number)) >>> 0;
    const ofLast = new Set(Array.from({ length: 127 }, (_, index) => effect(index + 1, 0)));
    expect(ofLast.size).toBe(127);
    for (let distance = 1; distance < MAX_RANDOM; distance++) {
      for (let difference = 1; difference < 128; difference++) {
        if (ofLast.has(effect(difference, distance)))
          expect.fail(`${difference} at a distance of ${distance}`);
      }
    }
  });

  test("of one character is rejected", () => {
    const characters = `${BASE62}_-.~+/= \u00e9\n\0`;
    for (const secret of [format.generate("live"), format.generate("test")]) {
      for (let at = 0; at <= secret.length; at++) {
        const [before, after] = [secret.slice(0, at), secret.slice(at)];
        for (const character of characters) {
          const set = before + character + after.slice(1);
          if (set !== secret && format.parse(set) !== undefined)
            expect.fail(`${at} -> ${character} is accepted`);
          if (format.parse(before + character + after) !== undefined)
            expect.fail(`${character} inserted at ${at} is accepted`);
        }
        if (at < secret.length && format.parse(before + after.slice(1)) !== undefined)
          expect.fail(`a secret without character ${at} is accepted`);
      }
    }
  });

  const secrets = fc.constantFrom("live", "test").map((environment) => format.generate(environment));
  const inRandom = fc.integer({ min: LEAD, max: LEAD + 31 });
  const inChecksum = fc.integer({ min: LEAD + 32, max: LEAD + 37 });
  const letter = fc.constantFrom(...BASE62);
  const put = (secret: string, changes: readonly (readonly [number, string])[]) => {
    const characters = [...secret];
    for (const [at, character] of changes) characters[at] = character;
    return characters.join("");
  };

  test("of two characters of the random part, or of any number in the checksum, is rejected", () => {
    const change = fc.oneof(
      fc.array(fc.tuple(inRandom, letter), { minLength: 1, maxLength: 2 }),
      fc.array(fc.tuple(inChecksum, letter), { minLength: 1, maxLength: 6 }),
    );
    fc.assert(
      fc.property(secrets, change, (secret, changes) => {
        const changed = put(secret, changes);
        fc.pre(changed !== secret);
        expect(format.parse(changed)).toBeUndefined();
      }),
      runs(10_000),
    );
  });

  test("of four consecutive characters of the random part is rejected, also if reversed or shifted", () => {
    const place = fc.integer({ min: LEAD, max: LEAD + 28 });
    const four = fc.tuple(letter, letter, letter, letter);
    const make = fc.constantFrom(
      (_: string, random: readonly string[]) => random.join(""),
      (own: string) => own.slice(1) + own[0],
      (own: string) => [...own].reverse().join(""),
      (own: string) => `${own[1]}${own[0]}${own.slice(2)}`,
      (own: string, random: readonly string[]) => `${random[0]}${own.slice(0, 3)}`,
    );
    fc.assert(
      fc.property(secrets, place, four, make, (secret, at, random, how) => {
        const changed = secret.slice(0, at) + how(secret.slice(at, at + 4), random) + secret.slice(at + 4);
        fc.pre(changed !== secret);
        expect(format.parse(changed)).toBeUndefined();
      }),
      runs(10_000),
    );
  });

  test("by swapping two characters of the same part is rejected", () => {
    const secret = format.generate("live");
    for (let i = LEAD; i < secret.length; i++) {
      for (let j = i + 1; j < secret.length; j++) {
        const acrossParts = i < LEAD + 32 && j >= LEAD + 32;
        const swapped = put(secret, [
          [i, secret[j] as string],
          [j, secret[i] as string],
        ]);
        if (swapped !== secret && !acrossParts) expect(format.parse(swapped)).toBeUndefined();
      }
    }
  });

  test("of any other kind is accepted only if the result has a correct checksum", () => {
    const edit = fc.record({
      at: fc.nat(LEAD + 38),
      how: fc.constantFrom("set", "insert", "delete", "swap"),
      character: fc.oneof(letter, fc.constantFrom("_", "-", " ", "\u00e9")),
    });
    fc.assert(
      fc.property(secrets, fc.array(edit, { minLength: 1, maxLength: 4 }), (secret, edits) => {
        const characters = [...secret];
        for (const { at, how, character } of edits) {
          if (how === "set") characters[at] = character;
          else if (how === "insert") characters.splice(at, 0, character);
          else if (how === "delete") characters.splice(at, 1);
          else characters.splice(at, 2, ...characters.slice(at, at + 2).reverse());
        }
        const changed = characters.join("");
        const isSecret =
          /^ezt_(?:live|test)_[0-9A-Za-z]{38}$/.test(changed) &&
          checksum(changed.slice(0, -CHECKSUM)) === changed.slice(-CHECKSUM);
        expect(format.parse(changed) !== undefined).toBe(isSecret);
      }),
      runs(10_000),
    );
  });
});
