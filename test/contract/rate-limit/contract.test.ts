import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import type { RateLimitDecision, RateLimiter } from "../../../src/index.js";
import { type Counter, createRateLimiter, type RateWindow } from "../../../src/rate-limit/index.js";
import { sleep } from "../../unit/core/fixtures.js";
import { limitBackends, type OpenLimits } from "./backends.js";

interface Subject {
  id: string;
  ownerId: string;
  environment?: string | null;
  rateLimit?: { limit: number; windowSeconds: number } | null;
  rotationRoot?: string | null;
}

const REQUEST = { headers: {} };
const MINUTE: RateWindow = { name: "minute", per: "key", limit: 3, window: "1m" };

const left = ({ states }: RateLimitDecision) => states.map(({ remaining }) => remaining);

describe.each(limitBackends(inject("servers")))("$name", (backend) => {
  describe.skipIf(backend.missing !== undefined)("limit store", () => {
    let open: OpenLimits;
    beforeAll(async () => {
      open = await backend.open();
    });
    afterAll(() => open?.close());

    const holder = (more: Partial<Subject> = {}): Subject => ({
      id: randomUUID(),
      ownerId: randomUUID(),
      ...more,
    });
    const limiter = (windows: readonly RateWindow[], cost?: number): RateLimiter =>
      createRateLimiter({ store: open.store, windows, ...(cost === undefined ? {} : { cost: () => cost }) });
    const counter = (limit: number, windowMs = 60_000): Counter => ({ key: randomUUID(), limit, windowMs });
    const usedOf = async (one: Counter) => (await open.store.take([one], 0)).states[0]?.used;

    it("allows requests up to the limit and returns what remains", async () => {
      const { consume } = limiter([MINUTE]);
      const key = holder();
      for (const remaining of [2, 1, 0]) {
        const decision = await consume(key, REQUEST);
        expect(decision.allowed).toBe(true);
        expect(decision.states).toEqual([
          { name: "minute", limit: 3, windowSeconds: 60, remaining, resetSeconds: expect.any(Number) },
        ]);
        const { resetSeconds = 0 } = decision.states[0] ?? {};
        expect(resetSeconds).toBeGreaterThan(50);
        expect(resetSeconds).toBeLessThanOrEqual(60);
      }
      const denied = await consume(key, REQUEST);
      expect(denied.allowed).toBe(false);
      expect(left(denied)).toEqual([0]);
      expect(denied.retryAfterSeconds).toBeGreaterThan(50);
      expect((await consume(holder(), REQUEST)).allowed).toBe(true);
    });

    it("continues the counters of a key after rotations, and of no other key", async () => {
      const rateLimit = { limit: 2, windowSeconds: 60 };
      const { consume } = createRateLimiter({ store: open.store, windows: [MINUTE] });
      const [first, own] = [holder(), holder({ rateLimit })];
      const rotated = (key: Subject): Subject => ({ ...key, id: randomUUID(), rotationRoot: key.id });
      for (const [key, limit] of [
        [first, 3],
        [own, 2],
      ] as const) {
        for (let used = 0; used < limit; used++) {
          expect((await consume(used === 0 ? key : rotated(key), REQUEST)).allowed).toBe(true);
        }
        for (const one of [key, rotated(key)]) expect((await consume(one, REQUEST)).allowed).toBe(false);
        const other = { ...key, id: randomUUID() };
        expect((await consume(other, REQUEST)).allowed).toBe(true);
      }
    });

    it("anchors a window at its first request", async () => {
      const one = counter(2, 1000);
      const began = performance.now();
      await open.store.take([one], 1);
      let allowed = 1;
      while (performance.now() - began < 900) {
        if ((await open.store.take([one], 1)).allowed) allowed++;
        await sleep(50);
      }
      expect(allowed).toBe(2);
      await sleep(1150 - (performance.now() - began));
      expect((await open.store.take([one], 1)).allowed).toBe(true);
      expect(await usedOf(one)).toBe(1);
    });

    it("takes nothing from any window for a denied request", async () => {
      const [narrow, full, wide] = [counter(100), counter(1), counter(100)];
      await open.store.take([full], 1);
      for (let i = 0; i < 3; i++) {
        const taken = await open.store.take([narrow, full, wide], 1);
        expect(taken.allowed).toBe(false);
        expect(taken.states.map(({ used }) => used)).toEqual([0, 1, 0]);
      }
      for (const [one, used] of [
        [narrow, 0],
        [full, 1],
        [wide, 0],
      ] as const) {
        expect(await usedOf(one)).toBe(used);
      }
    });

    it("allows exactly the limit of 100 concurrent requests", async () => {
      for (const room of [1, 30]) {
        const one = counter(room);
        const all = await Promise.all(Array.from({ length: 100 }, () => open.store.take([one], 1)));
        expect(all.filter(({ allowed }) => allowed)).toHaveLength(room);
        expect(await usedOf(one)).toBe(room);
      }
    });

    it("allows one of 100 concurrent requests in several windows, and counts no other", async () => {
      for (const limits of [
        [1, 100, 100],
        [100, 1, 50],
        [50, 20, 1],
        [1, 1, 1],
      ]) {
        const counters = limits.map((limit) => counter(limit));
        const all = await Promise.all(Array.from({ length: 100 }, () => open.store.take(counters, 1)));
        expect(all.filter(({ allowed }) => allowed)).toHaveLength(1);
        for (const one of counters) expect(await usedOf(one)).toBe(1);
      }
    });

    it("counts exactly the allowed requests of many keys of one owner", async () => {
      const owner = counter(40);
      const keys = Array.from({ length: 10 }, () => counter(7));
      const all = await Promise.all(
        Array.from({ length: 100 }, async (_, i) => {
          const key = keys[i % 10] as Counter;
          return { key, cost: 1, ...(await open.store.take([key, owner], 1)) };
        }),
      );
      const passed = all.filter(({ allowed }) => allowed);
      expect(passed).toHaveLength(40);
      expect(await usedOf(owner)).toBe(40);
      for (const key of keys) {
        expect(await usedOf(key)).toBe(passed.filter((one) => one.key === key).length);
      }
    });

    it("takes nothing for a cost above what remains", async () => {
      const key = holder();
      const windows = [{ ...MINUTE, limit: 10 }];
      expect(left(await limiter(windows, 7).consume(key, REQUEST))).toEqual([3]);
      const denied = await limiter(windows, 4).consume(key, REQUEST);
      expect([denied.allowed, ...left(denied)]).toEqual([false, 3]);
      expect(denied.retryAfterSeconds).toBeGreaterThan(50);
      expect(left(await limiter(windows, 3).consume(key, REQUEST))).toEqual([0]);
      expect((await limiter(windows, 1).consume(key, REQUEST)).allowed).toBe(false);
      expect((await limiter(windows, 0).consume(key, REQUEST)).allowed).toBe(true);
      expect((await limiter(windows, 11).consume(holder(), REQUEST)).allowed).toBe(false);
    });

    it("stays within the limit under concurrent requests of different costs", async () => {
      const one = counter(100);
      const costs = Array.from({ length: 60 }, (_, i) => 1 + (i % 9));
      const all = await Promise.all(
        costs.map(async (cost) => ({ cost, ...(await open.store.take([one], cost)) })),
      );
      const sum = all.filter(({ allowed }) => allowed).reduce((total, { cost }) => total + cost, 0);
      expect(sum).toBeLessThanOrEqual(100);
      expect(await usedOf(one)).toBe(sum);
      if (backend.atomic) expect(sum).toBeGreaterThan(91);
    });

    it("starts no window for a free request", async () => {
      const one = counter(5, 1000);
      for (let i = 0; i < 3; i++) {
        expect(await open.store.take([one], 0)).toEqual({
          allowed: true,
          states: [{ used: 0, resetMs: 1000 }],
        });
        await sleep(50);
      }
      const { states } = await open.store.take([one], 1);
      expect(states[0]?.resetMs).toBeGreaterThan(900);
    });

    it("counts per key, environment and owner", async () => {
      const windows: RateWindow[] = [
        { name: "owner", per: "owner", limit: 6, window: "1m" },
        { name: "environment", per: "environment", limit: 4, window: "1m" },
        { name: "key-minute", per: "key", limit: 3, window: "1m" },
      ];
      const { consume } = limiter(windows);
      const ownerId = randomUUID();
      const [a, b] = [holder({ ownerId, environment: "live" }), holder({ ownerId, environment: "live" })];
      const sandbox = holder({ ownerId, environment: "test" });
      expect(left(await consume(a, REQUEST))).toEqual([2, 3, 5]);
      expect(left(await consume(b, REQUEST))).toEqual([2, 2, 4]);
      expect(left(await consume(sandbox, REQUEST))).toEqual([2, 3, 3]);
      expect(left(await consume(a, REQUEST))).toEqual([1, 1, 2]);
      expect(left(await consume(a, REQUEST))).toEqual([0, 0, 1]);
      expect((await consume(b, REQUEST)).allowed).toBe(false);
      expect(left(await consume(sandbox, REQUEST))).toEqual([1, 2, 0]);
      expect((await consume(sandbox, REQUEST)).allowed).toBe(false);
      expect(left(await consume(holder({ id: a.id, environment: "live" }), REQUEST))).toEqual([2, 3, 5]);
    });

    it("counts similar ids separately", async () => {
      const { consume } = limiter([{ ...MINUTE, limit: 1 }]);
      const base = randomUUID();
      const ids = [
        "a",
        "A",
        "a ",
        "\u00e1",
        "a\u0301",
        "a:b",
        "a}b",
        "a%3Ab",
        '"',
        "\\",
        "\ud800",
        "\\ud800",
        "\udfff",
        "\u{1f600}",
      ];
      ids.push("ä".repeat(300), `${"ä".repeat(299)}a`);
      for (const id of ids) {
        for (const key of [
          { id, ownerId: base },
          { id: base, ownerId: `${base}${id}` },
        ]) {
          expect((await consume(key, REQUEST)).allowed, JSON.stringify(key)).toBe(true);
          expect((await consume(key, REQUEST)).allowed, JSON.stringify(key)).toBe(false);
        }
      }
    });

    it("supports large limits and long windows", async () => {
      const one = counter(2_000_000_000, 90 * 86_400_000);
      expect((await open.store.take([one], 1_999_999_999)).allowed).toBe(true);
      await sleep(20);
      expect((await open.store.take([one], 2)).allowed).toBe(false);
      expect((await open.store.take([one], 1)).states[0]).toMatchObject({ used: 2_000_000_000 });
    });
  });
});
