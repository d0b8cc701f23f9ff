import { describe, expect, it, vi } from "vitest";
import { StoreError } from "../../../src/index.js";
import {
  advance,
  cleanUpAfterEach,
  down,
  failing,
  KINDS,
  MINUTE,
  names,
  never,
  outcome,
  rejection,
  sleep,
} from "../../unit/observers/fixtures.js";

cleanUpAfterEach();

describe.each(KINDS)("$name in the background", ({ make, delayMs, batchSize }) => {
  it("batches values that arrive within the delay", async () => {
    vi.useFakeTimers();
    const { note, store } = make();
    note("a");
    await advance(delayMs - 1);
    note("b");
    expect(store.calls).toEqual([]);
    await advance(1);
    expect(store.calls).toEqual([["a", "b"]]);
    await advance(10 * MINUTE);
    expect(store.calls).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("writes a full batch at once, after the current task", async () => {
    vi.useFakeTimers();
    const { note, store } = make();
    for (const name of names(batchSize - 1)) note(name);
    await advance(0);
    expect(store.calls).toEqual([]);
    note("last");
    expect(store.calls).toEqual([]);
    await advance(0);
    expect(store.calls.map(({ length }) => length)).toEqual([batchSize]);
  });

  it("makes one call at a time to a slow store", async () => {
    vi.useFakeTimers();
    let inProgress = 0;
    let most = 0;
    const { note, store, flush } = make({}, async () => {
      most = Math.max(most, ++inProgress);
      await sleep(3_000);
      inProgress--;
    });
    for (let i = 0; i < 200; i++) {
      note(`key_${i}`);
      if (i % 7 === 0) rejection(flush());
      await advance(100);
    }
    await advance(MINUTE);
    expect(most).toBe(1);
    expect(store.calls.length).toBeLessThan(20);
    expect(store.calls.flat().sort()).toEqual(names(200).sort());
  });
});

describe.each(KINDS)("$name during a store call", ({ make, delayMs, batchSize }) => {
  it("batches new values with the usual delay", async () => {
    vi.useFakeTimers();
    const { note, store } = make({}, () => sleep(1_000));
    note("a");
    await advance(delayMs);
    for (let i = 0; i < 9; i++) {
      note(`key_${i}`);
      await advance(100);
    }
    await advance(100 + delayMs - 1);
    expect(store.calls).toEqual([["a"]]);
    await advance(1);
    expect(store.calls).toEqual([["a"], names(9)]);
  });

  it("makes no second call if the call itself emits an event", async () => {
    vi.useFakeTimers();
    let inProgress = 0;
    let most = 0;
    const { note, stored } = make({}, async (call) => {
      most = Math.max(most, ++inProgress);
      if (call === 1) note("b");
      await sleep(8_000);
      inProgress--;
    });
    note("a");
    await advance(MINUTE);
    expect(most).toBe(1);
    expect(stored()).toEqual(["a", "b"]);
  });

  it("writes a batch that became full right after the call", async () => {
    vi.useFakeTimers();
    const { note, store } = make({}, () => sleep(1_000));
    note("a");
    await advance(delayMs);
    for (const name of names(batchSize)) note(name);
    await advance(999);
    expect(store.calls).toHaveLength(1);
    await advance(1);
    expect(store.calls.map(({ length }) => length)).toEqual([1, batchSize]);
  });
});

describe.each(KINDS)("$name when the store fails", ({ make, delayMs }) => {
  it("retries with exponential back-off up to a minute and loses nothing", async () => {
    vi.useFakeTimers();
    const at: number[] = [];
    const { note, store, reports, stored } = make({}, () => {
      at.push(performance.now());
      return failing();
    });
    note("a");
    await advance(delayMs);
    for (let minute = 0; minute < 30; minute++) {
      note(`key_${minute}`);
      await advance(MINUTE);
    }
    const pauses = at.slice(1).map((time, i) => time - (at[i] ?? 0));
    const steps = [2_000, 4_000, 8_000, 16_000, 32_000];
    for (const [i, pause] of pauses.entries()) {
      const step = steps[i] ?? MINUTE;
      expect(pause).toBeGreaterThanOrEqual(step / 2);
      expect(pause).toBeLessThanOrEqual(step + 1);
    }
    expect(pauses.length).toBeGreaterThan(30);
    expect(new Set(pauses.slice(5).map(Math.round)).size).toBeGreaterThan(5); // random
    expect(reports).toHaveLength(at.length);
    expect(reports[0]).toEqual({ error: down, report: { pending: 1, dropped: 0 } });
    expect(reports.at(-1)?.report).toEqual({ pending: 31, dropped: 0 });

    store.respond = () => {};
    await advance(MINUTE);
    expect(stored().sort()).toEqual(["a", ...names(30)].sort());
    expect(reports).toHaveLength(at.length);
  });

  it.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw down;
      },
    ],
    ["rejects", failing],
    ["rejects with nothing", () => Promise.reject(undefined)],
    [
      "returns a query that fails when it is awaited",
      () => ({
        // biome-ignore lint/suspicious/noThenProperty: like a query builder
        then: (_: unknown, reject: (error: unknown) => void) => reject(down),
      }),
    ],
  ])("retries a call that %s", async (_, fail) => {
    vi.useFakeTimers();
    const { note, store, reports, stored, flush } = make({}, (call) => (call < 3 ? fail() : undefined));
    note("a");
    await advance(delayMs);
    expect(reports).toHaveLength(1);
    expect(await rejection(flush())).toBe(reports[0]?.error);
    expect(reports.map(({ report }) => report)).toEqual(Array(2).fill({ pending: 1, dropped: 0 }));
    await advance(4_000);
    expect(store.calls).toHaveLength(3);
    expect(stored()).toEqual(["a"]);
  });

  it("times out a hung call and ignores its late result", async () => {
    vi.useFakeTimers();
    const ends: (() => void)[] = [];
    const hanging = () => new Promise<void>((resolve) => ends.push(resolve));
    const { note, store, reports, stored } = make({}, hanging);
    note("a");
    await advance(delayMs + 9_999);
    expect([store.calls.length, reports.length]).toEqual([1, 0]);
    await advance(1);
    expect(reports).toEqual([{ error: expect.any(StoreError), report: { pending: 1, dropped: 0 } }]);
    store.respond = () => {};
    await advance(2_000);
    expect(stored()).toEqual(["a"]);
    for (const end of ends) end();
    await advance(MINUTE);
    expect([store.calls.length, reports.length]).toEqual([2, 1]);
    expect(stored()).toEqual(["a"]);
  });

  it("uses storeTimeout", async () => {
    vi.useFakeTimers();
    const { note, reports, flush } = make({ storeTimeout: "50ms" }, never);
    note("a");
    expect(await outcome(flush(), 100)).toBeInstanceOf(StoreError);
    expect(reports).toHaveLength(1);
  });

  it("does not shorten the back-off for new values", async () => {
    vi.useFakeTimers();
    const { note, store } = make({}, failing);
    note("a");
    await advance(delayMs);
    expect(store.calls).toHaveLength(1);
    for (const [i, name] of names(12_000).entries()) {
      note(name);
      if (i % 1_000 === 0) await advance(80);
    }
    expect(store.calls).toHaveLength(1);
    await advance(1_050);
    expect(store.calls).toHaveLength(2);
  });

  it.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("of the host");
      },
    ],
    ["rejects", () => Promise.reject(new Error("of the host"))],
    ["never settles", never],
  ])("ignores an onError that %s", async (_, onError) => {
    vi.useFakeTimers();
    const { note, stored } = make({ onError }, (call) => (call < 3 ? failing() : undefined));
    note("a");
    await advance(MINUTE);
    expect(stored()).toEqual(["a"]);
  });
});

describe.each(KINDS)("flush of $name", ({ make, delayMs }) => {
  it("resolves when all earlier values are written, with concurrent flushes", async () => {
    for (let round = 0; round < 40; round++) {
      const { note, flush, close, stored, store } = make({ interval: "1ms" }, () => sleep(Math.random() * 2));
      const noted: string[] = [];
      const flushing = async () => {
        await sleep(Math.random() * 4);
        for (let i = 0; i < 4; i++) {
          const name = `key_${noted.length}`;
          note(name);
          noted.push(name);
          const before = [...noted];
          await flush();
          expect(stored()).toEqual(expect.arrayContaining(before));
        }
      };
      await Promise.all([flushing(), flushing(), flushing(), flushing()]);
      await close();
      expect(stored().sort()).toEqual(noted.sort());
      expect(store.calls.flat()).toHaveLength(noted.length);
    }
  });

  it("is retried in the background after a failure", async () => {
    vi.useFakeTimers();
    const { note, flush, stored, reports } = make({}, (call) => (call === 1 ? failing() : undefined));
    note("a");
    expect(await rejection(flush())).toBe(down);
    expect(reports).toEqual([{ error: down, report: { pending: 1, dropped: 0 } }]);
    await advance(2_001);
    expect(stored()).toEqual(["a"]);
  });

  it("does not call the store if nothing is pending", async () => {
    vi.useFakeTimers();
    const { flush, close, store } = make();
    await Promise.all([flush(), flush()]);
    await advance(delayMs);
    await close();
    expect(store.calls).toEqual([]);
  });
});
