import { describe, expect, test, vi } from "vitest";
import { fetchAuth } from "../../../src/adapters/fetch.js";
import { cachedStore } from "../../../src/cache/index.js";
import {
  createKeyManager,
  createVerifier,
  type KeyEvent,
  type KeyHash,
  type ManagedKeyStore,
  type VerifierOptions,
} from "../../../src/index.js";
import { failedAuthLimiter } from "../../../src/rate-limit/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { type FaultKind, withFaults } from "../../../src/testing/faults.js";
import { type FaultyStore, faultyStore, type StoreFault } from "../../../src/testing/index.js";
import { bearer, type FleetScope, format, scopes } from "../../unit/core/fixtures.js";
import { atEnd, eachCall, FAULTS, GRACE_MS, TIMEOUT_MS, within, withoutTrace } from "./harness.js";

const keys = { v1: "the first pepper of this test", v2: "the second pepper of this test" };

withoutTrace();

/** Lookups that travel one by one, or together. */
const SHAPES = {
  one: () => memoryStore() as ManagedKeyStore,
  many: (): ManagedKeyStore => {
    const store = memoryStore() as ManagedKeyStore;
    return {
      ...store,
      findManyByHash: async (hashes: readonly KeyHash[]) =>
        Promise.all(hashes.map(async (hash) => store.findByHash(hash))),
    };
  },
};
type Wrap = (store: FaultyStore<ManagedKeyStore>) => ManagedKeyStore;
const WRAPS: Readonly<Record<string, Wrap>> = {
  "a store": (store) => store,
  "a cached store": (store) => {
    const cache = cachedStore(store, { storeTimeout: `${TIMEOUT_MS}ms` });
    atEnd(() => cache.close());
    return cache;
  },
};

/** A route for `vehicles:read` from one network, and requests of which but one may pass. */
async function setUp(inner: ManagedKeyStore, wrap: Wrap, plan: readonly StoreFault[]) {
  const manager = createKeyManager({ store: inner, scopes, format, pepper: { current: "v1", keys } });
  const create = (more: object) =>
    manager.create({ ownerId: "acme", environment: "live", scopes: ["vehicles:read"], ...more });
  const right = await create({ ipAllowlist: ["192.0.2.0/24"] });
  const revoked = await create({});
  await manager.revoke(revoked.key.id);
  const disabled = await create({});
  await manager.disable(disabled.key.id);
  const narrow = await create({ scopes: ["drivers:read"] });
  const elsewhere = await create({ ipAllowlist: ["198.51.100.0/24"] });
  const wrong = {
    unknown: format.generate("live"),
    revoked: revoked.secret,
    disabled: disabled.secret,
    narrow: narrow.secret,
    elsewhere: elsewhere.secret,
  };
  const store = faultyStore(inner, plan);
  const pepper = { current: "v2", keys };
  const verifier = createVerifier({
    store: wrap(store),
    scopes,
    format,
    pepper,
    storeTimeout: `${TIMEOUT_MS}ms`,
  });
  const handle = fetchAuth(verifier, { onError: () => {} })("vehicles:read", () => new Response("in"));
  const ask = async (secret: string) => {
    const request = new Request("http://localhost/", { headers: { authorization: `Bearer ${secret}` } });
    return (await within(TIMEOUT_MS + GRACE_MS, () => handle(request, { remoteAddress: "192.0.2.7" })))
      .status;
  };
  return { store, right, wrong, ask };
}

const base = {
  findById: false,
  list: false,
  insert: false,
  update: false,
  replace: false,
  rehash: true,
  remove: false,
  touch: false,
  auditTrail: false,
  appendAudit: false,
};
const CALLED = {
  one: { ...base, findByHash: true, findManyByHash: false },
  many: { ...base, findByHash: false, findManyByHash: true },
};

describe.each(Object.entries(WRAPS))("a verifier over %s", (_, wrap) => {
  describe.each(["one", "many"] as const)("whose lookups travel as %s", (shape) => {
    const cases = eachCall(CALLED[shape]).filter(({ method }) => method in SHAPES[shape]());
    test.each(cases)("$method $label", async ({ method, fault, isCalled }) => {
      const { store, right, wrong, ask } = await setUp(SHAPES[shape](), wrap, [{ method, ...fault }]);
      const isNeeded = isCalled && method !== "rehash";
      for (const secret of Object.values(wrong)) expect(await ask(secret)).not.toBe(200);
      expect(await ask(right.secret)).toBe(isNeeded ? 503 : 200);
      const together = await Promise.all([right.secret, right.secret].map(ask));
      expect(together).toEqual(isNeeded ? [503, 503] : [200, 200]);
      expect(store.injected() > 0).toBe(isCalled);

      store.heal();
      expect(await ask(right.secret)).toBe(200);
      expect(await Promise.all(Object.values(wrong).map(ask))).toEqual([401, 401, 401, 403, 403]);
    });

    test("answers the record of somebody who may", async () => {
      const inner = SHAPES[shape]();
      const { key } = await (await setUp(inner, wrap, [])).right;
      const good = await inner.findById(key.id);
      const answer = shape === "one" ? good : (right: readonly unknown[]) => right.map(() => good);
      const method = shape === "one" ? "findByHash" : "findManyByHash";
      const { store, wrong, ask } = await setUp(inner, wrap, [{ method, fault: "answer", answer }]);
      for (const secret of Object.values(wrong)) expect(await ask(secret)).toBe(503);
      store.heal();
      expect(await ask(wrong.revoked)).toBe(401);
    });
  });
});

/** A verifier with one more part, and a key that is let through when that part, if it is needed, works. */
async function withPart<T extends object>(
  part: T,
  methods: readonly (keyof T & string)[],
  fault: FaultKind,
  options: (part: T) => Partial<VerifierOptions<FleetScope>>,
) {
  const inner = memoryStore();
  const faulty = withFaults(part, methods, [fault], 1);
  const verifier = createVerifier({
    ...{ store: inner, scopes, format, storeTimeout: `${TIMEOUT_MS}ms` },
    ...options(faulty),
  });
  const ask = (secret: string, required: FleetScope = "vehicles:read") =>
    within(TIMEOUT_MS + GRACE_MS, () =>
      verifier.verify(bearer(secret), required).then(
        (result) => (result.ok ? 200 : result.error.status),
        ({ code }: { code: string }) => code,
      ),
    );
  return { manager: createKeyManager({ store: inner, scopes, format }), faulty, ask };
}

const LIVE = { ownerId: "acme", environment: "live", scopes: ["vehicles:read"] } as const;

describe("a verifier of which a legacy hash", () => {
  // A text has no owner, and no half.
  const cases = Object.entries(FAULTS).filter(([label]) => !/another's|half/.test(label));
  test.each(cases)("%s", async (_, fault) => {
    const old = { hash: async (secret: string): Promise<string | undefined> => `old-${secret}` };
    const { manager, faulty, ask } = await withPart(old, ["hash"], fault, ({ hash }) => ({
      legacyHashes: [{ name: "old", hash }],
    }));
    const { secret } = await manager.create(LIVE);
    expect(await ask(secret)).toBe(200); // found by its own hash first
    expect(await ask(format.generate("live"))).toBe("KEYBEARER_STORE_ERROR");
    expect(faulty.injected()).toBeGreaterThan(0);
    faulty.heal();
    expect(await ask(format.generate("live"))).toBe(401);
  });
});

describe("a verifier of which an observer", () => {
  test.each(Object.entries(FAULTS))("%s", async (_, fault) => {
    const told: string[] = [];
    const part = { observe: async ({ type }: KeyEvent) => void told.push(type) };
    const { manager, faulty, ask } = await withPart(part, ["observe"], fault, ({ observe }) => ({
      observers: [(event) => observe(event)],
    }));
    const { secret, key } = await manager.create(LIVE);
    expect([await ask(secret), await ask(secret, "vehicles:write")]).toEqual([200, 403]);
    await manager.revoke(key.id);
    expect(await ask(secret)).toBe(401);
    expect(faulty.injected()).toBe(3);
    told.length = 0;
    faulty.heal();
    expect(await ask(secret)).toBe(401);
    expect(told).toEqual(["auth.denied"]);
  });
});

describe("a verifier of which the limiter on trial", () => {
  test.each(Object.entries(FAULTS))("%s", async (label, fault) => {
    const events: KeyEvent[] = [];
    const limiter = { consume: async () => ({ allowed: true, states: [] }) };
    const { manager, faulty, ask } = await withPart(limiter, ["consume"], fault, (rateLimiter) => ({
      reportOnly: { rateLimiter },
      observers: [(event) => void events.push(event)],
    }));
    const { secret } = await manager.create(LIVE);
    expect([await ask(secret), await ask(secret, "vehicles:write")]).toEqual([200, 403]);
    await vi.advanceTimersByTimeAsync(TIMEOUT_MS);
    expect(faulty.injected()).toBe(1); // it counts those who are let through
    const isHarmless = label === "answers another's"; // a decision is nobody's
    const types = events.map(({ type }) => type);
    expect(types.filter((type) => type === "background.failed")).toHaveLength(isHarmless ? 0 : 1);
    expect(types.filter((type) => type === "auth.allowed")).toHaveLength(1);
    faulty.heal();
    expect(await ask(secret)).toBe(200);
  });
});

describe("a brake on guessing in front of a verifier whose store", () => {
  const cases = Object.entries(FAULTS).filter(([label]) => !/another's|half/.test(label)); // of no key there are none
  test.each(cases)("%s counts none of it as guesses", async (_, fault) => {
    const store = faultyStore(memoryStore(), [{ method: "findByHash", ...fault }]);
    const verifier = createVerifier({ store, scopes, format, storeTimeout: `${TIMEOUT_MS}ms` });
    const braked = failedAuthLimiter(verifier, { failures: 1 });
    const ask = () =>
      within(TIMEOUT_MS + GRACE_MS, () =>
        braked.verify(bearer(format.generate("live"), { remoteAddress: "192.0.2.7" })).then(
          (result) => (result.ok ? 200 : result.error.status),
          ({ code }: { code: string }) => code,
        ),
      );
    for (let count = 0; count < 3; count++) expect(await ask()).toBe("KEYBEARER_STORE_ERROR");
    expect(store.injected()).toBe(3);
    store.heal();
    expect([await ask(), await ask()]).toEqual([401, 429]);
  });
});
