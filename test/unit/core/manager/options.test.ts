import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { createKeyManager } from "../../../../src/index.js";
import { memoryStore } from "../../../../src/stores/memory.js";
import { format, START, scopes, service, thrownBy } from "../fixtures.js";
import { createManager, INPUT } from "./fixtures.js";

describe("createKeyManager", () => {
  const good = { store: memoryStore(), scopes, format };
  const { replace: _, ...half } = good.store;

  it.each<[string, unknown, RegExp]>([
    ["missing options", undefined, /options object/],
    ["an unknown option", { ...good, peper: "x" }, /"peper"/],
    ["a store that cannot replace", { ...good, store: half }, /"store" must have a method replace/],
    ["missing scopes", { store: good.store, format }, /"scopes"/],
    ["a format that cannot generate", { ...good, format: { parse: () => ({}) } }, /"format".*generate/],
    ["several formats", { ...good, format: [format] }, /"format"/],
    ...[0, -1, Number.NaN, 2 ** 31, "250", "0s", "25d", null].map(
      (storeTimeout): [string, unknown, RegExp] => [
        `a storeTimeout of ${JSON.stringify(storeTimeout)}`,
        { ...good, storeTimeout },
        /^createKeyManager: "storeTimeout" must be a duration such as .*; received /,
      ],
    ),
    ["a maxLifetime without a unit", { ...good, maxLifetime: 90 }, /"maxLifetime"/],
    ["a maxLifetime of more than a century", { ...good, maxLifetime: "36501d" }, /"maxLifetime"/],
    [
      "a maxLifetime of 0",
      { ...good, maxLifetime: "0s" },
      /^createKeyManager: "maxLifetime".*received "0s"$/,
    ],
    ["a maxLifetime of null", { ...good, maxLifetime: null }, /"maxLifetime"/],
    ["a clock that is a date", { ...good, clock: new Date() }, /"clock"/],
    ["an empty pepper", { ...good, pepper: "" }, /pepper/],
    ["a pepper that is undefined", { ...good, pepper: undefined }, /"pepper" is undefined/],
    ["a pepper of null", { ...good, pepper: null }, /pepper.*null/],
    ["a pepper that is a number", { ...good, pepper: 7 }, /pepper.*number/],
  ])("rejects %s", (_, options, message) => {
    const make = () => createKeyManager(options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });

  it.each(
    [
      ["findByHash", "findById", "list", "insert", "update", "replace", "touch", "auditTrail"].map((name) => [
        "store",
        name,
      ]),
      ["isGrantable", "get"].map((name) => ["scopes", name]),
      ["parse", "generate"].map((name) => ["format", name]),
    ].flat() as [keyof typeof good, string][],
  )("rejects %s without %s", (option, method) => {
    const make = () =>
      createKeyManager({ ...good, [option]: { ...good[option], [method]: undefined } } as never);
    expect(make).toThrow(new TypeError(`createKeyManager: "${option}" must have a method ${method}()`));
  });

  it.each(["pepper", "legacyHashes", "maxLifetime"])("rejects %s that is undefined", (name) => {
    expect(() => createKeyManager({ ...good, [name]: undefined } as never)).toThrow(
      new TypeError(`createKeyManager: "${name}" is undefined; omit it to use the default`),
    );
  });

  it("uses the system clock by default", async () => {
    const before = Date.now();
    const { key } = await createKeyManager({ store: memoryStore(), scopes, format }).create(INPUT);
    expect(key.createdAt?.getTime()).toBeGreaterThanOrEqual(before);
    expect(key.createdAt?.getTime()).toBeLessThanOrEqual(Date.now());
  });

  it("stores nothing if the format cannot parse its own secrets", async () => {
    const { manager, store } = createManager({ format: { ...format, parse: () => undefined } });
    expect(await thrownBy(() => manager.create(INPUT))).toEqual(
      new TypeError('createKeyManager: "format" cannot parse a secret that it generated'),
    );
    expect(await store.list({ limit: 1, now: START })).toEqual({ items: [] });
  });

  it("stores nothing if the clock does not return a valid Date", async () => {
    const store = memoryStore();
    for (const clock of [() => new Date(Number.NaN), () => START.getTime() as never]) {
      const { manager } = createManager({ store, clock });
      expect(await thrownBy(() => manager.create(INPUT))).toEqual(
        new TypeError('createKeyManager: "clock" must return a valid Date'),
      );
    }
    expect((await store.list({ now: START, limit: 10 })).items).toEqual([]);
  });

  it("does not reveal the pepper when printed", () => {
    const pepper = "a pepper that must stay secret";
    const { manager, verifier } = service({ pepper });
    expect(inspect([manager, verifier], { depth: 9, showHidden: true })).not.toContain(pepper);
  });
});
