import { describe, expect, test, vi } from "vitest";
import {
  down,
  drops,
  failing,
  KINDS,
  MINUTE,
  names,
  never,
  outcome,
  pass,
  rejection,
  tidily,
} from "./fixtures.js";

tidily();

describe.each(KINDS)("$name holds no more than it may", ({ name, make, delayMs, batchSize }) => {
  test("with a store that hangs, a million keys leave 10,000 waiting, and the rest is counted", async () => {
    vi.useFakeTimers();
    const tracked = make({}, never);
    const { note, told, store } = tracked;
    let worst = 0;
    for (let i = 0; i < 1_000_000; i++) {
      note(`key_${i}`);
      if (i % 50_000 === 0) await pass(2_000);
    }
    for (const { report } of told) worst = Math.max(worst, report.pending);
    expect(worst).toBeLessThanOrEqual(10_000 + batchSize);
    expect(drops(tracked)).toHaveLength(1); // once, not a million times

    store.answer = () => {};
    await pass(2 * MINUTE);
    const written = tracked.kept().length;
    expect(written).toBeLessThanOrEqual(10_000 + batchSize);
    expect(told.at(-1)?.report.dropped).toBe(1_000_000 - written);
    expect(drops(tracked)).toHaveLength(2);
    expect(String(drops(tracked)[1]?.error)).toContain(`${1_000_000 - written} in all`);
  });

  test("the first loss is told at once; the next outage is told anew, with the total of both", async () => {
    vi.useFakeTimers();
    const tracked = make({}, failing);
    const { note, store, flush } = tracked;
    await pass(1);
    for (let outage = 1; outage <= 2; outage++) {
      store.answer = failing;
      for (const key of names(10_007)) note(`${outage}_${key}`);
      expect(drops(tracked).at(-1)?.report.dropped).toBe((outage - 1) * 7 + 1);
      await pass(delayMs);
      store.answer = () => {};
      await outcome(flush(), 1_000);
      await pass(MINUTE);
      expect(drops(tracked)).toHaveLength(outage * 2);
      const total = drops(tracked).at(-1)?.report;
      expect(total?.dropped).toBe(outage * 7);
      expect(total?.pending).toBeLessThanOrEqual(5_000);
      if (name === "auditLog") expect(total?.pending).toBeGreaterThan(0); // told when half of the room is free
    }
    expect(tracked.kept()).toHaveLength(20_000);
  });

  test("what was on its way when the store failed, and finds its place taken, is counted", async () => {
    vi.useFakeTimers();
    let fail = (_: Error) => {};
    const hanging = () =>
      new Promise<void>((_, reject) => {
        fail = reject;
      });
    const tracked = make({}, hanging);
    const { note, told, store } = tracked;
    for (const key of names(batchSize)) note(key);
    await pass(0);
    expect(store.calls.map(({ length }) => length)).toEqual([batchSize]);
    for (const key of names(10_000, batchSize)) note(key);
    expect(told).toEqual([]); // there is room for as many beside the batch
    note("one more");
    expect(told.map(({ report }) => report)).toEqual([{ pending: 10_000 + batchSize, dropped: 1 }]);
    store.answer = () => {};
    fail(down);
    await pass(MINUTE);
    expect(tracked.kept()).toHaveLength(10_000);
    expect(told.at(-1)?.report.dropped).toBe(batchSize + 1);
    expect(drops(tracked)).toHaveLength(2);
  });

  test.runIf(name === "auditLog")("the bound is an option", async () => {
    vi.useFakeTimers();
    const tracked = make({ max: 3 });
    for (const key of names(5)) tracked.note(key);
    await pass(0); // three are a full batch here
    expect(tracked.kept()).toEqual(names(3));
    expect(tracked.told.at(-1)?.report).toEqual({ pending: 0, dropped: 2 });
  });
});

describe.each(KINDS)("$name, with a value that the store refuses", ({ make, delayMs }) => {
  const refusing = (bad: string) => (_: number, keys: readonly string[]) =>
    keys.includes(bad) ? failing() : undefined;

  test("writes the others, and in the end gives that one up", async () => {
    vi.useFakeTimers();
    const tracked = make({}, refusing("key_77"));
    const { note, kept, told, store } = tracked;
    for (const key of names(400)) note(key);
    await pass(2 * MINUTE);
    const others = names(400).filter((key) => key !== "key_77");
    expect(kept().sort()).toEqual(others.sort());
    for (let i = 0; i < 60; i++) {
      note(`more_${i}`);
      await pass(10_000);
    }
    expect(kept()).toHaveLength(399 + 60);
    expect(told.at(-1)?.report).toEqual({ pending: 0, dropped: 1 });
    expect(drops(tracked).map(({ error }) => String(error))[0]).toMatch(/which the store refuses/);
    const calls = store.calls.length;
    await pass(60 * MINUTE);
    expect(store.calls).toHaveLength(calls);
  });

  test("keeps it while the store is down for all", async () => {
    vi.useFakeTimers();
    const tracked = make({}, failing);
    for (const key of names(5)) tracked.note(key);
    await pass(24 * 60 * MINUTE);
    expect(drops(tracked)).toEqual([]);
    tracked.store.answer = () => {};
    await pass(2 * MINUTE);
    expect(tracked.kept().sort()).toEqual(names(5));
    expect(drops(tracked)).toEqual([]);
  });

  test("several are found one by one", async () => {
    vi.useFakeTimers();
    const bad = ["key_0", "key_50", "key_51", "key_99"];
    const tracked = make({}, (_, keys) => (keys.some((key) => bad.includes(key)) ? failing() : undefined));
    for (const key of names(100)) tracked.note(key);
    await pass(5 * MINUTE);
    expect(tracked.kept()).toHaveLength(96);
    for (let i = 0; i < 200; i++) {
      tracked.note(`more_${i}`);
      await pass(10_000);
    }
    expect(tracked.told.at(-1)?.report).toEqual({ pending: 0, dropped: 4 });
    expect(tracked.kept()).toHaveLength(296);
  });

  test("one flush after the other gets the rest through", async () => {
    vi.useFakeTimers();
    const { note, flush, kept } = make({}, refusing("key_3"));
    for (const key of names(20)) note(key);
    for (let i = 0; i < 12; i++) await rejection(flush());
    expect(kept()).toHaveLength(19);
    await pass(delayMs);
  });
});
