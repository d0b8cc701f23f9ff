import { describe, expect, test } from "vitest";
import { createAuditEntry } from "../../../src/core/keys/audit-entry.js";
import { hashSecret, type KeyHash, type KeyRecord, type ManagedKeyStore } from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { STORE_METHODS } from "../../../src/testing/faulty-store.js";
import { faultyStore, type StoreFault } from "../../../src/testing/index.js";
import { keyOf } from "../cache/fixtures.js";
import { sleep, thrownBy } from "../core/fixtures.js";

const hash = hashSecret("one");
const key: KeyRecord = keyOf({ id: "key_a", hash });
const entry = createAuditEntry("created", key, new Date(), null);

function filled(plan: readonly StoreFault[], seed?: number) {
  const inner = memoryStore();
  inner.insert(key, entry);
  return { inner, store: faultyStore(inner, plan, seed === undefined ? {} : { seed }) };
}

const update = (store: Pick<ManagedKeyStore, "update">) => store.update(key.id, 1, { name: "b" }, entry);

describe("faultyStore", () => {
  test("has the methods of the store interface, and passes calls through without a fault", async () => {
    const { inner, store } = filled([]);
    const names = Object.keys(store).filter((name) => name !== "heal" && name !== "injected");
    expect(names.sort()).toEqual(STORE_METHODS.filter((name) => name in inner).sort());
    expect(store.findByHash(hash)).toEqual(inner.findByHash(hash));
    expect(store.injected()).toBe(0);
    const minimal = faultyStore({ findByHash: () => undefined, other: 1 }, []);
    expect(Object.keys(minimal)).toEqual(["findByHash", "heal", "injected"]);
  });

  test("throws, rejects and hangs without calling the store", async () => {
    const error = new Error("mine");
    const thrown = filled([{ fault: "throw", error }]);
    expect(() => update(thrown.store)).toThrow(error);
    const rejected = filled([{ fault: "reject" }]);
    expect(await thrownBy(() => update(rejected.store))).toBeInstanceOf(Error);
    const hung = filled([{ fault: "hang" }]);
    expect(await Promise.race([update(hung.store), sleep(20).then(() => "hangs")])).toBe("hangs");
    for (const { inner } of [thrown, rejected, hung])
      expect(inner.findById(key.id)).toMatchObject({ version: 1 });
  });

  test("loses the acknowledgement of a completed call, and delays a call", async () => {
    const lost = filled([{ method: "update", fault: "lose", error: "gone" }]);
    expect(await thrownBy(() => update(lost.store))).toBe("gone");
    expect(lost.inner.findById(key.id)).toMatchObject({ name: "b", version: 2 });

    const late = filled([{ fault: "delay", delay: "30ms" }]);
    const done = update(late.store);
    expect(late.inner.findById(key.id)).toMatchObject({ version: 1 });
    expect(await done).toBe(true);
  });

  test("returns a wrong value, the record of another key, or part of a value", async () => {
    const find = (fault: StoreFault) => filled([fault]).store.findByHash(hash);
    const list = async (fault: StoreFault) => filled([fault]).store.list({ now: new Date(), limit: 9 });
    expect(find({ fault: "return", value: 7 })).toBe(7);
    expect(find({ fault: "return", value: (correct: KeyRecord) => [correct.id] })).toEqual([key.id]);
    const other = { id: "key_a_other", ownerId: "another owner", scopes: key.scopes };
    expect(find({ fault: "foreign" })).toMatchObject(other);
    expect(find({ fault: "foreign" })).not.toMatchObject({ hash });
    expect((await list({ fault: "foreign" })).items).toMatchObject([other]);
    expect(find({ fault: "partial" })).toEqual({ id: key.id, hash });
    expect((await list({ fault: "partial" })).items).toBeUndefined();
    const many = faultyStore({ ...memoryStore(), findManyByHash: (_: readonly KeyHash[]) => [key, key] }, [
      { fault: "partial" },
    ]);
    expect(await many.findManyByHash([hash, hash])).toEqual([key]);
  });

  test("applies the first fault that matches method, number and condition", () => {
    const { store } = filled([
      { method: "findByHash", call: [2, 3], fault: "return", value: "numbered" },
      { method: ["findById", "list"], fault: "return", value: "named" },
      { when: ({ args }) => args[0] === "odd", fault: "return", value: "odd" },
    ]);
    const odd = () => store.findByHash("odd" as never);
    expect([odd(), odd(), odd(), odd()]).toEqual(["odd", "numbered", "numbered", "odd"]);
    expect([store.findById("odd"), store.findByHash(hash)]).toEqual(["named", expect.anything()]);
    expect(store.injected()).toBe(5);
    store.heal();
    expect(odd()).toBeUndefined();
  });

  test("applies a probability that is determined by the seed", () => {
    const draw = (seed?: number) => {
      const { store } = filled([{ probability: 0.25, fault: "return", value: 1 }], seed);
      return Array.from({ length: 400 }, () => (store.findByHash(hash) === (1 as never) ? "1" : "0")).join(
        "",
      );
    };
    expect(draw(7)).toBe(draw(7));
    expect(draw()).toBe(draw(1));
    expect(draw(7)).not.toBe(draw(8));
    const count = draw(7).split("1").length - 1;
    expect(count).toBeGreaterThan(60);
    expect(count).toBeLessThan(140);
  });

  test.each([
    ["an unknown fault", [{ fault: "explode" }], /plan\[0\]: "fault"/],
    ["a missing fault", [{ method: "list" }], /"fault"/],
    ["an unknown member", [{ fault: "hang", methods: "list" }], /"methods"/],
    ["a member of another fault", [{ fault: "hang", delay: "5ms" }], /"delay"/],
    [
      "a method that the store does not have",
      [{ fault: "hang", method: "findManyByHash" }],
      /findManyByHash/,
    ],
    ["a call number of 0", [{ fault: "hang" }, { fault: "hang", call: 0 }], /plan\[1\]: "call"/],
    ["a boolean as condition", [{ fault: "hang", when: true }], /"when"/],
    ["a probability above 1", [{ fault: "hang", probability: 2 }], /"probability"/],
    ["a delay without a duration", [{ fault: "delay" }], /"delay"/],
    ["a delay as a number", [{ fault: "delay", delay: 30 }], /"delay".*write "30ms"/],
    ["an object as plan", { fault: "hang" }, /must be an array of faults; received an object/],
  ])("rejects %s", (_, plan, message) => {
    const make = () => faultyStore(memoryStore(), plan as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });

  test("rejects an invalid store, an unknown option and an invalid seed", () => {
    expect(() => faultyStore({} as never, [])).toThrow(/"store" must have a method findByHash/);
    expect(() => faultyStore(memoryStore(), [], { sed: 1 } as never)).toThrow(/"sed"/);
    expect(() => faultyStore(memoryStore(), [], { seed: 0.5 })).toThrow(/"seed"/);
  });
});
