import fc from "fast-check";
import { describe, expect, test } from "vitest";
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

// Calls of a store begin, and are answered, in every order that there can be.

const PATIENCE_MS = 600_000; // it is the scheduler that decides, and no clock

/** The same store, with each call done at a moment of the scheduler's choice, and answered at another. */
function scheduled(s: fc.Scheduler, inner: ManagedKeyStore): ManagedKeyStore & { calls: string[] } {
  const calls: string[] = [];
  const methods = Object.entries(inner).map(([name, method]) => [
    name,
    async (...args: unknown[]) => {
      calls.push(name);
      await s.schedule(Promise.resolve(), `${name} is done`);
      const outcome = Promise.resolve().then(() => (method as (...given: unknown[]) => unknown)(...args));
      outcome.catch(() => {});
      await s.schedule(Promise.resolve(), `${name} is answered`);
      return outcome;
    },
  ]);
  return { ...Object.fromEntries(methods), calls };
}

/** Does something at a moment of the scheduler's choice. */
const sometime = async <T>(s: fc.Scheduler, label: string, work: () => Promise<T>): Promise<T> => {
  await s.schedule(Promise.resolve(), label);
  return work();
};

/** One key, and a manager and a verifier whose every call of the store is scheduled. */
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
    verifier: createVerifier({ store, scopes, format, storeTimeout: `${PATIENCE_MS}ms` }),
  };
}

/** Lets everything happen that there is to happen. */
async function settled<T>(s: fc.Scheduler, work: readonly Promise<T>[]): Promise<PromiseSettledResult<T>[]> {
  return s.waitFor(Promise.allSettled(work));
}

const codesOf = (results: readonly PromiseSettledResult<unknown>[]) =>
  results.map((result) => (result.status === "fulfilled" ? "done" : result.reason.code)).sort();

const caching = (store: ManagedKeyStore) =>
  cachedStore(store, { ttl: "1m", negativeTtl: "1m", storeTimeout: `${PATIENCE_MS}ms` });
const WRAPS = [
  ["a store", (store: ManagedKeyStore) => store],
  ["a cached store", caching],
] as const;

describe.each(WRAPS)("changes of one key through %s", (_, wrap) => {
  test("of concurrent rotations one wins", async () => {
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

  test("a revocation and a rotation come one after the other", async () => {
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

  test("no change is lost, and writing down a use undoes none", async () => {
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

  test.each(["revoke", "disable", "rotate"] as const)(
    "who is let through has begun before %s returned",
    async (how) => {
      await fc.assert(
        fc.asyncProperty(
          fc.scheduler(),
          fc.integer({ min: 1, max: 5 }),
          fc.boolean(),
          async (s, count, isKnown) => {
            const { manager, verifier, id, secret } = await setUp(s, wrap);
            if (isKnown) await s.waitFor(verifier.verify(bearer(secret)));
            let isOver = false;
            const change = sometime(s, how, async () => {
              await manager[how](id);
              isOver = true;
            });
            const verify = async () => {
              const beganAfter = isOver;
              const { ok } = await verifier.verify(bearer(secret));
              return { beganAfter, ok };
            };
            const requests = Array.from({ length: count }, (_, i) => sometime(s, `verify ${i}`, verify));
            const answers = await s.waitFor(Promise.all(requests));
            await s.waitFor(change);
            answers.push(await s.waitFor(verify()));
            expect(answers.filter(({ beganAfter, ok }) => beganAfter && ok)).toEqual([]);
          },
        ),
        runs(50),
      );
    },
  );
});

describe("lookups that share a call", () => {
  test("answer what the store said at a moment since they began, and are fewer than the requests", async () => {
    let shared = 0;
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.integer({ min: 2, max: 8 }), async (s, count) => {
        // The versions that the key has had since each request began are those it may be judged by.
        let version = 0;
        let asked = 0;
        const { secret, inner } = await setUp(s);
        const store: KeyStore = {
          async findByHash(hash) {
            asked += 1;
            await s.schedule(Promise.resolve(), "the key is read");
            const record = (await inner.findByHash(hash)) as VerifiableRecord;
            const read = { ...record, name: String(version) };
            await s.schedule(Promise.resolve(), "the answer arrives");
            return read;
          },
        };
        const verifier = createVerifier({ store, scopes, format, storeTimeout: `${PATIENCE_MS}ms` });
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
        expect(asked).toBeLessThanOrEqual(count);
        shared += count - asked;
      }),
      runs(120),
    );
    expect(shared).toBeGreaterThan(0);
  });
});
