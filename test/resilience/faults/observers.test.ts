import { describe, expect, it, vi } from "vitest";
import { createKeyManager, createVerifier, type ManagedKeyStore } from "../../../src/index.js";
import { auditLog, lastUsed, type WriteReport } from "../../../src/observers/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { faultyStore, type StoreFault } from "../../../src/testing/index.js";
import { settled } from "../../unit/cache/fixtures.js";
import { bearer, format, START, scopes, stoppedClock } from "../../unit/core/fixtures.js";
import { detectLeaks, FAULTS, failure, TIMEOUT_MS, within } from "./harness.js";

detectLeaks();

const REQUESTS = 3;
const CLOSE_MS = 5_000;
/** Longer than the longest back-off of an observer. */
const BACK_OFF_MS = 70_000;

/** Faults that complete the call: observers ignore what the store returns. */
const IGNORED_RESULTS = ["return", "foreign", "partial"];

const KINDS = {
  lastUsed: { make: lastUsed, method: "touch" },
  auditLog: { make: auditLog, method: "appendAudit" },
} as const;

async function setUp(kind: keyof typeof KINDS, fault: StoreFault) {
  const inner: ManagedKeyStore = memoryStore();
  const store = faultyStore(inner, [{ ...fault, method: KINDS[kind].method }]);
  const reports: { error: unknown; report: WriteReport }[] = [];
  const onError = (error: unknown, report: WriteReport) => reports.push({ error, report });
  const observer = KINDS[kind].make(store, {
    onError,
    storeTimeout: `${TIMEOUT_MS}ms`,
    closeTimeout: `${CLOSE_MS}ms`,
  });
  const manager = createKeyManager({ store: inner, scopes, format });
  const { secret, key } = await manager.create({
    ownerId: "acme",
    environment: "live",
    scopes: ["vehicles:write"],
  });
  const clock = stoppedClock();
  const verifier = createVerifier({
    ...{ store: inner, scopes, format, clock: clock.now },
    observers: [observer.observer],
  });
  const use = async () => {
    for (let count = 0; count < REQUESTS; count++) {
      clock.set(clock.now().getTime() + 1_000);
      const result = await within(0, () => verifier.verify(bearer(secret), "vehicles:write"));
      expect(result.ok).toBe(true);
    }
  };
  /** Returns the number of stored requests, or the time of the last one. */
  const written = async () => {
    if (kind === "lastUsed") return (await inner.findById(key.id))?.lastUsedAt?.getTime();
    const { items } = await inner.auditTrail({ keyId: key.id, limit: 100 });
    return items.filter(({ action }) => action === "used").length;
  };
  const all = (rounds: number) =>
    kind === "lastUsed" ? START.getTime() + rounds * REQUESTS * 1_000 : rounds * REQUESTS;
  return { store, observer, reports, use, written, all };
}

const pass = async (ms: number): Promise<void> => {
  await vi.advanceTimersByTimeAsync(ms);
  await settled();
};

describe.each(Object.keys(KINDS) as (keyof typeof KINDS)[])("%s over a store that", (kind) => {
  it.each(Object.entries(FAULTS))("%s", async (_, fault) => {
    const { store, observer, reports, use, written, all } = await setUp(kind, fault);
    const isHarmless = IGNORED_RESULTS.includes(fault.fault);
    await use();
    await pass(20_000);
    expect(store.injected()).toBeGreaterThan(0);
    if (isHarmless) {
      expect(reports).toEqual([]);
      expect(await written()).toBe(all(1));
      return within(CLOSE_MS, () => observer.close());
    }
    const waiting = kind === "lastUsed" ? 1 : REQUESTS;
    for (const { report } of reports) expect(report).toEqual({ pending: waiting, dropped: 0 });
    expect(reports.length).toBeGreaterThan(0);
    expect(await failure(TIMEOUT_MS * 2, () => observer.flush())).toBeInstanceOf(Error);

    store.heal();
    await use();
    await pass(BACK_OFF_MS);
    expect(await written()).toBe(all(2));
    expect(reports.at(-1)?.report.dropped).toBe(0);
    await within(CLOSE_MS, () => observer.close());
    expect(await written()).toBe(all(2));
  });

  const lasting = Object.entries(FAULTS).filter(([, { fault }]) => !IGNORED_RESULTS.includes(fault));
  it.each(lasting)("%s until close(), which rejects in time and can be called again", async (_, fault) => {
    const { store, observer, reports, use, written, all } = await setUp(kind, fault);
    await use();
    expect(await failure(CLOSE_MS + 2 * TIMEOUT_MS, () => observer.close())).toBeInstanceOf(Error);
    await use(); // allowed, and reported as dropped
    expect(reports.at(-1)?.report.dropped).toBeGreaterThan(0);
    expect(String(reports.at(-1)?.error)).toBe(`DroppedError: ${kind}: closed; further values are dropped`);
    store.heal();
    await within(CLOSE_MS, () => observer.close());
    expect(await written()).toBe(all(1));
  });
});
