import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeCursor } from "../../../src/core/keys/cursor.js";
import { momentColumn, numberColumn, words } from "../../../src/stores/memory/columns.js";
import { newest } from "../../../src/stores/memory/newest.js";
import { packedTexts } from "../../../src/stores/memory/packed.js";
import { createPool } from "../../../src/stores/memory/pool.js";
import { recent } from "../../../src/stores/memory/recent.js";
import { uniqueTexts } from "../../../src/stores/memory/unique.js";

const BLOCK = 65_536;

/** Rows at the edges of blocks, and of the sizes that blocks grow by. */
const row = fc.oneof(
  fc.nat(200),
  fc.constantFrom(63, 64, 127, 128, BLOCK - 1, BLOCK, BLOCK + 63, BLOCK + 64, 3 * BLOCK - 1),
);

const hexDigit = fc.constantFrom(..."0123456789abcdef");
const hex = (digits: number) =>
  fc.array(hexDigit, { minLength: digits, maxLength: digits }).map((all) => all.join(""));

/** Texts of every form, among them some that are nearly of another. */
const anyText = fc.oneof(
  hex(64),
  hex(32).map((digits) => `key_${digits}`),
  hex(64).map((digits) => `v1:${digits}`),
  hex(64).map((digits) => digits.toUpperCase()),
  hex(63),
  hex(65),
  hex(64).map((digits) => `é${digits}`),
  hex(64).map((digits) => `${"long".repeat(20)}${digits}`),
  hex(60).map((digits) => `${digits.slice(0, 8)}ǁ😀${digits.slice(8)}`),
  hex(64).map((digits) => `${digits.slice(0, 63)}\ud800`),
  fc.constantFrom("", "0".repeat(64), "f".repeat(64), "__proto__", "\0", "\ud83d", "key_"),
  fc.string({ unit: "binary" }),
  fc.uuid(),
);

describe("numberColumn", () => {
  const number = fc.oneof(
    fc.nat(300),
    fc.nat(70_000),
    fc.nat(2 ** 32),
    fc.integer(),
    fc.double({ noNaN: true }).filter((value) => !Object.is(value, -0)),
    fc.constantFrom(255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER),
  );

  test.each([0, 1, 300])("is an array whose empty places are %i", (empty) => {
    fc.assert(
      fc.property(fc.array(fc.tuple(row, number)), (writes) => {
        const column = numberColumn(empty);
        const model = new Map<number, number>();
        for (const [at, value] of writes) {
          column.set(at, value);
          model.set(at, value);
        }
        for (const at of [...model.keys(), 0, 5, BLOCK, 9 * BLOCK]) {
          expect(column.get(at)).toBe(model.get(at) ?? empty);
        }
      }),
    );
  });

  test("finds the last row before another that has a value", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(row, fc.integer({ min: 1, max: 400 }))), row, (writes, before) => {
        const column = numberColumn();
        for (const [at, value] of writes) column.set(at, value);
        const values = new Map(writes);
        for (const value of [1, 2, 300, 70_000, -1, ...values.values()]) {
          const expected = [...values].filter(([at, found]) => at < before && found === value);
          expect(column.lastBefore(before, value)).toBe(Math.max(-1, ...expected.map(([at]) => at)));
        }
      }),
    );
  });
});

describe("momentColumn", () => {
  const DAY = 86_400_000;
  const FIRST = new Date("0001-01-01T00:00:00Z").getTime();
  const LAST = new Date("9999-12-31T23:59:59.999Z").getTime();
  const moment = fc.oneof(
    fc.constant(null),
    fc.integer({ min: 1.7e12, max: 1.7e12 + DAY }),
    fc.integer({ min: 1.7e12 - 60 * DAY, max: 1.7e12 + 60 * DAY }),
    fc.integer({ min: FIRST, max: LAST }),
    fc.constantFrom(0, -1, 1, FIRST, LAST, 8.64e15, -8.64e15, -(2 ** 31), 2 ** 31, 2 ** 32, -(2 ** 32)),
    // As far from each other as the short form reaches, and a little farther.
    fc.constantFrom(...[0, 1, -1, 2].flatMap((more) => [1.7e12 + 2 ** 31 + more, 1.7e12 - 2 ** 31 - more])),
  );

  test.each([
    ["of its own", () => momentColumn()],
    ["of words", () => momentColumn(words(3).column(1))],
  ])("is an array of moments with codes %s", (_, create) => {
    fc.assert(
      fc.property(fc.array(fc.tuple(row, moment)), (writes) => {
        const column = create();
        const model = new Map<number, number | null>();
        for (const [at, time] of writes) {
          column.set(at, time);
          model.set(at, time);
        }
        for (const at of [...model.keys(), 0, 5, BLOCK, 9 * BLOCK]) {
          expect(column.get(at)).toBe(model.get(at) ?? null);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("leaps over no moment that is looked for", () => {
    const present = moment.map((time) => time ?? 5);
    fc.assert(
      fc.property(fc.array(fc.tuple(row, present)), present, present, (writes, one, other) => {
        const column = momentColumn();
        const times = new Map(writes);
        for (const [at, time] of writes) column.set(at, time);
        const [earliest, latest] = [Math.min(one, other), Math.max(one, other)];
        for (const from of times.keys()) {
          const to = column.leap(from, earliest, latest);
          expect(to).toBeLessThanOrEqual(from);
          const missed = [...times].filter(
            ([at, time]) => at >= to && at < from && time >= earliest && time <= latest,
          );
          expect(missed).toEqual([]);
        }
      }),
    );
  });
});

describe("packedTexts", () => {
  test.each([64, 32])("gives back every text, of %i digits or not", (digits) => {
    fc.assert(
      fc.property(fc.array(fc.tuple(row, anyText)), (writes) => {
        const texts = packedTexts(words(digits / 8 + 2), 1, digits);
        const model = new Map<number, string>();
        for (const [at, text] of writes) {
          if (model.has(at)) texts.clear(at);
          texts.set(at, text);
          model.set(at, text);
        }
        for (const [at, text] of model) expect(texts.get(at)).toBe(text);
      }),
      { numRuns: 300 },
    );
  });

  test("packs digits behind a lead, and nothing else", () => {
    const texts = packedTexts(words(4), 0, 32);
    const digits = "0123456789abcdef".repeat(2);
    const isPacked = (text: string) => {
      texts.set(0, text);
      const packed = !texts.isOdd(0);
      texts.clear(0);
      return packed;
    };
    for (const text of [digits, `key_${digits}`, `k${digits}`, `0${digits}`])
      expect(isPacked(text)).toBe(true);
    for (const text of [
      "",
      digits.slice(1),
      digits.toUpperCase(),
      `${digits} `,
      `é${digits}`,
      `${"x".repeat(65)}${digits}`,
    ])
      expect(isPacked(text), text).toBe(false);
  });

  test("has an end to its leads, and works past it", () => {
    const texts = packedTexts(words(4), 0, 32);
    const digits = "0123456789abcdef".repeat(2);
    for (let at = 0; at < 1_000; at++) texts.set(at, `${at}_${digits}`);
    for (let at = 0; at < 1_000; at++) expect(texts.get(at)).toBe(`${at}_${digits}`);
    expect(texts.isOdd(254)).toBe(false);
    expect(texts.isOdd(255)).toBe(true);
  });
});

describe("uniqueTexts", () => {
  test("is a Map both ways", () => {
    const operation = fc.record({ text: anyText, remove: fc.boolean() });
    fc.assert(
      fc.property(fc.array(operation, { size: "large" }), fc.array(anyText), (operations, others) => {
        const texts = uniqueTexts(words(8), 0, 64);
        const model = new Map<string, number>();
        const free: number[] = [];
        for (const { text, remove } of operations) {
          const at = model.get(text);
          expect(texts.find(text)).toBe(at);
          if (at === undefined) {
            const added = free.pop() ?? model.size;
            texts.set(added, text);
            model.set(text, added);
          } else if (remove) {
            texts.clear(at);
            model.delete(text);
            free.push(at);
          }
        }
        for (const [text, at] of model) {
          expect(texts.find(text)).toBe(at);
          expect(texts.get(at)).toBe(text);
        }
        for (const text of others) expect(texts.find(text)).toBe(model.get(text));
      }),
    );
  });

  test("tells texts apart that have their first and last digits in common", () => {
    const texts = uniqueTexts(words(8), 0, 64);
    const middle = (number: number) => number.toString(16).padStart(48, "0");
    const text = (number: number) => `${"a".repeat(8)}${middle(number)}${"b".repeat(8)}`;
    for (let at = 0; at < 300; at++) texts.set(at, text(at));
    for (let at = 0; at < 300; at += 3) texts.clear(at);
    for (let at = 0; at < 300; at++) expect(texts.find(text(at))).toBe(at % 3 === 0 ? undefined : at);
    expect(texts.find(text(300))).toBeUndefined();
  });

  test.each([
    ["counted", (number: number) => number.toString(16).padStart(64, "0")],
    ["counted from the left", (number: number) => number.toString(16).padEnd(64, "0")],
    ["scattered", (number: number) => (number * 0x9e3779b1).toString(16).padStart(32, "0").repeat(2)],
  ])("finds 100,000 %s texts while others come and go", (_, text) => {
    const texts = uniqueTexts(words(8), 0, 64);
    const different = [...new Set(Array.from({ length: 100_000 }, (_, number) => text(number + 1)))];
    for (const [at, one] of different.entries()) texts.set(at, one);
    for (let at = 1; at < different.length; at += 2) texts.clear(at);
    const found = different.map((one) => texts.find(one));
    expect(found.filter((at, index) => at !== (index % 2 === 1 ? undefined : index))).toEqual([]);
  });

  test("a million removals leave nothing behind", () => {
    const texts = uniqueTexts(words(8), 0, 64);
    const text = (number: number) => (number * 0x9e3779b97f4a).toString(16).padStart(64, "0");
    const turn = (from: number, to: number) => {
      for (let number = from; number < to; number++) {
        if (number >= 40) texts.clear(number % 40);
        texts.set(number % 40, text(number));
      }
    };
    turn(0, 1_000);
    const before = process.memoryUsage().arrayBuffers;
    turn(1_000, 1_000_000);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100_000);
    for (let number = 1_000_000 - 40; number < 1_000_000; number++) {
      expect(texts.find(text(number))).toBe(number % 40);
    }
    expect(texts.find(text(5))).toBeUndefined();
  });
});

describe("createPool", () => {
  test("keeps equal values once, and forgets those that nobody has", () => {
    const operation = fc.record({
      key: fc.constantFrom("a", "b", "c", "", "__proto__"),
      release: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(operation), (operations) => {
        const pool = createPool((key) => ({ key }));
        const taken: number[] = [];
        for (const { key, release } of operations) {
          const number = release ? taken.findIndex((one) => pool.get(one)?.key === key) : -1;
          if (number >= 0) pool.release(taken.splice(number, 1)[0] as number);
          else {
            const one = pool.take(key);
            expect(pool.get(one)).toEqual({ key });
            expect(pool.get(pool.find(key) as number)).toBe(pool.get(one));
            taken.push(one);
          }
          const held = new Set(taken);
          const values = new Set([...held].map((one) => pool.get(one)?.key));
          expect(values.size).toBe(held.size);
          for (const any of ["a", "b", "c", "", "__proto__"]) {
            expect(pool.find(any) !== undefined).toBe(values.has(any));
          }
        }
      }),
    );
  });

  test("uses the numbers of forgotten values again", () => {
    const pool = createPool((key) => key);
    const numbers = Array.from({ length: 1_000 }, (_, index) => {
      const number = pool.take(`value ${index}`);
      pool.release(number);
      return number;
    });
    expect(new Set(numbers).size).toBe(1);
  });

  test("has 0 for null", () => {
    const pool = createPool((key) => key);
    expect([pool.take(null), pool.find(null), pool.get(0)]).toEqual([0, 0, null]);
    pool.release(0);
    expect(pool.take("first")).not.toBe(0);
  });
});

describe("recent", () => {
  test("makes a row anew until it is asked for twice, and again after it has changed", () => {
    let made = 0;
    const records = recent((of) => ({ of, made: ++made }));
    expect(records.get(7)).toEqual({ of: 7, made: 1 });
    expect(records.get(7)).toEqual({ of: 7, made: 2 });
    expect(records.get(7)).toEqual({ of: 7, made: 2 });
    records.forget(7);
    expect(records.get(7)).toEqual({ of: 7, made: 3 });
    records.forget(8);
    expect(records.get(7)).toEqual({ of: 7, made: 4 });
    expect(records.get(7 + 16_384).of).toBe(7 + 16_384);
    expect(records.get(7)).toEqual({ of: 7, made: 6 });
  });

  test("never answers another row, or one that has changed since", () => {
    const operation = fc.record({ at: fc.constantFrom(0, 1, 16_384, 16_385, 32_768), change: fc.boolean() });
    fc.assert(
      fc.property(fc.array(operation), (operations) => {
        const versions = new Map<number, number>();
        const records = recent((at) => `${at} in version ${versions.get(at) ?? 0}`);
        for (const { at, change } of operations) {
          if (change) {
            versions.set(at, (versions.get(at) ?? 0) + 1);
            records.forget(at);
          }
          expect(records.get(at)).toBe(`${at} in version ${versions.get(at) ?? 0}`);
        }
      }),
    );
  });
});

describe("newest", () => {
  const place = fc.record({
    time: fc.integer({ min: 0, max: 4 }),
    id: fc.string({ maxLength: 2 }),
    use: fc.boolean(),
  });
  const sameTimeAndId = ({ time, id }: { time: number; id: string }) => `${time} ${id}`;

  test("pages are those of a sorted list", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(place, { selector: sameTimeAndId, maxLength: 60 }),
        fc.integer({ min: 1, max: 7 }),
        (places, limit) => {
          const times = momentColumn();
          for (const [at, { time }] of places.entries()) times.set(at, time);
          const timeline = {
            end: () => places.length,
            timeAt: (at: number) => times.get(at) as number,
            idAt: (at: number) => places[at]?.id as string,
            leap: times.leap,
          };
          const selection = {
            previous: (at: number) => at - 1,
            has: (at: number) => places[at]?.use === true,
          };
          const seen: unknown[] = [];
          let cursor: string | undefined;
          do {
            const page = newest(timeline, selection, (at) => places[at], { cursor, limit });
            expect(page.items.length).toBeLessThanOrEqual(limit);
            seen.push(...page.items);
            cursor = page.nextCursor;
            if (cursor !== undefined) {
              expect(page.items.length).toBe(limit);
              const last = page.items.at(-1);
              expect(decodeCursor(cursor)).toEqual({ at: new Date(last?.time as number), id: last?.id });
            }
          } while (cursor !== undefined);
          const sorted = places
            .filter(({ use }) => use)
            .sort((a, b) => b.time - a.time || (a.id < b.id ? 1 : -1));
          expect(seen).toEqual(sorted);
        },
      ),
      { numRuns: 300 },
    );
  });
});
