import { describe, expect, test, vi } from "vitest";
import { StoreError } from "../../../src/index.js";
import {
  down,
  failing,
  KINDS,
  MINUTE,
  names,
  never,
  outcome,
  pass,
  rejection,
  sleep,
  tidily,
} from "./fixtures.js";

tidily();

describe.each(KINDS)("$name, behind the requests", ({ make, delayMs, batchSize }) => {
  test("what comes together is written together, after a while", async () => {
    vi.useFakeTimers();
    const { note, store } = make();
    note("a");
    await pass(delayMs - 1);
    note("b");
    expect(store.calls).toEqual([]);
    await pass(1);
    expect(store.calls).toEqual([["a", "b"]]);
    await pass(10 * MINUTE);
    expect(store.calls).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("a full batch does not wait, but neither does the request for it", async () => {
    vi.useFakeTimers();
    const { note, store } = make();
    for (const name of names(batchSize - 1)) note(name);
    await pass(0);
    expect(store.calls).toEqual([]);
    note("last");
    expect(store.calls).toEqual([]);
    await pass(0);
    expect(store.calls.map(({ length }) => length)).toEqual([batchSize]);
  });

  test("a slow store has one call at a time, and what comes meanwhile goes with the next", async () => {
    vi.useFakeTimers();
    let underWay = 0;
    let most = 0;
    const { note, store, flush } = make({}, async () => {
      most = Math.max(most, ++underWay);
      await sleep(3_000);
      underWay--;
    });
    for (let i = 0; i < 200; i++) {
      note(`key_${i}`);
      if (i % 7 === 0) rejection(flush());
      await pass(100);
    }
    await pass(MINUTE);
    expect(most).toBe(1);
    expect(store.calls.length).toBeLessThan(20);
    expect(store.calls.flat().sort()).toEqual(names(200).sort());
  });
});

describe.each(KINDS)("$name, while a call is under way", ({ make, delayMs, batchSize }) => {
  test("gathers what comes, and makes it wait no less than usual", async () => {
    vi.useFakeTimers();
    const { note, store } = make({}, () => sleep(1_000));
    note("a");
    await pass(delayMs);
    for (let i = 0; i < 9; i++) {
      note(`key_${i}`);
      await pass(100);
    }
    await pass(100 + delayMs - 1);
    expect(store.calls).toEqual([["a"]]);
    await pass(1);
    expect(store.calls).toEqual([["a"], names(9)]);
  });

  test("stays the only one, also when the call itself is a request that is noted", async () => {
    vi.useFakeTimers();
    let underWay = 0;
    let most = 0;
    const { note, kept } = make({}, async (call) => {
      most = Math.max(most, ++underWay);
      if (call === 1) note("b");
      await sleep(8_000);
      underWay--;
    });
    note("a");
    await pass(MINUTE);
    expect(most).toBe(1);
    expect(kept()).toEqual(["a", "b"]);
  });

  test("a batch that fills up goes out right after it", async () => {
    vi.useFakeTimers();
    const { note, store } = make({}, () => sleep(1_000));
    note("a");
    await pass(delayMs);
    for (const name of names(batchSize)) note(name);
    await pass(999);
    expect(store.calls).toHaveLength(1);
    await pass(1);
    expect(store.calls.map(({ length }) => length)).toEqual([1, batchSize]);
  });
});

describe.each(KINDS)("$name, when the store fails", ({ make, delayMs }) => {
  test("everything rests, for longer and longer, up to a minute; then nothing is lost", async () => {
    vi.useFakeTimers();
    const at: number[] = [];
    const { note, store, told, kept } = make({}, () => {
      at.push(performance.now());
      return failing();
    });
    note("a");
    await pass(delayMs);
    for (let minute = 0; minute < 30; minute++) {
      note(`key_${minute}`);
      await pass(MINUTE);
    }
    const rests = at.slice(1).map((time, i) => time - (at[i] ?? 0));
    const steps = [2_000, 4_000, 8_000, 16_000, 32_000];
    for (const [i, rest] of rests.entries()) {
      const step = steps[i] ?? MINUTE;
      expect(rest).toBeGreaterThanOrEqual(step / 2);
      expect(rest).toBeLessThanOrEqual(step + 1);
    }
    expect(rests.length).toBeGreaterThan(30);
    expect(new Set(rests.slice(5).map(Math.round)).size).toBeGreaterThan(5); // they are spread
    expect(told).toHaveLength(at.length);
    expect(told[0]).toEqual({ error: down, report: { pending: 1, dropped: 0 } });
    expect(told.at(-1)?.report).toEqual({ pending: 31, dropped: 0 });

    store.answer = () => {};
    await pass(MINUTE);
    expect(kept().sort()).toEqual(["a", ...names(30)].sort());
    expect(told).toHaveLength(at.length);
  });

  test.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw down;
      },
    ],
    ["rejects", failing],
    ["rejects with nothing", () => Promise.reject(undefined)],
    [
      "answers a query that fails when it is awaited",
      () => ({
        // biome-ignore lint/suspicious/noThenProperty: as query builders have it
        then: (_: unknown, reject: (error: unknown) => void) => reject(down),
      }),
    ],
  ])("one that %s is tried again", async (_, fail) => {
    vi.useFakeTimers();
    const { note, store, told, kept, flush } = make({}, (call) => (call < 3 ? fail() : undefined));
    note("a");
    await pass(delayMs);
    expect(told).toHaveLength(1);
    expect(await rejection(flush())).toBe(told[0]?.error);
    expect(told.map(({ report }) => report)).toEqual(Array(2).fill({ pending: 1, dropped: 0 }));
    await pass(4_000);
    expect(store.calls).toHaveLength(3);
    expect(kept()).toEqual(["a"]);
  });

  test("one that hangs is given up after the time limit, and its late answer changes nothing", async () => {
    vi.useFakeTimers();
    const ends: (() => void)[] = [];
    const hanging = () => new Promise<void>((resolve) => ends.push(resolve));
    const { note, store, told, kept } = make({}, hanging);
    note("a");
    await pass(delayMs + 9_999);
    expect([store.calls.length, told.length]).toEqual([1, 0]);
    await pass(1);
    expect(told).toEqual([{ error: expect.any(StoreError), report: { pending: 1, dropped: 0 } }]);
    store.answer = () => {};
    await pass(2_000);
    expect(kept()).toEqual(["a"]);
    for (const end of ends) end();
    await pass(MINUTE);
    expect([store.calls.length, told.length]).toEqual([2, 1]);
    expect(kept()).toEqual(["a"]);
  });

  test("the time limit is an option", async () => {
    vi.useFakeTimers();
    const { note, told, flush } = make({ storeTimeout: "50ms" }, never);
    note("a");
    expect(await outcome(flush(), 100)).toBeInstanceOf(StoreError);
    expect(told).toHaveLength(1);
  });

  test("a rest is not cut short by what comes meanwhile, however much it is", async () => {
    vi.useFakeTimers();
    const { note, store } = make({}, failing);
    note("a");
    await pass(delayMs);
    expect(store.calls).toHaveLength(1);
    for (const [i, name] of names(12_000).entries()) {
      note(name);
      if (i % 1_000 === 0) await pass(80);
    }
    expect(store.calls).toHaveLength(1);
    await pass(1_050);
    expect(store.calls).toHaveLength(2);
  });

  test.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("of the host");
      },
    ],
    ["rejects", () => Promise.reject(new Error("of the host"))],
    ["never answers", never],
  ])("an onError that %s disturbs nobody", async (_, onError) => {
    vi.useFakeTimers();
    const { note, kept } = make({ onError }, (call) => (call < 3 ? failing() : undefined));
    note("a");
    await pass(MINUTE);
    expect(kept()).toEqual(["a"]);
  });
});

describe.each(KINDS)("$name, flushed", ({ make, delayMs }) => {
  test("has written what came before when it answers, however many flush at once", async () => {
    for (let round = 0; round < 40; round++) {
      const { note, flush, close, kept, store } = make({ interval: "1ms" }, () => sleep(Math.random() * 2));
      const noted: string[] = [];
      const flushing = async () => {
        await sleep(Math.random() * 4);
        for (let i = 0; i < 4; i++) {
          const name = `key_${noted.length}`;
          note(name);
          noted.push(name);
          const before = [...noted];
          await flush();
          expect(kept()).toEqual(expect.arrayContaining(before));
        }
      };
      await Promise.all([flushing(), flushing(), flushing(), flushing()]);
      await close();
      expect(kept().sort()).toEqual(noted.sort());
      expect(store.calls.flat()).toHaveLength(noted.length);
    }
  });

  test("a failed one is tried again behind the requests", async () => {
    vi.useFakeTimers();
    const { note, flush, kept, told } = make({}, (call) => (call === 1 ? failing() : undefined));
    note("a");
    expect(await rejection(flush())).toBe(down);
    expect(told).toEqual([{ error: down, report: { pending: 1, dropped: 0 } }]);
    await pass(2_001);
    expect(kept()).toEqual(["a"]);
  });

  test("with nothing to write it asks the store nothing", async () => {
    vi.useFakeTimers();
    const { flush, close, store } = make();
    await Promise.all([flush(), flush()]);
    await pass(delayMs);
    await close();
    expect(store.calls).toEqual([]);
  });
});
