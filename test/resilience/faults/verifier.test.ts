import { describe, expect, it } from "vitest";
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
import type { StoreMethod } from "../../../src/testing/faulty-store.js";
import { type FaultyStore, faultyStore, type StoreFault } from "../../../src/testing/index.js";
import { bearer, type FleetScope, format, scopes } from "../../unit/core/fixtures.js";
import { closeAtEnd, detectLeaks, eachCall, FAULTS, GRACE_MS, TIMEOUT_MS, within } from "./harness.js";

const keys = { v1: "the first pepper of this test", v2: "the second pepper of this test" };

detectLeaks();

/** Stores with single and with batched lookups. */
const SHAPES = {
  single: () => memoryStore() as ManagedKeyStore,
  batched: (): ManagedKeyStore => {
    const store = memoryStore() as ManagedKeyStore;
    return {
      ...store,
      findByHash: async (hash: KeyHash) => store.findByHash(hash),
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
    closeAtEnd(() => cache.close());
    return cache;
  },
};

/** Creates a route for `vehicles:read`, one secret that it allows, and secrets that it denies. */
async function setUp(inner: ManagedKeyStore, wrap: Wrap, plan: readonly StoreFault[]) {
  const manager = createKeyManager({ store: inner, scopes, format, pepper: { current: "v1", keys } });
  const create = (more: object) =>
    manager.create({ ownerId: "acme", environment: "live", scopes: ["vehicles:read"], ...more });
  const valid = await create({ ipAllowlist: ["192.0.2.0/24"] });
  const revoked = await create({});
  await manager.revoke(revoked.key.id);
  const disabled = await create({});
  await manager.disable(disabled.key.id);
  const narrow = await create({ scopes: ["drivers:read"] });
  const elsewhere = await create({ ipAllowlist: ["198.51.100.0/24"] });
  const denied = {
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
  const handle = fetchAuth(verifier, { onError: () => {} })("vehicles:read", () => new Response("allowed"));
  const send = async (secret: string) => {
    const request = new Request("http://localhost/", { headers: { authorization: `Bearer ${secret}` } });
    return (await within(TIMEOUT_MS + GRACE_MS, () => handle(request, { remoteAddress: "192.0.2.7" })))
      .status;
  };
  return { store, valid, denied, send };
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
  suspendOwner: false,
  resumeOwner: false,
  changes: false,
};
const CASES = eachCall({ ...base, findByHash: true, findManyByHash: false }).filter(
  ({ method }) => method !== "changes", // only a cache calls it
);

describe.each(Object.entries(WRAPS))("a verifier over %s", (_, wrap) => {
  describe.each(["single", "batched"] as const)("with %s lookups", (shape) => {
    const lookups: StoreMethod[] = shape === "single" ? ["findByHash"] : ["findByHash", "findManyByHash"];
    const cases = CASES.filter(({ method }) => method !== "findManyByHash");
    it.each(cases)("$method $label", async ({ method, fault, isCalled }) => {
      const methods = method === "findByHash" ? lookups : [method];
      const plan = [{ method: methods, ...fault }];
      const { store, valid, denied, send } = await setUp(SHAPES[shape](), wrap, plan);
      const isNeeded = isCalled && method !== "rehash";
      for (const secret of Object.values(denied)) expect(await send(secret)).not.toBe(200);
      expect(await send(valid.secret)).toBe(isNeeded ? 503 : 200);
      const secrets = [valid.secret, valid.secret, denied.revoked, denied.disabled];
      const together = await Promise.all(secrets.map(send));
      expect(together).toEqual(isNeeded ? [503, 503, 503, 503] : [200, 200, 401, 401]);
      expect(store.injected() > 0).toBe(isCalled);

      store.heal();
      expect(await send(valid.secret)).toBe(200);
      expect(await Promise.all(Object.values(denied).map(send))).toEqual([401, 401, 401, 403, 403]);
    });

    it("denies other secrets if the store returns the record of a valid key", async () => {
      const inner = SHAPES[shape]();
      const { key } = (await setUp(inner, wrap, [])).valid;
      const good = await inner.findById(key.id);
      const value = (found: unknown) => (Array.isArray(found) ? found.map(() => good) : good);
      const { store, denied, send } = await setUp(inner, wrap, [{ method: lookups, fault: "return", value }]);
      for (const secret of Object.values(denied)) expect(await send(secret)).toBe(503);
      const together = await Promise.all(Object.values(denied).map(send));
      expect(together).toEqual([503, 503, 503, 503, 503]);
      store.heal();
      expect(await send(denied.revoked)).toBe(401);
    });
  });
});

/** Creates a verifier with a faulty part. */
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
  const verify = (secret: string, requirement: FleetScope = "vehicles:read") =>
    within(TIMEOUT_MS + GRACE_MS, () =>
      verifier.verify(bearer(secret), requirement).then(
        (result) => (result.ok ? 200 : result.error.status),
        ({ code }: { code: string }) => code,
      ),
    );
  return { manager: createKeyManager({ store: inner, scopes, format }), faulty, verify };
}

const LIVE = { ownerId: "acme", environment: "live", scopes: ["vehicles:read"] } as const;

describe("a verifier with a legacy hash that", () => {
  // These faults change records; a legacy hash returns a string.
  const cases = Object.entries(FAULTS).filter(([label]) => !/another key|partial/.test(label));
  it.each(cases)("%s", async (_, fault) => {
    const old = { hash: async (secret: string): Promise<string | undefined> => `old-${secret}` };
    const { manager, faulty, verify } = await withPart(old, ["hash"], fault, ({ hash }) => ({
      legacyHashes: [{ name: "old", hash }],
    }));
    const { secret } = await manager.create(LIVE);
    expect(await verify(secret)).toBe(200); // found by the current hash
    expect(await verify(format.generate("live"))).toBe("KEYBEARER_STORE_ERROR");
    expect(faulty.injected()).toBeGreaterThan(0);
    faulty.heal();
    expect(await verify(format.generate("live"))).toBe(401);
  });
});

describe("a verifier with an observer that", () => {
  it.each(Object.entries(FAULTS))("%s", async (_, fault) => {
    const types: string[] = [];
    const part = { observe: async ({ type }: KeyEvent) => void types.push(type) };
    const { manager, faulty, verify } = await withPart(part, ["observe"], fault, ({ observe }) => ({
      observers: [(event) => observe(event)],
    }));
    const { secret, key } = await manager.create(LIVE);
    expect([await verify(secret), await verify(secret, "vehicles:write")]).toEqual([200, 403]);
    await manager.revoke(key.id);
    expect(await verify(secret)).toBe(401);
    expect(faulty.injected()).toBe(3);
    types.length = 0;
    faulty.heal();
    expect(await verify(secret)).toBe(401);
    expect(types).toEqual(["auth.denied"]);
  });
});

describe("a failedAuthLimiter over a store that", () => {
  const cases = Object.entries(FAULTS).filter(([label]) => !/another key|partial/.test(label)); // the key is unknown
  it.each(cases)("%s does not count the failures of the store", async (_, fault) => {
    const store = faultyStore(memoryStore(), [{ method: "findByHash", ...fault }]);
    const verifier = createVerifier({ store, scopes, format, storeTimeout: `${TIMEOUT_MS}ms` });
    const limited = failedAuthLimiter(verifier, { failures: 1 });
    const verify = () =>
      within(TIMEOUT_MS + GRACE_MS, () =>
        limited.verify(bearer(format.generate("live"), { remoteAddress: "192.0.2.7" })).then(
          (result) => (result.ok ? 200 : result.error.status),
          ({ code }: { code: string }) => code,
        ),
      );
    for (let count = 0; count < 3; count++) expect(await verify()).toBe("KEYBEARER_STORE_ERROR");
    expect(store.injected()).toBe(3);
    store.heal();
    expect([await verify(), await verify()]).toEqual([401, 429]);
  });
});
