import { describe, expect, it, vi } from "vitest";
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
import { closeAtEnd, detectLeaks, FAULTS, failure, GRACE_MS, TIMEOUT_MS } from "./harness.js";

detectLeaks();

const INPUT = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" } as const;

interface Operation {
  readonly run: (manager: KeyManager<FleetScope>, id: string, secret: string) => Promise<unknown>;
  /** The store methods that it calls. */
  readonly calls: readonly StoreMethod[];
}

const OPERATIONS: Readonly<
  Record<Exclude<keyof KeyManager, "scopes" | "environments" | "maxLifetime">, Operation>
> = {
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
    // The key is not disabled, so it is only read.
    run: (manager, id) => manager.enable(id),
    calls: ["findById"],
  },
  revoke: { run: (manager, id) => manager.revoke(id), calls: ["findById", "update"] },
  revokeAll: {
    run: (manager) => manager.revokeAll({ ownerId: "acme" }),
    calls: ["list", "findById", "update"],
  },
  identify: {
    run: (manager, _, secret) => manager.identify([secret]),
    calls: ["findByHash"],
  },
  reportLeak: {
    run: (manager, id) => manager.reportLeak(id, { source: "test" }),
    calls: ["findById", "update"],
  },
  rotate: { run: (manager, id) => manager.rotate(id, { overlap: "1h" }), calls: ["findById", "replace"] },
  import: {
    run: (manager) => manager.import({ ...INPUT, secret: format.generate("live") }),
    calls: ["findByHash", "findById", "insert"],
  },
  suspendOwner: { run: (manager) => manager.suspendOwner("globex"), calls: ["suspendOwner"] },
  resumeOwner: { run: (manager) => manager.resumeOwner("globex"), calls: ["resumeOwner"] },
  purge: { run: (manager) => manager.purge({ retention: "1d" }), calls: ["list", "remove"] },
};

/** Faults that change a record or a page; other results stay as they are. */
const CHANGES_RECORDS = ["foreign", "partial"];
const cases = Object.entries(OPERATIONS).flatMap(([name, { run, calls }]) =>
  calls.flatMap((method) =>
    Object.entries(FAULTS).map(([label, fault]) => ({ name, run, method, label, fault })),
  ),
);

const WRAPS: Readonly<Record<string, (store: ManagedKeyStore) => ManagedKeyStore>> = {
  "a manager": (store) => store,
  "a manager over a cached store": (store) => {
    const cache = cachedStore(store, { storeTimeout: `${TIMEOUT_MS}ms` });
    closeAtEnd(() => cache.close());
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
  const storeTimeout = `${TIMEOUT_MS}ms` as const;
  const manager = createKeyManager({ store: wrap(store), scopes, format, clock: clock.now, storeTimeout });
  const verifier = createVerifier({ store: inner, scopes, format, clock: clock.now });
  const works = async (sent: string) => (await verifier.verify(bearer(sent))).ok;
  return { inner, plain, store, manager, secret, id: key.id, works };
}

/** Checks that `replacedBy` and `replaces` agree in every pair of keys. */
async function expectConsistentRotations(plain: KeyManager<FleetScope>): Promise<void> {
  const { items } = await plain.list();
  for (const { id, replaces, replacedBy, rotatedAt } of items) {
    expect(replacedBy === null).toBe(rotatedAt === null);
    if (replacedBy !== null) expect(items.find((key) => key.id === replacedBy)?.replaces).toBe(id);
    if (replaces !== null) expect(items.find((key) => key.id === replaces)?.replacedBy).toBe(id);
  }
}

describe.each(Object.entries(WRAPS))("%s", (_, wrap) => {
  it.each(cases)("$name: $method $label", async ({ name, run, method, fault }) => {
    const { plain, store, manager, id, secret, works } = await setUp([{ method, ...fault }], wrap);
    const error = await failure(TIMEOUT_MS + GRACE_MS, () => run(manager, id, secret));
    expect(store.injected()).toBeGreaterThan(0);
    const changesRecords = CHANGES_RECORDS.includes(fault.fault);
    const isHarmless =
      (method === "insert" && fault.fault === "return") || // the result is ignored
      (isWrite(method) && changesRecords) || // the result is a boolean
      (name === "import" && changesRecords) || // no record is found
      (name === "purge" && fault.fault === "foreign"); // remove() finds no key of that id
    if (!isHarmless) expect(error).toMatchObject({ code: "KEYBEARER_STORE_ERROR" });
    if (fault.fault === "hang" || fault.fault === "delay") {
      const outcome = isWrite(method) ? "; the outcome of the write is unknown" : "";
      expect(error).toHaveProperty("message", `The key store did not respond within 250 ms${outcome}`);
    }
    await expectConsistentRotations(plain);

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
  const legacyFaults = Object.entries(FAULTS).filter(([, { fault }]) => !CHANGES_RECORDS.includes(fault));
  it.each(legacyFaults)("rejects an import if a legacy hash %s", async (_, fault) => {
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

  it.each(["resolves", "rejects"])("emits no event for a write that %s after the timeout", async (how) => {
    const { inner, works, secret, id } = await setUp([]);
    let settle = () => {};
    const update: ManagedKeyStore["update"] = (...args) =>
      new Promise((resolve, reject) => {
        settle = () => (how === "rejects" ? reject(new Error("too late")) : resolve(inner.update(...args)));
      });
    const options = { store: { ...inner, update }, scopes, format };
    const events: string[] = [];
    const manager = createKeyManager({ ...options, observers: [({ type }) => events.push(type)] });
    expect(await failure(10_000, () => manager.revoke(id))).toMatchObject({
      message: "The key store did not respond within 10000 ms; the outcome of the write is unknown",
    });
    expect(await works(secret)).toBe(true);
    settle();
    expect(await manager.get(id)).toMatchObject({ revokedAt: how === "rejects" ? null : expect.any(Date) });
    expect(await works(secret)).toBe(how === "rejects");
    expect(events).toEqual([]);
  });

  it("passes on a KeyConflictError of the store, and leaves no timer", async () => {
    const inner: ManagedKeyStore = memoryStore();
    const conflict = new KeyConflictError("A key of this id exists");
    const store = { ...inner, insert: () => Promise.reject(conflict) };
    const manager = createKeyManager({ store, scopes, format });
    expect(await failure(0, () => manager.create(INPUT))).toBe(conflict);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("has a longer timeout on the command line", async () => {
    const { inner } = await setUp([]);
    const store = faultyStore(inner, [{ method: "list", fault: "delay", delay: "30s" }]);
    const manager = readConfig("keybearer.json", { prefix: "ezt", scopes: {} }, {}).manager(store);
    expect(await failure(31_000, () => manager.purge({ retention: "36500d" }))).toBeUndefined();
    expect(store.injected()).toBe(1);
  });

  it("does not repeat a rotation whose acknowledgement is lost", async () => {
    const { plain, store, manager, id } = await setUp([{ method: "replace", call: 1, fault: "lose" }]);
    expect(await failure(500, () => manager.rotate(id))).toMatchObject({ code: "KEYBEARER_STORE_ERROR" });
    expect(await failure(500, () => manager.rotate(id))).toMatchObject({ code: "KEYBEARER_KEY_STATE" });
    expect(store.injected()).toBe(1);
    await expectConsistentRotations(plain);
    expect((await plain.list()).items).toHaveLength(3);
  });
});

const isWrite = (method: StoreMethod) =>
  ["insert", "update", "replace", "remove", "suspendOwner", "resumeOwner"].includes(method);
