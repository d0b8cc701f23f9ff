import { describe, expect, test, vi } from "vitest";
import { cachedStore } from "../../../src/cache/index.js";
import { readConfig } from "../../../src/cli/config.js";
import {
  createKeyManager,
  createVerifier,
  KeyConflictError,
  type KeyManager,
  type ManagedKeyStore,
} from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { withFaults } from "../../../src/testing/faults.js";
import { faultyStore, type StoreFault, type StoreMethod } from "../../../src/testing/index.js";
import { bearer, type FleetScope, format, START, scopes, stoppedClock } from "../../unit/core/fixtures.js";
import { atEnd, FAULTS, failure, GRACE_MS, TIMEOUT_MS, withoutTrace } from "./harness.js";

withoutTrace();

const INPUT = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" } as const;

interface Operation {
  readonly run: (manager: KeyManager<FleetScope>, id: string) => Promise<unknown>;
  /** What it asks the store for. */
  readonly calls: readonly StoreMethod[];
}

const OPERATIONS: Readonly<Record<Exclude<keyof KeyManager, "scopes" | "environments">, Operation>> = {
  create: { run: (manager) => manager.create(INPUT), calls: ["insert"] },
  get: { run: (manager, id) => manager.get(id), calls: ["findById"] },
  list: { run: (manager) => manager.list({ ownerId: "acme" }), calls: ["list"] },
  auditTrail: {
    run: (manager, id) => manager.auditTrail({ keyId: id, ownerId: "acme" }),
    calls: ["auditTrail"],
  },
  update: { run: (manager, id) => manager.update(id, { name: "b" }), calls: ["findById", "update"] },
  disable: { run: (manager, id) => manager.disable(id), calls: ["findById", "update"] },
  enable: {
    // A key that is not disabled is read only.
    run: (manager, id) => manager.enable(id),
    calls: ["findById"],
  },
  revoke: { run: (manager, id) => manager.revoke(id), calls: ["findById", "update"] },
  rotate: { run: (manager, id) => manager.rotate(id, { overlap: "1h" }), calls: ["findById", "replace"] },
  import: {
    run: (manager) => manager.import({ ...INPUT, secret: format.generate("live") }),
    calls: ["findByHash", "findById", "insert"],
  },
  purge: { run: (manager) => manager.purge({ retention: "1d" }), calls: ["list", "remove"] },
};

const MIXED_UP = ["answers another's", "answers the half"]; // a text has no owner, and no half
const cases = Object.entries(OPERATIONS).flatMap(([name, { run, calls }]) =>
  calls.flatMap((method) =>
    Object.entries(FAULTS).map(([label, fault]) => ({ name, run, method, label, fault })),
  ),
);

const WRAPS: Readonly<Record<string, (store: ManagedKeyStore) => ManagedKeyStore>> = {
  "a manager": (store) => store,
  "a manager over a cached store": (store) => {
    const cache = cachedStore(store, { storeTimeout: `${TIMEOUT_MS}ms` });
    atEnd(() => cache.close());
    return cache;
  },
};

async function setUp(plan: readonly StoreFault[], wrap = (store: ManagedKeyStore) => store) {
  const inner: ManagedKeyStore = memoryStore();
  const clock = stoppedClock();
  const plain = createKeyManager({ store: inner, scopes, format, clock: clock.now });
  const old = await plain.create(INPUT);
  await plain.revoke(old.key.id);
  clock.set(START.getTime() + 30 * 86_400_000);
  const { secret, key } = await plain.create(INPUT);
  const store = faultyStore(inner, plan);
  const options = { store: wrap(store), scopes, format, clock: clock.now, storeTimeout: `${TIMEOUT_MS}ms` };
  const manager = createKeyManager(options);
  const verifier = createVerifier({ store: inner, scopes, format, clock: clock.now });
  const works = async (sent: string) => (await verifier.verify(bearer(sent))).ok;
  return { inner, plain, store, manager, secret, id: key.id, works };
}

/** That every rotation is whole: a key that says what replaced it has a successor that says so too. */
async function expectWhole(plain: KeyManager<FleetScope>): Promise<void> {
  const { items } = await plain.list();
  for (const { id, replaces, replacedBy, rotatedAt } of items) {
    expect(replacedBy === null).toBe(rotatedAt === null);
    if (replacedBy !== null) expect(items.find((one) => one.id === replacedBy)?.replaces).toBe(id);
    if (replaces !== null) expect(items.find((one) => one.id === replaces)?.replacedBy).toBe(id);
  }
}

describe.each(Object.entries(WRAPS))("%s", (_, wrap) => {
  test.each(cases)("$name: $method $label", async ({ name, run, method, label, fault }) => {
    const { plain, store, manager, id, secret, works } = await setUp([{ method, ...fault }], wrap);
    const error = await failure(TIMEOUT_MS + GRACE_MS, () => run(manager, id));
    expect(store.injected()).toBeGreaterThan(0);
    // An insertion has nothing to answer: what comes back in place of nothing changes nothing.
    const isHarmless = method === "insert" && label.startsWith("answers");
    const isSound = (label === "answers another's" || label === "answers the half") && isWrite(method);
    // Keys that are not there cannot be forgotten, and of no key there is neither another nor a half.
    const isVain =
      (name === "purge" && label === "answers another's") || (name === "import" && MIXED_UP.includes(label));
    if (!isHarmless && !isSound && !isVain) {
      expect(error).toMatchObject({ code: "KEYBEARER_STORE_ERROR" });
    }
    if (label === "hangs" || label === "is late") {
      const outcome = isWrite(method) ? "; what it was to write may have happened" : "";
      expect(error).toHaveProperty("message", `The key store did not answer within 250 ms${outcome}`);
    }
    await expectWhole(plain);

    store.heal();
    expect(await failure(500, () => manager.get(id))).toBeUndefined();
    const issued = await manager.create(INPUT);
    expect(await works(issued.secret)).toBe(true);
    await manager.revoke(id);
    expect(await works(secret)).toBe(false);
    await manager.purge({ retention: "0s" });
    expect(await manager.get(id)).toBeUndefined();
  });
});

describe("a manager", () => {
  const legacyFaults = Object.entries(FAULTS).filter(([label]) => !MIXED_UP.includes(label));
  test.each(legacyFaults)("an import of which a legacy hash %s", async (_, fault) => {
    const { inner } = await setUp([]);
    const legacy = withFaults({ hash: async (secret: string) => `old-${secret}` }, ["hash"], [fault], 1);
    const options = { store: inner, scopes, format, legacyHashes: [{ name: "old", hash: legacy.hash }] };
    const manager = createKeyManager({ ...options, storeTimeout: `${TIMEOUT_MS}ms` });
    const work = () => manager.import({ ...INPUT, secret: format.generate("live") });
    expect(await failure(TIMEOUT_MS + GRACE_MS, work)).toMatchObject({ code: "KEYBEARER_STORE_ERROR" });
    expect(legacy.injected()).toBeGreaterThan(0);
    expect((await manager.list()).items).toHaveLength(2);
    legacy.heal();
    expect(await failure(0, work)).toBeUndefined();
  });

  test.each(["resolves", "rejects"])("a change that is given up, and %s later, harms nobody", async (how) => {
    const { inner, works, secret, id } = await setUp([]);
    let settle = () => {};
    const update: ManagedKeyStore["update"] = (...args) =>
      new Promise((resolve, reject) => {
        settle = () => (how === "rejects" ? reject(new Error("too late")) : resolve(inner.update(...args)));
      });
    const options = { store: { ...inner, update }, scopes, format };
    const told: string[] = [];
    const manager = createKeyManager({ ...options, observers: [({ type }) => told.push(type)] });
    expect(await failure(10_000, () => manager.revoke(id))).toMatchObject({
      message: "The key store did not answer within 10000 ms; what it was to write may have happened",
    });
    expect(await works(secret)).toBe(true);
    settle();
    expect(await manager.get(id)).toMatchObject({ revokedAt: how === "rejects" ? null : expect.any(Date) });
    expect(await works(secret)).toBe(how === "rejects");
    expect(told).toEqual([]);
  });

  test("a store that answers in time has its own errors told, and leaves no timer", async () => {
    const inner: ManagedKeyStore = memoryStore();
    const conflict = new KeyConflictError("A key of this id exists");
    const store = { ...inner, insert: () => Promise.reject(conflict) };
    const manager = createKeyManager({ store, scopes, format });
    expect(await failure(0, () => manager.create(INPUT))).toBe(conflict);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("the command line has more patience: a page of a large store takes its time", async () => {
    const { inner } = await setUp([]);
    const store = faultyStore(inner, [{ method: "list", fault: "delay", ms: 30_000 }]);
    const manager = readConfig("keybearer.json", { prefix: "ezt", scopes: {} }, {}).manager(store);
    expect(await failure(31_000, () => manager.purge({ retention: "36500d" }))).toBeUndefined();
    expect(store.injected()).toBe(1);
  });

  test("a rotation whose acknowledgement is lost has happened, and is not made twice", async () => {
    const { plain, store, manager, id } = await setUp([{ method: "replace", call: 1, fault: "lose" }]);
    expect(await failure(500, () => manager.rotate(id))).toMatchObject({ code: "KEYBEARER_STORE_ERROR" });
    expect(await failure(500, () => manager.rotate(id))).toMatchObject({ code: "KEYBEARER_KEY_STATE" });
    expect(store.injected()).toBe(1);
    await expectWhole(plain);
    expect((await plain.list()).items).toHaveLength(3);
  });
});

const isWrite = (method: StoreMethod) => ["insert", "update", "replace", "remove"].includes(method);
