import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import {
  down,
  drops,
  failing,
  KINDS,
  later,
  MINUTE,
  never,
  outcome,
  pass,
  rejection,
  START,
  sleep,
  tidily,
} from "./fixtures.js";

tidily();

describe.each(KINDS)("$name loses nothing without a word", ({ name, make }) => {
  type Step =
    | { readonly do: "use"; readonly key: number; readonly at: number }
    | { readonly do: "wait"; readonly ms: number }
    | { readonly do: "flush" }
    | { readonly do: "store"; readonly mode: Mode };
  type Mode = "works" | "fails" | "hangs" | "throws" | "is slow" | "loses answers" | "fails at times";

  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({ do: fc.constant("use" as const), key: fc.nat(12), at: fc.nat(100_000) }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.constantFrom(1, 400, 3_000, 70_000) }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("flush" as const) }) },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant("store" as const),
        mode: fc.constantFrom<Mode>(
          "works",
          "fails",
          "hangs",
          "throws",
          "is slow",
          "loses answers",
          "fails at times",
        ),
      }),
    },
  );

  const answers: Record<Mode, (call: number) => unknown> = {
    works: () => {},
    fails: failing,
    hangs: never,
    throws: () => {
      throw down;
    },
    "is slow": () => sleep(2_000),
    "loses answers": failing,
    "fails at times": (call) => (call % 3 === 0 ? undefined : failing()),
  };

  test("whatever the store does, in whatever order", async () => {
    const run = async (steps: readonly Step[], max: number) => {
      vi.useFakeTimers();
      const tracked = make(name === "auditLog" ? { max } : {});
      const { note, store, flush, close, told, kept } = tracked;
      const latest = new Map<string, number>();
      let noted = 0;
      let lost = false;
      for (const one of steps) {
        if (one.do === "use") {
          noted++;
          note(`key_${one.key}`, later(one.at));
          latest.set(`key_${one.key}`, Math.max(one.at, latest.get(`key_${one.key}`) ?? 0));
        } else if (one.do === "wait") await pass(one.ms);
        else if (one.do === "flush") rejection(flush());
        else {
          store.answer = answers[one.mode];
          store.loses = one.mode === "loses answers";
          lost ||= store.loses;
        }
      }
      store.answer = answers.works;
      store.loses = false;
      expect(await outcome(close(), 5_000)).toBeUndefined();
      expect(vi.getTimerCount()).toBe(0);

      const { dropped = 0 } = told.at(-1)?.report ?? {};
      expect(drops(tracked).at(-1)?.report.dropped ?? 0).toBe(dropped);
      if (name === "lastUsed") {
        expect(dropped).toBe(0);
        const wanted = new Map([...latest].map(([key, at]) => [key, later(at)]));
        expect(new Map([...store.usedAt].sort())).toEqual(new Map([...wanted].sort()));
      } else {
        // An entry that was written, its answer lost and its place taken, counts as dropped as well.
        if (lost) expect(kept().length + dropped).toBeGreaterThanOrEqual(noted);
        else expect(kept().length + dropped).toBe(noted);
      }
      await pass(MINUTE); // what hung may answer now
      vi.useRealTimers();
    };
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60 }), fc.constantFrom(1, 3, 10_000), run),
      { numRuns: 150, endOnFailure: true },
    );
  });

  test("times of keys go forward only, whatever order they come in", async () => {
    const { note, flush, store } = make();
    for (const at of [5, 9, 1, 7]) {
      note("a", later(at));
      await flush();
    }
    if (name === "lastUsed") expect(store.usedAt.get("a")).toEqual(later(9));
    else
      expect([...store.entries.values()].map(({ at }) => at.getTime() - START.getTime())).toEqual([
        5, 9, 1, 7,
      ]);
  });
});
