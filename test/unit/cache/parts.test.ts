import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { decodeMessage, encodeMessage, type Message } from "../../../src/cache/bus/message.js";
import { createChanges } from "../../../src/cache/changes.js";
import { createEntries } from "../../../src/cache/entries.js";
import { readSettings } from "../../../src/cache/options.js";
import { sealed } from "../../../src/cache/snapshot.js";
import { within } from "../../../src/cache/within.js";
import { hashSecret, type KeyHash, type VerifiableRecord } from "../../../src/index.js";
import { keyOf, localBus } from "./fixtures.js";

describe("changes", () => {
  test("of a name overtake what began before, of that name alone", () => {
    const changes = createChanges();
    const before = changes.mark();
    changes.note("a");
    const after = changes.mark();
    expect([changes.overtook("a", before), changes.overtook("b", before)]).toEqual([true, false]);
    expect(changes.overtook("a", after)).toBe(false);
    changes.note("b");
    expect([changes.overtook("a", after), changes.overtook("b", after)]).toEqual([false, true]);
  });

  test("of all overtake every name", () => {
    const changes = createChanges();
    const before = changes.mark();
    changes.noteAll();
    expect(changes.overtook("a", before)).toBe(true);
    expect(changes.overtook("a", changes.mark())).toBe(false);
  });

  test("that take a while overtake until they end, and what began before their end", () => {
    const changes = createChanges();
    const end = changes.begin("a");
    const during = changes.mark();
    expect(changes.overtook("a", during)).toBe(true);
    expect(changes.overtook("b", during)).toBe(false);
    end();
    expect(changes.overtook("a", during)).toBe(true);
    expect(changes.overtook("b", during)).toBe(false);
    expect(changes.overtook("a", changes.mark())).toBe(false);
  });

  test("of one name at once overtake until the last of them ends", () => {
    const changes = createChanges();
    const ends = [changes.begin("a"), changes.begin("a"), changes.begin("a")];
    for (const end of ends) {
      expect(changes.overtook("a", changes.mark())).toBe(true);
      end();
    }
    expect(changes.overtook("a", changes.mark())).toBe(false);
    changes.begin("a")();
    expect(changes.overtook("a", changes.mark())).toBe(false);
  });

  test("as many as are remembered are told apart; one more overtakes every name", () => {
    for (const offset of [0, 7, 2_000]) {
      const changes = createChanges();
      for (let i = 0; i < offset; i++) changes.note("earlier");
      const before = changes.mark();
      changes.note("first");
      expect(changes.overtook("earlier", before)).toBe(false);
      for (let i = 1; i < 1_024; i++) changes.note(`n${i}`);
      expect(["first", "n1", "n1023"].map((name) => changes.overtook(name, before))).toEqual([
        true,
        true,
        true,
      ]);
      expect(["earlier", "other"].map((name) => changes.overtook(name, before))).toEqual([false, false]);
      changes.note("last");
      expect(changes.overtook("other", before)).toBe(true);
    }
  });
});

describe("entries", () => {
  const entries = (negativeTtl: number) =>
    createEntries({ ttl: 60_000, max: 10, negativeTtl, negativeMax: 10 });
  const keyed = (id: number) => ({ ...keyOf(), id: `key_${id}`, hash: hashSecret(`${id}`) });

  test("hold on to nothing of the keys that were driven out", () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const held = entries(60_000);
    const used = () => {
      for (let round = 0; round < 3; round++) collect();
      return process.memoryUsage().heapUsed;
    };
    const passThrough = (from: number, to: number) => {
      for (let id = from; id < to; id++) {
        const key = keyed(id);
        held.keep(key.hash, key, held.mark());
      }
    };
    passThrough(0, 2_000);
    const before = used();
    passThrough(2_000, 52_000);
    expect(used() - before).toBeLessThan(50_000 * 20); // bytes; an id and a hash alone are a hundred
    expect(held.find(hashSecret("51999"), performance.now())).toMatchObject({ id: "key_51999" });
  });

  test("without absences forget what they have, and take a key that comes", () => {
    const held = entries(0);
    const key = keyed(1);
    const unknown = hashSecret("unknown");
    for (const forget of [held.forgetAbsences, held.forgetAll, held.changing("key_2", key.hash)]) {
      expect(held.keep(unknown, null, held.mark())).toBeNull();
      expect(held.find(unknown, performance.now())).toBeUndefined();
      forget();
      held.keep(key.hash, key, held.mark());
      expect(held.find(key.hash, performance.now())).toMatchObject({ id: "key_1" });
    }
  });
});

describe("messages", () => {
  const news: readonly Message[] = [
    { from: "me", number: 1, type: "ping" },
    { from: "x".repeat(64), number: 2 ** 53 - 1, type: "everything" },
    { from: "", number: 7, type: "changed", id: "", added: true },
    { from: "me", number: 8, type: "changed", id: "key_1", added: false },
  ];

  test.each(news)("%j is read as it was written", (message) => {
    const text = encodeMessage(message);
    expect(JSON.parse(text)).toEqual({ v: 1, ...message });
    expect(decodeMessage(text)).toEqual(message);
  });

  test("one of 4,000 bytes is sent, one of more says that everything has changed", () => {
    const changed = (id: string): Message => ({ from: "me", number: 3, type: "changed", id, added: true });
    const room = 4_000 - Buffer.byteLength(encodeMessage(changed("")));
    const most = encodeMessage(changed("x".repeat(room)));
    expect(most).toHaveLength(4_000);
    expect(decodeMessage(most)).toEqual(changed("x".repeat(room)));
    for (const id of ["x".repeat(room + 1), "é".repeat(room / 2 + 1)]) {
      expect(JSON.parse(encodeMessage(changed(id)))).toEqual({
        v: 1,
        from: "me",
        number: 3,
        type: "everything",
      });
    }
  });

  const good = { v: 1, from: "me", number: 1, type: "changed", id: "a", added: false };

  test.each<[string, unknown]>([
    ["no text", 7],
    ["nothing", undefined],
    ["bytes", Buffer.from(JSON.stringify(good))],
    ["no JSON", "{"],
    ["no object", '"ping"'],
    ["null", "null"],
    ["another version", JSON.stringify({ ...good, v: 2 })],
    ["no version", JSON.stringify({ ...good, v: undefined })],
    ["a sender that is no text", JSON.stringify({ ...good, from: [] })],
    ["a long sender", JSON.stringify({ ...good, from: "x".repeat(65) })],
    ["a number that is a text", JSON.stringify({ ...good, number: "1" })],
    ["number 0", JSON.stringify({ ...good, number: 0 })],
    ["half a number", JSON.stringify({ ...good, number: 1.5 })],
    ["a number beyond counting", JSON.stringify({ ...good, number: 2 ** 53 })],
    ["another type", JSON.stringify({ ...good, type: "rotated" })],
    ["an id that is no text", JSON.stringify({ ...good, id: 1 })],
    ["no id", JSON.stringify({ ...good, id: undefined })],
    ["added that is no boolean", JSON.stringify({ ...good, added: "yes" })],
    ["more than there may be", JSON.stringify({ ...good, id: "x".repeat(4_000) })],
  ])("%s is none", (_, text) => {
    expect(decodeMessage(text)).toBeUndefined();
  });
});

describe("sealed", () => {
  const seal = (record: object, hash?: string) =>
    sealed(record as VerifiableRecord, (hash ?? (record as VerifiableRecord).hash) as KeyHash);

  test("holds every member, and shares none that could be changed", () => {
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
    const copy = seal(record) as typeof record;
    expect(copy).toEqual(record);
    expect(Object.keys(copy).sort()).toEqual(Object.keys(record).sort());
    for (const part of [copy, copy.scopes, copy.ipAllowlist]) expect(Object.isFrozen(part)).toBe(true);
    const shared = ["scopes", "ipAllowlist", "rateLimit", "metadata"] as const;
    const dates = ["createdAt", "updatedAt", "expiresAt", "lastUsedAt", "disabledAt", "revokedAt"] as const;
    for (const member of [...shared, ...dates, "rotatedAt"] as const) {
      expect(copy[member]).not.toBe(record[member]);
    }
  });

  test("keeps a list that nobody can change, and what is no date as it is", () => {
    const scopes = Object.freeze(["a"]);
    const copy = seal({ ...keyOf({ scopes }), revokedAt: "yes", ipAllowlist: undefined });
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
    ["scopes that are a text", { scopes: "a" }],
    ["an allowlist that is a text", { ipAllowlist: "10.0.0.1" }],
    ["an allowlist that is false", { ipAllowlist: false }],
    ["metadata that cannot be copied", { metadata: () => {} }],
  ])("a record with %s is none", (_, more) => {
    expect(seal({ ...keyOf(), ...more })).toBeUndefined();
  });

  test("nor is the record of another hash", () => {
    expect(seal(keyOf(), keyOf().hash)).toBeUndefined();
  });
});

describe("settings", () => {
  test("have defaults", () => {
    expect(readSettings({})).toEqual({
      ttl: 5_000,
      max: 10_000,
      negativeTtl: 0,
      negativeMax: 10_000,
      bus: undefined,
      heartbeat: "1000ms",
      storeTimeout: "250ms",
      observers: [],
    });
  });

  test("may be what they may be at most, and at least", () => {
    const bus = localBus();
    const observers = [() => {}];
    const most = readSettings({
      ttl: "1h",
      max: 1_000_000,
      negativeTtl: "1h",
      negativeMax: 1_000_000,
      bus,
      heartbeat: "60000ms",
      timeoutMs: 2 ** 31 - 1,
      observers,
    });
    expect(most).toEqual({
      ttl: 3_600_000,
      max: 1_000_000,
      negativeTtl: 3_600_000,
      negativeMax: 1_000_000,
      bus,
      heartbeat: "60000ms",
      timeoutMs: 2 ** 31 - 1,
      observers,
    });
    expect(most.observers).not.toBe(observers);
    const least = {
      ttl: "1ms",
      max: 1,
      negativeTtl: "1ms",
      negativeMax: 1,
      heartbeat: "10ms",
      storeTimeout: "1ms",
    } as const;
    expect(readSettings(least)).toMatchObject({ ...least, ttl: 1, negativeTtl: 1 });
    expect(readSettings({ ttl: "1m", negativeTtl: "1m" })).toMatchObject({
      ttl: 60_000,
      negativeTtl: 60_000,
    });
  });

  const DURATION = (name: string, most: string) =>
    `"${name}" must be a duration such as "5s", above 0 and at most "${most}"`;
  const COUNT = (name: string, least: number, most: number) =>
    `"${name}" must be a whole number from ${least} to ${most}`;
  const BUS = '"bus" must have the methods publish() and subscribe(), or be left out';
  const OBSERVERS = '"observers" must be a list of functions';
  const bus = localBus();

  test.each<[object, string]>([
    [{ ttl: 5_000 }, DURATION("ttl", "1m")],
    [{ ttl: "0s" }, DURATION("ttl", "1m")],
    [{ ttl: "60001ms" }, DURATION("ttl", "1m")],
    [{ ttl: "3600001ms", bus }, DURATION("ttl", "1h")],
    [{ negativeTtl: "60001ms" }, DURATION("negativeTtl", "1m")],
    [{ negativeTtl: "3600001ms", bus }, DURATION("negativeTtl", "1h")],
    [{ max: 0 }, COUNT("max", 1, 1_000_000)],
    [{ max: 1_000_001 }, COUNT("max", 1, 1_000_000)],
    [{ negativeMax: 0 }, COUNT("negativeMax", 1, 1_000_000)],
    [{ negativeMax: 1_000_001 }, COUNT("negativeMax", 1, 1_000_000)],
    [{ heartbeat: "9ms" }, COUNT("heartbeat", 10, 60_000)],
    [{ heartbeat: "60001ms" }, COUNT("heartbeat", 10, 60_000)],
    [{ storeTimeout: "0ms" }, COUNT("timeoutMs", 1, 2 ** 31 - 1)],
    [{ timeoutMs: 2 ** 31 }, COUNT("timeoutMs", 1, 2 ** 31 - 1)],
    [{ timeoutMs: 1.5 }, COUNT("timeoutMs", 1, 2 ** 31 - 1)],
    [{ bus: undefined }, BUS],
    [{ bus: null }, BUS],
    [{ bus: { publish() {} } }, BUS],
    [{ bus: { subscribe() {} } }, BUS],
    [{ observers: () => {} }, OBSERVERS],
    [{ observers: [() => {}, 7] }, OBSERVERS],
    [
      { TTL: "5s" },
      'unknown option "TTL"; known options are ttl, max, negativeTtl, negativeMax, bus, heartbeatMs, timeoutMs, observers',
    ],
  ])("%j is a TypeError", (options, message) => {
    expect(() => readSettings(options)).toThrow(new TypeError(`cachedStore: ${message}`));
  });
});

describe("within", () => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;

  test("is what the work comes to, and leaves no timer", async () => {
    const before = timers();
    expect(await within(Promise.resolve(7), 60_000)).toBe(7);
    await expect(within(Promise.reject(new Error("no")), 60_000)).rejects.toThrow("no");
    expect(timers() - before).toBeLessThan(2);
  });

  test("is an error after the time", async () => {
    await expect(within(new Promise(() => {}), 5)).rejects.toThrow(new Error("It took longer than 5 ms"));
  });
});
