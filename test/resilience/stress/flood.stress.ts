// Many requests at once: a thousand that bring one key for the first time, on each store; and a million that each
// bring another well-formed key that nobody has, of which nothing may stay in memory.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, inject, test } from "vitest";
import { cachedStore } from "../../../src/cache/index.js";
import {
  type AuthRequest,
  createVerifier,
  defineScopes,
  type KeyStore,
  keyFormat,
} from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { serviceOver } from "../../contract/stores/service.js";
import { overTwo, say, seconds, targets } from "./backends.js";

const REQUESTS = 1_000;
const KEYS = 1_000_000; // fewer would show nothing
const AT_ONCE = 1_000;
const MEGABYTE = 2 ** 20;
const MAX_GROWTH = 20 * MEGABYTE;

const scopes = defineScopes({ "vehicles:read": {}, "vehicles:write": {} });
const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });

const all = await targets(inject("servers"));

describe("the first lookups of one key, all at once", () => {
  for (const target of all) {
    const { name, missing } = target.backend;
    test.skipIf(missing !== undefined)(`are two calls at most: ${name}`, () =>
      overTwo(target, async ({ store }) => {
        const issued = await serviceOver(store).manager.create({
          ownerId: "acme",
          scopes: ["vehicles:read"],
          environment: "live",
        });
        const flood = async (over: KeyStore): Promise<void> => {
          const verifier = createVerifier({ store: over, scopes, format, storeTimeout: "10000ms" });
          const requests = Array.from({ length: REQUESTS }, () => verifier.verify(bearing(issued.secret)));
          const accepted = (await Promise.all(requests)).filter(({ ok }) => ok);
          expect(accepted).toHaveLength(REQUESTS);
        };
        const began = performance.now();
        const [plain, cached] = [counting(store), counting(store)];
        await flood(plain.store);
        await flood(cachedStore(cached.store, { storeTimeout: "10000ms" }));
        const [{ asked, atOnce }, behindCache] = [plain.calls, cached.calls.asked];
        say("one key at once", target, {
          requests: REQUESTS,
          "store calls": `${asked}${atOnce ? " (each answered at once)" : ""}`,
          "behind a cache": behindCache,
          in: seconds(began),
        });
        // Nobody can share a call that has its answer when it returns: there is no while it runs.
        expect(asked).toBeLessThanOrEqual(atOnce ? REQUESTS : 2);
        expect(asked).toBeGreaterThan(0);
        expect(behindCache).toBeLessThanOrEqual(2);
        expect(behindCache).toBeGreaterThan(0);
      }),
    );
  }
});

const later: KeyStore = { findByHash: async () => undefined };
const many: KeyStore = { ...later, findManyByHash: async (hashes) => hashes.map(() => undefined) };

const GUARDED: readonly (readonly [name: string, open: () => KeyStore])[] = [
  ["memoryStore", () => memoryStore()],
  ["a store that answers later", () => later],
  ["a store that looks many up", () => many],
  ["cachedStore over memoryStore", () => cachedStore(memoryStore())],
  ["cachedStore that keeps absences", () => cachedStore(later, { negativeTtl: "1m" })],
];

describe("a flood of keys that nobody has", () => {
  test.each(GUARDED)("leaves nothing in memory: %s", async (name, open) => {
    const verifier = createVerifier({ store: open(), scopes, format, storeTimeout: "10000ms" });
    const flood = async (count: number): Promise<number> => {
      let refused = 0;
      for (let left = count; left > 0; left -= AT_ONCE) {
        const requests = Array.from({ length: Math.min(AT_ONCE, left) }, () =>
          verifier.verify(bearing(format.generate("live"))),
        );
        refused += (await Promise.all(requests)).filter(({ ok }) => !ok).length;
      }
      return refused;
    };
    await flood(20_000); // what is compiled once, and a cache that is full, is not what grows
    const before = heap();
    const began = performance.now();
    const refused = await flood(KEYS);
    const growth = heap() - before;
    const grown = `heap grew by ${(growth / MEGABYTE).toFixed(1)} MB`;
    console.log(`keys that nobody has · ${name}: refused ${refused}, ${grown}, in ${seconds(began)}`);
    expect(refused).toBe(KEYS);
    expect(growth).toBeLessThan(MAX_GROWTH);
  });
});

function bearing(secret: string): AuthRequest {
  return { headers: { authorization: `Bearer ${secret}` }, remoteAddress: "192.0.2.7" };
}

/** The same store, counting how often it is asked for records. */
function counting({ findByHash, findManyByHash }: KeyStore) {
  const calls = { asked: 0, atOnce: false };
  const noted = <T>(answer: T): T => {
    calls.asked += 1;
    calls.atOnce ||= !(answer instanceof Object && "then" in answer);
    return answer;
  };
  const store: KeyStore = {
    findByHash: (hash) => noted(findByHash(hash)),
    ...(findManyByHash && { findManyByHash: (hashes) => noted(findManyByHash(hashes)) }),
  };
  return { store, calls };
}

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

/** Bytes that are in use once all garbage is gone. */
function heap(): number {
  for (let round = 0; round < 4; round++) collectGarbage();
  return process.memoryUsage().heapUsed;
}
