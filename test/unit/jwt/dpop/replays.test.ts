import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { memoryReplays } from "../../../../src/jwt/dpop/replays.js";
import { StoreError } from "../../../../src/kit.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const LIFETIME = 90_000;
const create = (max?: number) => {
  const store = memoryReplays(Date.now, LIFETIME, max);
  return (id: string, ownerId = "acme") => store.use(id, new Date(Date.now() + LIFETIME), ownerId);
};

it("accepts a proof once, for its whole lifetime", () => {
  const use = create();
  expect(use("a")).toBe(true);
  for (let passed = 0; passed < LIFETIME; passed += 10_000) {
    expect(use("a")).toBe(false);
    expect(use(`other-${passed}`)).toBe(true);
    vi.advanceTimersByTime(10_000);
  }
});

it("forgets a proof within two lifetimes", () => {
  const use = create(2);
  use("a");
  use("b");
  expect(() => use("c")).toThrow(StoreError);
  vi.advanceTimersByTime(LIFETIME);
  expect(() => use("c")).toThrow(StoreError);
  vi.advanceTimersByTime(LIFETIME);
  expect(use("c")).toBe(true);
});

it("does not forget a proof while the clock is set forward and back", () => {
  const use = create();
  use("a");
  const now = Date.now();
  for (let step = 0; step < 4; step++) {
    vi.setSystemTime(now + 3_600_000); // the monotonic clock stays
    use(`forward-${step}`);
  }
  vi.setSystemTime(now);
  expect(use("a")).toBe(false);
});

it("rejects an owner that uses up the store, and no other owner", () => {
  const use = create(1_000);
  for (let count = 0; count < 1_000; count++) expect(use(`noise-${count}`, "noisy")).toBe(true);
  expect(() => use("noise", "noisy")).toThrow("The store of DPoP proofs is full (1000 proofs)");
  for (let count = 0; count < 300; count++) expect(use(`quiet-${count}`, "quiet")).toBe(true);
  expect(() => use("noise", "noisy")).toThrow(StoreError);
  expect(use("noise-1", "noisy")).toBe(false); // a replay stays one
});

it("grows with the logarithm of the number of owners that use up their shares", () => {
  const use = create(100);
  let accepted = 0;
  for (let owner = 0; owner < 200; owner++) {
    for (let count = 0; count < 200; count++) {
      try {
        if (use(`${owner}-${count}`, `owner-${owner}`)) accepted++;
      } catch {
        break;
      }
    }
  }
  expect(accepted).toBeLessThan(100 * (2 + Math.log(200)) + 200);
});
