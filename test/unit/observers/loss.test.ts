import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import {
  advance,
  cleanUpAfterEach,
  down,
  drops,
  failing,
  KINDS,
  later,
  MINUTE,
  never,
  outcome,
  rejection,
  START,
  sleep,
} from "./fixtures.js";

cleanUpAfterEach();

describe.each(KINDS)("$name reports every loss", ({ name, make }) => {
  type Step =
    | { readonly do: "use"; readonly key: number; readonly at: number }
    | { readonly do: "wait"; readonly ms: number }
    | { readonly do: "flush" }
    | { readonly do: "store"; readonly mode: Mode };
  type Mode = "works" | "fails" | "hangs" | "throws" | "is slow" | "loses responses" | "fails at times";

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
          "loses responses",
          "fails at times",
        ),
      }),
    },
  );

  const responses: Record<Mode, (call: number) => unknown> = {
    works: () => {},
    fails: failing,
    hangs: never,
    throws: () => {
      throw down;
    },
    "is slow": () => sleep(2_000),
    "loses responses": failing,
    "fails at times": (call) => (call % 3 === 0 ? undefined : failing()),
  };

  it("for random sequences of uses and store faults", async () => {
    const run = async (steps: readonly Step[], max: number) => {
      vi.useFakeTimers();
      const tracked = make(name === "auditLog" ? { max } : {});
      const { note, store, flush, close, reports, stored } = tracked;
      const latest = new Map<string, number>();
      let noted = 0;
      let lost = false;
      for (const one of steps) {
        if (one.do === "use") {
          noted++;
          note(`key_${one.key}`, later(one.at));
          latest.set(`key_${one.key}`, Math.max(one.at, latest.get(`key_${one.key}`) ?? 0));
        } else if (one.do === "wait") await advance(one.ms);
        else if (one.do === "flush") rejection(flush());
        else {
          store.respond = responses[one.mode];
          store.losesResponses = one.mode === "loses responses";
          lost ||= store.losesResponses;
        }
      }
      store.respond = responses.works;
      store.losesResponses = false;
      expect(await outcome(close(), 5_000)).toBeUndefined();
      expect(vi.getTimerCount()).toBe(0);

      const { dropped = 0 } = reports.at(-1)?.report ?? {};
      expect(drops(tracked).at(-1)?.report.dropped ?? 0).toBe(dropped);
      if (name === "lastUsed") {
        expect(dropped).toBe(0);
        const wanted = new Map([...latest].map(([key, at]) => [key, later(at)]));
        expect(new Map([...store.usedAt].sort())).toEqual(new Map([...wanted].sort()));
      } else {
        // An entry may be written and dropped: its response was lost and the queue was full.
        if (lost) expect(stored().length + dropped).toBeGreaterThanOrEqual(noted);
        else expect(stored().length + dropped).toBe(noted);
      }
      await advance(MINUTE); // hung calls may settle now
      vi.useRealTimers();
    };
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60 }), fc.constantFrom(1, 3, 10_000), run),
      { numRuns: 150, endOnFailure: true },
    );
  });

  it("writes times in any order, and lastUsedAt only moves forward", async () => {
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
