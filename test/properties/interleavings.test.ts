import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cachedStore } from "../../src/cache/index.js";
import {
  createKeyManager,
  createVerifier,
  type KeyStore,
  type ManagedKeyStore,
  type VerifiableRecord,
} from "../../src/index.js";
import { memoryStore } from "../../src/stores/memory.js";
import { bearer, format, scopes } from "../unit/core/fixtures.js";
import { runs } from "./runs.js";

// Runs the calls of a store, and returns their results, in every order.

const LONG_MS = 600_000; // the scheduler decides, not the clock

/** Wraps a store: the scheduler chooses when each call runs and when it returns. */
function scheduled(s: fc.Scheduler, inner: ManagedKeyStore): ManagedKeyStore & { calls: string[] } {
  const calls: string[] = [];
  const methods = Object.entries(inner).map(([name, method]) => [
    name,
    async (...args: unknown[]) => {
      calls.push(name);
      await s.schedule(Promise.resolve(), `${name} runs`);
      const outcome = Promise.resolve().then(() => (method as (...given: unknown[]) => unknown)(...args));
      outcome.catch(() => {});
      await s.schedule(Promise.resolve(), `${name} returns`);
      return outcome;
    },
  ]);
  return { ...Object.fromEntries(methods), calls };
}

/** Calls `work` when the scheduler chooses. */
const sometime = async <T>(s: fc.Scheduler, label: string, work: () => Promise<T>): Promise<T> => {
  await s.schedule(Promise.resolve(), label);
  return work();
};

/** Creates one key, and a manager and a verifier over a scheduled store. */
async function setUp(s: fc.Scheduler, wrap: (store: ManagedKeyStore) => ManagedKeyStore = (store) => store) {
  const inner = memoryStore();
  const plain = createKeyManager({ store: inner, scopes, format });
  const { secret, key } = await plain.create({
    ownerId: "acme",
    scopes: ["vehicles:read"],
    environment: "live",
  });
  const slow = scheduled(s, inner);
  const store = wrap(slow);
  return {
    inner,
    plain,
    secret,
    id: key.id,
    calls: slow.calls,
    store,
    manager: createKeyManager({ store, scopes, format }),
    verifier: createVerifier({ store, scopes, format, storeTimeout: `${LONG_MS}ms` }),
  };
}

/** Runs the scheduler until everything has settled. */
async function settled<T>(s: fc.Scheduler, work: readonly Promise<T>[]): Promise<PromiseSettledResult<T>[]> {
  return s.waitFor(Promise.allSettled(work));
}

const codesOf = (results: readonly PromiseSettledResult<unknown>[]) =>
  results.map((result) => (result.status === "fulfilled" ? "done" : result.reason.code)).sort();

const caching = (store: ManagedKeyStore) => cachedStore(store, { ttl: "1m", storeTimeout: `${LONG_MS}ms` });
const WRAPS = [
  ["a store", (store: ManagedKeyStore) => store],
  ["a cached store", caching],
] as const;

describe.each(WRAPS)("changes of one key through %s", (_, wrap) => {
  it("one of several concurrent rotations wins", async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.integer({ min: 2, max: 4 }), async (s, count) => {
        const { manager, plain, id, verifier } = await setUp(s, wrap);
        const rotations = Array.from({ length: count }, (_, i) =>
          sometime(s, `rotate ${i}`, () => manager.rotate(id, { overlap: "1h" })),
        );
        const results = await settled(s, rotations);
        expect(codesOf(results)).toEqual([...new Array(count - 1).fill("KEYBEARER_KEY_STATE"), "done"]);
        const issued = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []))[0];
        const { items } = await plain.list();
        expect(new Set(items.map((key) => key.id))).toEqual(new Set([id, issued?.key.id]));
        expect((await plain.get(id))?.replacedBy).toBe(issued?.key.id);
        const result = await s.waitFor(verifier.verify(bearer(issued?.secret ?? "")));
        expect(result.ok).toBe(true);
      }),
      runs(30),
    );
  });

  it("a revocation and a rotation are serialized", async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), async (s) => {
        const { manager, plain, id, secret, verifier } = await setUp(s, wrap);
        const [rotation, revocation] = await settled<unknown>(s, [
          sometime(s, "rotate", () => manager.rotate(id, { overlap: "1h" })),
          sometime(s, "revoke", () => manager.revoke(id)),
        ]);
        expect(revocation?.status).toBe("fulfilled");
        expect((await plain.get(id))?.status).toBe("revoked");
        expect((await s.waitFor(verifier.verify(bearer(secret)))).ok).toBe(false);
        const { items } = await plain.list();
        expect(items).toHaveLength(rotation?.status === "fulfilled" ? 2 : 1);
        if (rotation?.status === "rejected")
          expect(rotation.reason).toHaveProperty("code", "KEYBEARER_KEY_STATE");
        const { items: trail } = await plain.auditTrail({ keyId: id });
        const actions = trail.map(({ action }) => action);
        expect(actions).toEqual([
          "revoked",
          ...(rotation?.status === "fulfilled" ? ["rotated"] : []),
          "created",
        ]);
      }),
      runs(30),
    );
  });

  it("no change is lost, and touch undoes none", async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), async (s) => {
        const { manager, plain, store, id } = await setUp(s, wrap);
        const at = new Date();
        const results = await settled<unknown>(s, [
          sometime(s, "disable", () => manager.disable(id)),
          sometime(s, "touch", async () => store.touch(new Map([[id, at]]))),
          sometime(s, "rename", () => manager.update(id, { name: "b" })),
          sometime(s, "confine", () => manager.update(id, { ipAllowlist: ["192.0.2.0/24"] })),
        ]);
        expect(codesOf(results)).toEqual(["done", "done", "done", "done"]);
        expect(await plain.get(id)).toMatchObject({
          status: "disabled",
          lastUsedAt: at,
          name: "b",
          ipAllowlist: ["192.0.2.0/24"],
        });
      }),
      runs(30),
    );
  });

  it.each(["revoke", "disable", "rotate"] as const)(
    "every allowed request began before %s returned",
    async (how) => {
      await fc.assert(
        fc.asyncProperty(
          fc.scheduler(),
          fc.integer({ min: 1, max: 5 }),
          fc.boolean(),
          async (s, count, isKnown) => {
            const { manager, verifier, id, secret } = await setUp(s, wrap);
            if (isKnown) await s.waitFor(verifier.verify(bearer(secret)));
            let hasReturned = false;
            const change = sometime(s, how, async () => {
              await manager[how](id);
              hasReturned = true;
            });
            const verify = async () => {
              const beganAfter = hasReturned;
              const { ok } = await verifier.verify(bearer(secret));
              return { beganAfter, ok };
            };
            const requests = Array.from({ length: count }, (_, i) => sometime(s, `verify ${i}`, verify));
            const results = await s.waitFor(Promise.all(requests));
            await s.waitFor(change);
            results.push(await s.waitFor(verify()));
            expect(results.filter(({ beganAfter, ok }) => beganAfter && ok)).toEqual([]);
          },
        ),
        runs(50),
      );
    },
  );
});

describe("shared lookups", () => {
  it("return a version that the key had since the request began, with fewer calls than requests", async () => {
    let shared = 0;
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.integer({ min: 2, max: 8 }), async (s, count) => {
        // A request may see only versions that the key had since the request began.
        let version = 0;
        let calls = 0;
        const { secret, inner } = await setUp(s);
        const store: KeyStore = {
          async findByHash(hash) {
            calls += 1;
            await s.schedule(Promise.resolve(), "the key is read");
            const record = (await inner.findByHash(hash)) as VerifiableRecord;
            const read = { ...record, name: String(version) };
            await s.schedule(Promise.resolve(), "the result arrives");
            return read;
          },
        };
        const verifier = createVerifier({ store, scopes, format, storeTimeout: `${LONG_MS}ms` });
        const changes = Array.from({ length: 3 }, () =>
          sometime(s, "the key changes", async () => {
            version += 1;
          }),
        );
        const requests = Array.from({ length: count }, (_, i) =>
          sometime(s, `verify ${i}`, async () => {
            const since = version;
            const result = await verifier.verify(bearer(secret));
            const seen = result.ok ? Number(result.principal.key?.name) : Number.NaN;
            expect(seen).toBeGreaterThanOrEqual(since);
            expect(seen).toBeLessThanOrEqual(version);
          }),
        );
        await s.waitFor(Promise.all([...requests, ...changes]));
        expect(calls).toBeLessThanOrEqual(count);
        shared += count - calls;
      }),
      runs(120),
    );
    expect(shared).toBeGreaterThan(0);
  });
});
