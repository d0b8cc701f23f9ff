import { describe, expect, test, vi } from "vitest";
import { StoreError } from "../../../src/index.js";
import { DroppedError } from "../../../src/observers/index.js";
import { down, failing, KINDS, MINUTE, names, never, outcome, pass, rejection, tidily } from "./fixtures.js";

tidily();

describe.each(KINDS)("$name, when it is closed", ({ make, delayMs }) => {
  test("writes what is left, and leaves no timer", async () => {
    vi.useFakeTimers();
    const { note, close, kept } = make();
    note("a");
    await close();
    expect(kept()).toEqual(["a"]);
    expect(vi.getTimerCount()).toBe(0);
    await close();
  });

  test("a failure that passes is not the end", async () => {
    vi.useFakeTimers();
    const { note, close, kept, told } = make({}, (call) => (call < 4 ? failing() : undefined));
    note("a");
    expect(await outcome(close(), 6_000)).toBeUndefined();
    expect(kept()).toEqual(["a"]);
    expect(told).toHaveLength(3);
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each<[string, () => unknown, unknown]>([
    ["fails", failing, down],
    ["hangs", never, expect.any(StoreError)],
  ])(
    "it ends in time when the store %s; what is unwritten is told, and kept for another try",
    async (_, answer, error) => {
      vi.useFakeTimers();
      const { note, close, store, kept, told } = make({}, answer);
      for (const key of names(3)) note(key);
      expect(await outcome(close(), 5_010)).toEqual(error);
      expect(told.at(-1)?.report).toEqual({ pending: 3, dropped: 0 });
      expect(vi.getTimerCount()).toBe(0);
      const calls = store.calls.length;
      await pass(10 * MINUTE);
      expect(store.calls).toHaveLength(calls);
      store.answer = () => {};
      await close();
      expect(kept().sort()).toEqual(names(3));
      expect(vi.getTimerCount()).toBe(0);
    },
  );

  test("its time is an option, and counts for a call that is under way, too", async () => {
    vi.useFakeTimers();
    const { note, close, store } = make({ closeTimeout: "500ms" }, never);
    note("a");
    await pass(delayMs);
    expect(store.calls).toHaveLength(1);
    expect(await outcome(close(), 510)).toBeInstanceOf(StoreError);
    expect(store.calls).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("a call that hangs leaves time for another", async () => {
    vi.useFakeTimers();
    const { note, close, kept } = make({}, (call) => (call === 1 ? never() : undefined));
    note("a");
    await pass(delayMs);
    note("b");
    expect(await outcome(close(), 3_000)).toBeUndefined();
    expect(kept().sort()).toEqual(["a", "b"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("flushes that wait for a store that hangs end with it, and start nothing after it", async () => {
    vi.useFakeTimers();
    const { note, close, flush, store } = make({ closeTimeout: "500ms" }, never);
    note("a");
    const flushes = [flush(), flush(), flush()].map(rejection);
    const closes = [close(), close()];
    flushes.push(rejection(flush()));
    expect(await outcome(Promise.all(closes), 510)).toBeInstanceOf(StoreError);
    expect(await Promise.all(flushes)).toEqual(Array(4).fill(expect.any(StoreError)));
    expect(store.calls).toHaveLength(2);
    await pass(MINUTE);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("during a rest it does not wait for its end", async () => {
    vi.useFakeTimers();
    const { note, close, store, kept } = make({}, failing);
    note("a");
    await pass(10 * MINUTE);
    store.answer = () => {};
    await close();
    expect(kept()).toEqual(["a"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("what comes after it is dropped, and not silently", async () => {
    vi.useFakeTimers();
    const tracked = make();
    const { note, close, told, kept } = tracked;
    note("a");
    await close();
    for (const key of names(5)) note(key);
    await pass(MINUTE);
    expect(kept()).toEqual(["a"]);
    expect(told).toEqual([{ error: expect.any(DroppedError), report: { pending: 0, dropped: 1 } }]);
    await close();
    expect(told).toHaveLength(2);
    expect(told[1]?.report).toEqual({ pending: 0, dropped: 5 });
    expect(vi.getTimerCount()).toBe(0);
  });
});
