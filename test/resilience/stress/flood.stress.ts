// Floods: a thousand concurrent requests with one key, on each store; and a million requests with different unknown keys,
// which must not leave anything in memory.

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
import { isPromiseLike } from "../../../src/internal/awaitable.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { serviceOver } from "../../contract/stores/service.js";
import { printResult, seconds, targets, withTwoConnections } from "./backends.js";

const REQUESTS = 1_000;
const KEYS = 1_000_000; // with fewer, a leak would be within the noise
const CONCURRENCY = 1_000;
const MEGABYTE = 2 ** 20;
const MAX_GROWTH = 20 * MEGABYTE;

const scopes = defineScopes({ "vehicles:read": {}, "vehicles:write": {} });
const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });

const all = await targets(inject("servers"));

describe("concurrent requests with one key", () => {
  for (const target of all) {
    const { name, missing } = target.backend;
    test.skipIf(missing !== undefined)(`cause at most two lookups: ${name}`, () =>
      withTwoConnections(target, async ({ store }) => {
        const issued = await serviceOver(store).manager.create({
          ownerId: "acme",
          scopes: ["vehicles:read"],
          environment: "live",
        });
        const flood = async (over: KeyStore): Promise<void> => {
          const verifier = createVerifier({ store: over, scopes, format, storeTimeout: "10000ms" });
          const requests = Array.from({ length: REQUESTS }, () =>
            verifier.verify(requestWith(issued.secret)),
          );
          const accepted = (await Promise.all(requests)).filter(({ ok }) => ok);
          expect(accepted).toHaveLength(REQUESTS);
        };
        const startedAt = performance.now();
        const [plain, cached] = [counting(store), counting(store)];
        await flood(plain.store);
        await flood(cachedStore(cached.store, { storeTimeout: "10000ms" }));
        const [{ count, isSynchronous }, behindCache] = [plain.calls, cached.calls.count];
        printResult("concurrent requests with one key", target, {
          requests: REQUESTS,
          "store calls": `${count}${isSynchronous ? " (synchronous)" : ""}`,
          "with a cache": behindCache,
          in: seconds(startedAt),
        });
        // A synchronous call is over before another request could share it.
        expect(count).toBeLessThanOrEqual(isSynchronous ? REQUESTS : 2);
        expect(count).toBeGreaterThan(0);
        expect(behindCache).toBeLessThanOrEqual(2);
        expect(behindCache).toBeGreaterThan(0);
      }),
    );
  }
});

const asynchronous: KeyStore = { findByHash: async () => undefined };
const batching: KeyStore = { ...asynchronous, findManyByHash: async (hashes) => hashes.map(() => undefined) };

const GUARDED: readonly (readonly [name: string, open: () => KeyStore])[] = [
  ["memoryStore", () => memoryStore()],
  ["an asynchronous store", () => asynchronous],
  ["a store with findManyByHash", () => batching],
  ["cachedStore over memoryStore", () => cachedStore(memoryStore())],
];

describe("a flood of unknown keys", () => {
  test.each(GUARDED)("leaves nothing in memory: %s", async (name, open) => {
    const verifier = createVerifier({ store: open(), scopes, format, storeTimeout: "10000ms" });
    const flood = async (count: number): Promise<number> => {
      let denied = 0;
      for (let left = count; left > 0; left -= CONCURRENCY) {
        const requests = Array.from({ length: Math.min(CONCURRENCY, left) }, () =>
          verifier.verify(requestWith(format.generate("live"))),
        );
        denied += (await Promise.all(requests)).filter(({ ok }) => !ok).length;
      }
      return denied;
    };
    await flood(20_000); // warm up: compiled code and full caches are not growth
    const before = heap();
    const startedAt = performance.now();
    const denied = await flood(KEYS);
    const growth = heap() - before;
    const growthText = `heap grew by ${(growth / MEGABYTE).toFixed(1)} MB`;
    console.log(`unknown keys · ${name}: denied ${denied}, ${growthText}, in ${seconds(startedAt)}`);
    expect(denied).toBe(KEYS);
    expect(growth).toBeLessThan(MAX_GROWTH);
  });
});

function requestWith(secret: string): AuthRequest {
  return { headers: { authorization: `Bearer ${secret}` }, remoteAddress: "192.0.2.7" };
}

/** Wraps a store to count its lookups. */
function counting({ findByHash, findManyByHash }: KeyStore) {
  const calls = { count: 0, isSynchronous: false };
  const counted = <T>(result: T): T => {
    calls.count += 1;
    calls.isSynchronous ||= !isPromiseLike(result);
    return result;
  };
  const store: KeyStore = {
    findByHash: (hash) => counted(findByHash(hash)),
    ...(findManyByHash && { findManyByHash: (hashes) => counted(findManyByHash(hashes)) }),
  };
  return { store, calls };
}

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

/** Returns the bytes in use after garbage collection. */
function heap(): number {
  for (let round = 0; round < 4; round++) collectGarbage();
  return process.memoryUsage().heapUsed;
}
