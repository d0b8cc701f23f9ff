import { describe, expect, it, vi } from "vitest";
import { StoreError } from "../../../src/index.js";
import { DroppedError } from "../../../src/observers/index.js";
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
} from "./fixtures.js";

cleanUpAfterEach();

describe.each(KINDS)("close of $name", ({ make, delayMs }) => {
  it("writes pending values and leaves no timer", async () => {
    vi.useFakeTimers();
    const { note, close, stored } = make();
    note("a");
    await close();
    expect(stored()).toEqual(["a"]);
    expect(vi.getTimerCount()).toBe(0);
    await close();
  });

  it("retries after failures", async () => {
    vi.useFakeTimers();
    const { note, close, stored, reports } = make({}, (call) => (call < 4 ? failing() : undefined));
    note("a");
    expect(await outcome(close(), 6_000)).toBeUndefined();
    expect(stored()).toEqual(["a"]);
    expect(reports).toHaveLength(3);
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each<[string, () => unknown, unknown]>([
    ["fails", failing, down],
    ["hangs", never, expect.any(StoreError)],
  ])("rejects within closeTimeout if the store %s, and can be retried", async (_, respond, error) => {
    vi.useFakeTimers();
    const { note, close, store, stored, reports } = make({}, respond);
    for (const key of names(3)) note(key);
    expect(await outcome(close(), 5_010)).toEqual(error);
    expect(reports.at(-1)?.report).toEqual({ pending: 3, dropped: 0 });
    expect(vi.getTimerCount()).toBe(0);
    const calls = store.calls.length;
    await advance(10 * MINUTE);
    expect(store.calls).toHaveLength(calls);
    store.respond = () => {};
    await close();
    expect(stored().sort()).toEqual(names(3));
    expect(vi.getTimerCount()).toBe(0);
  });

  it("uses closeTimeout, also for a call in progress", async () => {
    vi.useFakeTimers();
    const { note, close, store } = make({ closeTimeout: "500ms" }, never);
    note("a");
    await advance(delayMs);
    expect(store.calls).toHaveLength(1);
    expect(await outcome(close(), 510)).toBeInstanceOf(StoreError);
    expect(store.calls).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("makes another call after a hung one", async () => {
    vi.useFakeTimers();
    const { note, close, stored } = make({}, (call) => (call === 1 ? never() : undefined));
    note("a");
    await advance(delayMs);
    note("b");
    expect(await outcome(close(), 3_000)).toBeUndefined();
    expect(stored().sort()).toEqual(["a", "b"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("settles waiting flushes, which make no further calls", async () => {
    vi.useFakeTimers();
    const { note, close, flush, store } = make({ closeTimeout: "500ms" }, never);
    note("a");
    const flushes = [flush(), flush(), flush()].map(rejection);
    const closes = [close(), close()];
    flushes.push(rejection(flush()));
    expect(await outcome(Promise.all(closes), 510)).toBeInstanceOf(StoreError);
    expect(await Promise.all(flushes)).toEqual(Array(4).fill(expect.any(StoreError)));
    expect(store.calls).toHaveLength(2);
    await advance(MINUTE);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("does not wait for the end of a back-off", async () => {
    vi.useFakeTimers();
    const { note, close, store, stored } = make({}, failing);
    note("a");
    await advance(10 * MINUTE);
    store.respond = () => {};
    await close();
    expect(stored()).toEqual(["a"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("drops and reports later values", async () => {
    vi.useFakeTimers();
    const tracked = make();
    const { note, close, reports, stored } = tracked;
    note("a");
    await close();
    for (const key of names(5)) note(key);
    await advance(MINUTE);
    expect(stored()).toEqual(["a"]);
    expect(reports).toEqual([{ error: expect.any(DroppedError), report: { pending: 0, dropped: 1 } }]);
    await close();
    expect(reports).toHaveLength(2);
    expect(reports[1]?.report).toEqual({ pending: 0, dropped: 5 });
    expect(vi.getTimerCount()).toBe(0);
  });
});
