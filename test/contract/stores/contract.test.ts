import { describe, expect, inject, it } from "vitest";
import { memoryStore } from "../../../src/stores/memory.js";
import { keyStoreContract } from "../../../src/testing/index.js";
import { allBackends } from "./backends/all.js";

for (const { name: title, missing, sharedLookups = false, create, drop } of allBackends(inject("servers"))) {
  describe.skipIf(missing !== undefined)(title, () => {
    const fresh = async () => {
      const { store, place, close } = await create();
      return {
        store,
        close: async () => {
          await close();
          await drop(place);
        },
      };
    };
    for (const { name, run } of keyStoreContract(fresh, { sharedLookups })) it(name, run);
  });
}

describe("keyStoreContract", () => {
  it("has at least 40 cases with unique names", () => {
    const names = keyStoreContract(() => memoryStore()).map(({ name }) => name);
    expect(names.length).toBeGreaterThan(40);
    expect(new Set(names).size).toBe(names.length);
  });

  it("closes the store after a case passes or fails", async () => {
    const closed: boolean[] = [];
    const broken = { ...memoryStore(), findById: () => undefined };
    for (const store of [memoryStore(), broken]) {
      const cases = keyStoreContract(() => ({ store, close: () => closed.push(true) }));
      await cases
        .find(({ name }) => name.includes("every member"))
        ?.run()
        .catch(() => closed.push(false));
    }
    expect(closed).toEqual([true, true, false]);
  });

  it("rejects unknown capabilities and values out of range", () => {
    const create = () => memoryStore();
    expect(() => keyStoreContract(undefined as never)).toThrow(TypeError);
    expect(() => keyStoreContract(create, { speed: 1 } as never)).toThrow('"speed"');
    expect(() => keyStoreContract(create, { concurrency: 1 })).toThrow('"concurrency"');
    expect(() => keyStoreContract(create, { sharedLookups: 1 } as never)).toThrow('"sharedLookups"');
    expect(() => keyStoreContract(create, { latest: new Date(Number.NaN) })).toThrow('"latest"');
  });

  // Each fault must make at least one more case fail.
  it.each<[string, (store: ReturnType<typeof memoryStore>) => Partial<ReturnType<typeof memoryStore>>]>([
    [
      "ignores the version",
      (store) => ({
        update: async (id, _, change, audit) =>
          store.update(id, (await store.findById(id))?.version ?? 0, change, audit),
      }),
    ],
    ["ignores the cursor", (store) => ({ list: ({ cursor: _, ...query }) => store.list(query) })],
    [
      "limits pages to 100 keys",
      (store) => ({ list: (query) => store.list({ ...query, limit: Math.min(query.limit, 100) }) }),
    ],
    ["ignores case", (store) => ({ findByHash: (hash) => store.findByHash(hash.toLowerCase() as never) })],
    [
      "computes the status for an earlier time",
      (store) => ({ list: (query) => store.list({ ...query, now: new Date(query.now.getTime() - 1) }) }),
    ],
    [
      "throws an error of its own for a duplicate",
      (store) => ({
        insert: async (...args) => {
          if (await store.findByHash(args[0].hash)) throw new Error("duplicate key value");
          return store.insert(...args);
        },
      }),
    ],
    ["ignores uses", () => ({ touch: () => undefined })],
    [
      "replaces in two steps",
      (store) => ({
        replace: async (id, version, change, successor, audit) => {
          if (!(await store.update(id, version, change, audit))) return false;
          await store.insert(successor, audit);
          return true;
        },
      }),
    ],
    [
      "does not check the key that creates a key",
      (store) => ({
        insert: (record, audit) => store.insert({ ...record, createdByKey: null }, audit),
      }),
    ],
    ["ignores the actor", (store) => ({ auditTrail: ({ actor: _, ...query }) => store.auditTrail(query) })],
    [
      "returns audit entries of other owners",
      (store) => ({ auditTrail: ({ ownerId: _, ...query }) => store.auditTrail(query) }),
    ],
  ])("fails a store that %s", async (_, fault) => {
    const create = () => {
      const store = memoryStore();
      return { ...store, ...fault(store) };
    };
    const expected = await failedCases(() => memoryStore());
    const failed = await failedCases(create);
    expect(failed.filter((name) => !expected.includes(name))).not.toEqual([]);
  });
});

/** The names of the cases that a store fails. */
async function failedCases(create: () => ReturnType<typeof memoryStore>): Promise<string[]> {
  const failed: string[] = [];
  for (const { name, run } of keyStoreContract(create)) await run().catch(() => failed.push(name));
  return failed;
}
