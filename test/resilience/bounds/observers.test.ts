import { describe, expect, it, vi } from "vitest";
import {
  advance,
  cleanUpAfterEach,
  down,
  drops,
  failing,
  KINDS,
  MINUTE,
  names,
  never,
  outcome,
  rejection,
} from "../../unit/observers/fixtures.js";

cleanUpAfterEach();

describe.each(KINDS)("$name with a full queue", ({ name, make, delayMs, batchSize }) => {
  it("keeps 10,000 pending values of a million while the store hangs, and counts the rest", async () => {
    vi.useFakeTimers();
    const tracked = make({}, never);
    const { note, reports, store } = tracked;
    let worst = 0;
    for (let i = 0; i < 1_000_000; i++) {
      note(`key_${i}`);
      if (i % 50_000 === 0) await advance(2_000);
    }
    for (const { report } of reports) worst = Math.max(worst, report.pending);
    expect(worst).toBeLessThanOrEqual(10_000 + batchSize);
    expect(drops(tracked)).toHaveLength(1); // once, not a million times

    store.respond = () => {};
    await advance(2 * MINUTE);
    const written = tracked.stored().length;
    expect(written).toBeLessThanOrEqual(10_000 + batchSize);
    expect(reports.at(-1)?.report.dropped).toBe(1_000_000 - written);
    expect(drops(tracked)).toHaveLength(2);
    expect(String(drops(tracked)[1]?.error)).toContain(`${1_000_000 - written} values were dropped`);
  });

  it("reports the first drop at once, and the next outage again with the total", async () => {
    vi.useFakeTimers();
    const tracked = make({}, failing);
    const { note, store, flush } = tracked;
    await advance(1);
    for (let outage = 1; outage <= 2; outage++) {
      store.respond = failing;
      for (const key of names(10_007)) note(`${outage}_${key}`);
      expect(drops(tracked).at(-1)?.report.dropped).toBe((outage - 1) * 7 + 1);
      await advance(delayMs);
      store.respond = () => {};
      await outcome(flush(), 1_000);
      await advance(MINUTE);
      expect(drops(tracked)).toHaveLength(outage * 2);
      const total = drops(tracked).at(-1)?.report;
      expect(total?.dropped).toBe(outage * 7);
      expect(total?.pending).toBeLessThanOrEqual(5_000);
      if (name === "auditLog") expect(total?.pending).toBeGreaterThan(0); // reported when half of the queue is free
    }
    expect(tracked.stored()).toHaveLength(20_000);
  });

  it("counts values of a failed batch that no longer fit", async () => {
    vi.useFakeTimers();
    let fail = (_: Error) => {};
    const hanging = () =>
      new Promise<void>((_, reject) => {
        fail = reject;
      });
    const tracked = make({}, hanging);
    const { note, reports, store } = tracked;
    for (const key of names(batchSize)) note(key);
    await advance(0);
    expect(store.calls.map(({ length }) => length)).toEqual([batchSize]);
    for (const key of names(10_000, batchSize)) note(key);
    expect(reports).toEqual([]); // the batch in progress does not count
    note("one more");
    expect(reports.map(({ report }) => report)).toEqual([{ pending: 10_000 + batchSize, dropped: 1 }]);
    store.respond = () => {};
    fail(down);
    await advance(MINUTE);
    expect(tracked.stored()).toHaveLength(10_000);
    expect(reports.at(-1)?.report.dropped).toBe(batchSize + 1);
    expect(drops(tracked)).toHaveLength(2);
  });

  it.runIf(name === "auditLog")("uses max", async () => {
    vi.useFakeTimers();
    const tracked = make({ max: 3 });
    for (const key of names(5)) tracked.note(key);
    await advance(0); // max also bounds the batch
    expect(tracked.stored()).toEqual(names(3));
    expect(tracked.reports.at(-1)?.report).toEqual({ pending: 0, dropped: 2 });
  });
});

describe.each(KINDS)("$name with a value that the store rejects", ({ make, delayMs }) => {
  const rejecting = (bad: string) => (_: number, keys: readonly string[]) =>
    keys.includes(bad) ? failing() : undefined;

  it("writes the others and gives up the bad value", async () => {
    vi.useFakeTimers();
    const tracked = make({}, rejecting("key_77"));
    const { note, stored, reports, store } = tracked;
    for (const key of names(400)) note(key);
    await advance(2 * MINUTE);
    const others = names(400).filter((key) => key !== "key_77");
    expect(stored().sort()).toEqual(others.sort());
    for (let i = 0; i < 60; i++) {
      note(`more_${i}`);
      await advance(10_000);
    }
    expect(stored()).toHaveLength(399 + 60);
    expect(reports.at(-1)?.report).toEqual({ pending: 0, dropped: 1 });
    expect(drops(tracked).map(({ error }) => String(error))[0]).toMatch(/which the store rejects/);
    const calls = store.calls.length;
    await advance(60 * MINUTE);
    expect(store.calls).toHaveLength(calls);
  });

  it("gives up nothing during an outage", async () => {
    vi.useFakeTimers();
    const tracked = make({}, failing);
    for (const key of names(5)) tracked.note(key);
    await advance(24 * 60 * MINUTE);
    expect(drops(tracked)).toEqual([]);
    tracked.store.respond = () => {};
    await advance(2 * MINUTE);
    expect(tracked.stored().sort()).toEqual(names(5));
    expect(drops(tracked)).toEqual([]);
  });

  it("isolates several bad values", async () => {
    vi.useFakeTimers();
    const bad = ["key_0", "key_50", "key_51", "key_99"];
    const tracked = make({}, (_, keys) => (keys.some((key) => bad.includes(key)) ? failing() : undefined));
    for (const key of names(100)) tracked.note(key);
    await advance(5 * MINUTE);
    expect(tracked.stored()).toHaveLength(96);
    for (let i = 0; i < 200; i++) {
      tracked.note(`more_${i}`);
      await advance(10_000);
    }
    expect(tracked.reports.at(-1)?.report).toEqual({ pending: 0, dropped: 4 });
    expect(tracked.stored()).toHaveLength(296);
  });

  it("writes the others with repeated flushes", async () => {
    vi.useFakeTimers();
    const { note, flush, stored } = make({}, rejecting("key_3"));
    for (const key of names(20)) note(key);
    for (let i = 0; i < 12; i++) await rejection(flush());
    expect(stored()).toHaveLength(19);
    await advance(delayMs);
  });
});
