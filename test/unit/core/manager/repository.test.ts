import { describe, expect, it } from "vitest";
import { KeyConflictError, type KeyRecord, type ManagedKeyStore, StoreError } from "../../../../src/index.js";
import { memoryStore } from "../../../../src/stores/memory.js";
import { thrownBy } from "../fixtures.js";
import { createManager, INPUT } from "./fixtures.js";

describe("conflicts", () => {
  /** A store whose first compare-and-sets fail. */
  function contended(losses: number): { store: ManagedKeyStore; tries: () => number } {
    const store = memoryStore();
    let tries = 0;
    return {
      tries: () => tries,
      store: {
        ...store,
        update: (...args) => (tries++ < losses ? false : store.update(...args)),
        replace: (...args) => (tries++ < losses ? false : store.replace(...args)),
      },
    };
  }

  it("retries a failed compare-and-set on the current record", async () => {
    const { store, tries } = contended(3);
    const { manager } = createManager({ store });
    const { key } = await manager.create(INPUT);
    expect((await manager.update(key.id, { name: "x" })).name).toBe("x");
    expect(tries()).toBe(4);
  });

  it("throws a KeyConflictError after too many conflicts, and writes and emits nothing", async () => {
    const events: unknown[] = [];
    const { store } = contended(Number.POSITIVE_INFINITY);
    const { manager } = createManager({ store, observers: [(event) => events.push(event)] });
    const { key } = await manager.create(INPUT);
    expect(await thrownBy(() => manager.disable(key.id))).toEqual(
      new KeyConflictError("The key kept changing concurrently; read it and try again"),
    );
    expect(await thrownBy(() => manager.rotate(key.id))).toBeInstanceOf(KeyConflictError);
    expect(await manager.get(key.id)).toEqual(key);
    expect(events).toHaveLength(1);
    expect((await manager.auditTrail()).items).toHaveLength(1);
  });

  it("applies all concurrent changes of one key", async () => {
    const memory = memoryStore();
    const slow: ManagedKeyStore = {
      ...memory,
      findById: async (id) => {
        const record = memory.findById(id);
        await null;
        return record;
      },
    };
    const { manager } = createManager({ store: slow });
    const { key } = await manager.create(INPUT);
    await Promise.all([
      manager.update(key.id, { name: "n" }),
      manager.update(key.id, { metadata: { a: 1 } }),
      manager.disable(key.id),
      manager.update(key.id, { ipAllowlist: [] }),
      manager.revoke(key.id, { reason: "r" }).catch(() => {}),
    ]).catch(() => {});
    const after = await manager.get(key.id);
    expect(after?.status).toBe("revoked");
    const { items } = await manager.auditTrail({ keyId: key.id });
    expect(((await memory.findById(key.id)) as KeyRecord).version).toBe(items.length);
  });
});

describe("storeTimeout", () => {
  const never = new Promise<never>(() => {});
  const RESULTS: Readonly<Record<string, unknown>> = {
    "a pending promise": never,
    "a thenable that never settles": thenable(() => {}),
    "a thenable that fulfils with a pending promise": thenable((resolve) => resolve(never)),
    "a thenable that fulfils with a pending thenable": thenable((resolve) => resolve(thenable(() => {}))),
  };

  it.each(Object.entries(RESULTS))("limits %s", async (_, result) => {
    const returned = () => result as never;
    const { manager } = createManager({
      store: { ...memoryStore(), findById: returned, insert: returned },
      storeTimeout: "1ms",
    });
    const message = "The key store did not respond within 1 ms";
    expect(await thrownBy(() => manager.get("key_1"))).toEqual(new StoreError(message));
    expect(await thrownBy(() => manager.create(INPUT))).toEqual(
      new StoreError(`${message}; the outcome of the write is unknown`),
    );
  });

  function thenable(then: (resolve: (value: unknown) => void) => void): unknown {
    return { then };
  }
});
