import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { createChanges } from "../../../src/cache/changes.js";
import { createEntries } from "../../../src/cache/entries.js";
import { type CachedStoreOptions, readSettings } from "../../../src/cache/options.js";
import { snapshot } from "../../../src/cache/snapshot.js";
import { hashSecret, type KeyHash, type VerifiableRecord } from "../../../src/index.js";
import { keyOf, localBus } from "./fixtures.js";

describe("createChanges", () => {
  test("reports a change after the position, for that id only", () => {
    const changes = createChanges();
    const before = changes.position();
    changes.add("a");
    const after = changes.position();
    expect([changes.hasChanged("a", before), changes.hasChanged("b", before)]).toEqual([true, false]);
    expect(changes.hasChanged("a", after)).toBe(false);
    changes.add("b");
    expect([changes.hasChanged("a", after), changes.hasChanged("b", after)]).toEqual([false, true]);
  });

  test("reports a change of every id", () => {
    const changes = createChanges();
    const before = changes.position();
    changes.addAll();
    expect(changes.hasChanged("a", before)).toBe(true);
    expect(changes.hasChanged("a", changes.position())).toBe(false);
  });

  test("reports a pending change, and after its end a change at that time", () => {
    const changes = createChanges();
    const end = changes.begin("a");
    const during = changes.position();
    expect(changes.hasChanged("a", during)).toBe(true);
    expect(changes.hasChanged("b", during)).toBe(false);
    end();
    expect(changes.hasChanged("a", during)).toBe(true);
    expect(changes.hasChanged("b", during)).toBe(false);
    expect(changes.hasChanged("a", changes.position())).toBe(false);
  });

  test("reports concurrent changes of one id until the last one ends", () => {
    const changes = createChanges();
    const ends = [changes.begin("a"), changes.begin("a"), changes.begin("a")];
    for (const end of ends) {
      expect(changes.hasChanged("a", changes.position())).toBe(true);
      end();
    }
    expect(changes.hasChanged("a", changes.position())).toBe(false);
    changes.begin("a")();
    expect(changes.hasChanged("a", changes.position())).toBe(false);
  });

  test("reports a change of every id after more than 1,024 changes", () => {
    for (const offset of [0, 7, 2_000]) {
      const changes = createChanges();
      for (let i = 0; i < offset; i++) changes.add("earlier");
      const before = changes.position();
      changes.add("first");
      expect(changes.hasChanged("earlier", before)).toBe(false);
      for (let i = 1; i < 1_024; i++) changes.add(`n${i}`);
      for (const id of ["first", "n1", "n1023"]) expect(changes.hasChanged(id, before)).toBe(true);
      for (const id of ["earlier", "other"]) expect(changes.hasChanged(id, before)).toBe(false);
      changes.add("last");
      expect(changes.hasChanged("other", before)).toBe(true);
    }
  });
});

describe("createEntries", () => {
  const createKey = (id: number) => ({ ...keyOf(), id: `key_${id}`, hash: hashSecret(`${id}`) });

  test("keeps nothing of evicted keys in memory", () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const entries = createEntries({ ttlMs: 60_000, max: 10 });
    const used = () => {
      for (let round = 0; round < 3; round++) collect();
      return process.memoryUsage().heapUsed;
    };
    const passThrough = (from: number, to: number) => {
      for (let id = from; id < to; id++) {
        const key = createKey(id);
        entries.set(key.hash, key, entries.startLookup());
      }
    };
    passThrough(0, 2_000);
    const before = used();
    passThrough(2_000, 52_000);
    expect(used() - before).toBeLessThan(50_000 * 20); // an id and a hash alone take 100 bytes
    expect(entries.get(hashSecret("51999"), performance.now())).toMatchObject({ id: "key_51999" });
  });

  test.each([undefined, null])("evicts a key for which a later lookup returns %s", (missing) => {
    const entries = createEntries({ ttlMs: 60_000, max: 10 });
    const key = createKey(1);
    entries.set(key.hash, key, entries.startLookup());
    expect(entries.get(key.hash, performance.now())).toEqual(key);
    expect(entries.set(key.hash, missing, entries.startLookup())).toBe(missing);
    expect(entries.get(key.hash, performance.now())).toBeUndefined();
  });
});

describe("snapshot", () => {
  const snapshotOf = (record: object, hash?: string) =>
    snapshot(record as VerifiableRecord, (hash ?? (record as VerifiableRecord).hash) as KeyHash);

  test("copies every member and shares nothing mutable", () => {
    const at = (second: number) => new Date(second * 1_000);
    const record = keyOf({
      version: 4,
      environment: "live",
      name: "Billing",
      scopes: ["a", "b"],
      ipAllowlist: ["10.0.0.0/8"],
      rateLimit: { limit: 5, windowSeconds: 60 },
      metadata: { tags: ["a"] },
      createdAt: at(1),
      updatedAt: at(2),
      expiresAt: at(3),
      lastUsedAt: at(4),
      disabledAt: at(5),
      revokedAt: at(6),
      revokedReason: "lost",
      rotatedAt: at(7),
      replacedBy: "key_b",
      replaces: "key_a",
    });
    const copy = snapshotOf(record) as typeof record;
    expect(copy).toEqual(record);
    expect(Object.keys(copy).sort()).toEqual(Object.keys(record).sort());
    for (const part of [copy, copy.scopes, copy.ipAllowlist]) expect(Object.isFrozen(part)).toBe(true);
    const shared = ["scopes", "ipAllowlist", "rateLimit", "metadata"] as const;
    const dates = ["createdAt", "updatedAt", "expiresAt", "lastUsedAt", "disabledAt", "revokedAt"] as const;
    for (const member of [...shared, ...dates, "rotatedAt"] as const) {
      expect(copy[member]).not.toBe(record[member]);
    }
  });

  test("shares frozen lists and copies invalid dates as they are", () => {
    const scopes = Object.freeze(["a"]);
    const copy = snapshotOf({ ...keyOf({ scopes }), revokedAt: "yes", ipAllowlist: undefined });
    expect(copy?.scopes).toBe(scopes);
    expect(copy).toMatchObject({ revokedAt: "yes", ipAllowlist: undefined });
  });

  test.each<[string, object]>([
    ["no id", { id: undefined }],
    ["an empty id", { id: "" }],
    ["no owner", { ownerId: null }],
    ["an owner that is a number", { ownerId: 7 }],
    ["an empty environment", { environment: "" }],
    ["an environment that is a number", { environment: 7 }],
    ["scopes that are a string", { scopes: "a" }],
    ["an allowlist that is a string", { ipAllowlist: "10.0.0.1" }],
    ["an allowlist that is false", { ipAllowlist: false }],
    ["metadata that cannot be cloned", { metadata: () => {} }],
  ])("is undefined for a record with %s", (_, more) => {
    expect(snapshotOf({ ...keyOf(), ...more })).toBeUndefined();
  });

  test("is undefined for the record of another hash", () => {
    expect(snapshotOf(keyOf(), keyOf().hash)).toBeUndefined();
  });
});

describe("readSettings", () => {
  test("applies the defaults", () => {
    expect(readSettings({}, false)).toEqual({
      ttlMs: 5_000,
      max: 10_000,
      bus: undefined,
      heartbeatMs: 1_000,
      timeoutMs: 250,
      observers: [],
    });
  });

  test("accepts the bounds", () => {
    const bus = localBus();
    const observers = [() => {}];
    const highest = readSettings(
      { ttl: "1h", max: 1_000_000, bus, heartbeat: "60000ms", storeTimeout: "2147483647ms", observers },
      true,
    );
    expect(highest).toEqual({
      ttlMs: 3_600_000,
      max: 1_000_000,
      bus,
      heartbeatMs: 60_000,
      timeoutMs: 2 ** 31 - 1,
      observers,
    });
    expect(highest.observers).not.toBe(observers);
    expect(readSettings({ ttl: "1ms", max: 1, heartbeat: "10ms", storeTimeout: "1ms" }, true)).toMatchObject({
      ttlMs: 1,
      max: 1,
      heartbeatMs: 10,
      timeoutMs: 1,
    });
    expect(readSettings({ ttl: "1m" }, false)).toMatchObject({ ttlMs: 60_000 });
  });

  const bus = localBus();

  test.each<[object, string]>([
    [{ ttl: 5_000 }, '"ttl" must be a duration'],
    [{ ttl: "0s" }, '"ttl" must be a duration'],
    [{ ttl: "60001ms" }, '"ttl" must be a duration'],
    [{ ttl: "60001ms", bus }, '"ttl" must be a duration'],
    [{ max: 0 }, '"max" must be an integer from 1 to 1000000; received 0'],
    [{ max: 1_000_001 }, '"max" must be an integer from 1 to 1000000; received 1000001'],
    [{ heartbeat: "9ms" }, '"heartbeat" must be a duration'],
    [{ heartbeat: "60001ms" }, '"heartbeat" must be a duration'],
    [{ storeTimeout: "0ms" }, '"storeTimeout" must be a duration'],
    [{ storeTimeout: "2147483648ms" }, '"storeTimeout" must be a duration'],
    [{ storeTimeout: 1.5 }, '"storeTimeout" must be a duration'],
    [{ bus: undefined }, '"bus" is undefined'],
    [{ bus: null }, '"bus" must have a method subscribe()'],
    [{ bus: { publish() {} } }, '"bus" must have a method subscribe()'],
    [{ observers: () => {} }, '"observers" must be an array of functions'],
    [{ observers: [() => {}, 7] }, '"observers" must be an array of functions'],
    [
      { TTL: "5s" },
      'unknown option "TTL"; known options are ttl, max, bus, heartbeat, storeTimeout, observers',
    ],
  ])("throws a TypeError for %j", (options, message) => {
    const read = () => readSettings(options as CachedStoreOptions, false);
    expect(read).toThrow(TypeError);
    expect(read).toThrow(`cachedStore: ${message}`);
  });
});
