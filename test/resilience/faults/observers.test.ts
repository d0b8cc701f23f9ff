import { describe, expect, test, vi } from "vitest";
import { createKeyManager, createVerifier, type ManagedKeyStore } from "../../../src/index.js";
import { auditLog, lastUsed, type WriteReport } from "../../../src/observers/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { faultyStore, type StoreFault } from "../../../src/testing/index.js";
import { settled } from "../../unit/cache/fixtures.js";
import { bearer, format, START, scopes, stoppedClock } from "../../unit/core/fixtures.js";
import { FAULTS, failure, TIMEOUT_MS, within, withoutTrace } from "./harness.js";

withoutTrace();

const REQUESTS = 3;
const CLOSE_MS = 5_000;
/** After its longest rest an observer has tried again. */
const REST_MS = 70_000;

const KINDS = {
  lastUsed: { make: lastUsed, method: "touch" },
  auditLog: { make: auditLog, method: "appendAudit" },
} as const;

async function setUp(kind: keyof typeof KINDS, fault: StoreFault) {
  const inner: ManagedKeyStore = memoryStore();
  const store = faultyStore(inner, [{ ...fault, method: KINDS[kind].method }]);
  const told: { error: unknown; report: WriteReport }[] = [];
  const onError = (error: unknown, report: WriteReport) => told.push({ error, report });
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
  /** What the store has of the requests: how many there were, or when the last one was. */
  const written = async () => {
    if (kind === "lastUsed") return (await inner.findById(key.id))?.lastUsedAt?.getTime();
    const { items } = await inner.auditTrail({ keyId: key.id, limit: 100 });
    return items.filter(({ action }) => action === "used").length;
  };
  const all = (rounds: number) =>
    kind === "lastUsed" ? START.getTime() + rounds * REQUESTS * 1_000 : rounds * REQUESTS;
  return { store, observer, told, use, written, all };
}

const pass = async (ms: number): Promise<void> => {
  await vi.advanceTimersByTimeAsync(ms);
  await settled();
};

describe.each(Object.keys(KINDS) as (keyof typeof KINDS)[])("%s over a store that", (kind) => {
  test.each(Object.entries(FAULTS))("%s", async (label, fault) => {
    const { store, observer, told, use, written, all } = await setUp(kind, fault);
    const isTaken = label.startsWith("answers"); // nothing is asked for
    await use();
    await pass(20_000);
    expect(store.injected()).toBeGreaterThan(0);
    if (isTaken) {
      expect(told).toEqual([]);
      expect(await written()).toBe(all(1));
      return within(CLOSE_MS, () => observer.close());
    }
    const waiting = kind === "lastUsed" ? 1 : REQUESTS;
    for (const { report } of told) expect(report).toEqual({ pending: waiting, dropped: 0 });
    expect(told.length).toBeGreaterThan(0);
    expect(await failure(TIMEOUT_MS * 2, () => observer.flush())).toBeInstanceOf(Error);

    store.heal();
    await use();
    await pass(REST_MS);
    expect(await written()).toBe(all(2));
    expect(told.at(-1)?.report.dropped).toBe(0);
    await within(CLOSE_MS, () => observer.close());
    expect(await written()).toBe(all(2));
  });

  const lasting = Object.entries(FAULTS).filter(([label]) => !label.startsWith("answers"));
  test.each(lasting)(
    "%s until the service ends: close() says so in time, and can be called again",
    async (_, fault) => {
      const { store, observer, told, use, written, all } = await setUp(kind, fault);
      await use();
      expect(await failure(CLOSE_MS + 2 * TIMEOUT_MS, () => observer.close())).toBeInstanceOf(Error);
      await use(); // passes, and is told to be lost
      expect(told.at(-1)?.report.dropped).toBeGreaterThan(0);
      expect(String(told.at(-1)?.error)).toContain("closed already");
      store.heal();
      await within(CLOSE_MS, () => observer.close());
      expect(await written()).toBe(all(1));
    },
  );
});
