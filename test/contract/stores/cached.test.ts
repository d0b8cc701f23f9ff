import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, inject, test } from "vitest";
import { type CachedStoreOptions, cachedStore, redisBus } from "../../../src/cache/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { keyStoreContract } from "../../../src/testing/index.js";
import { localBus } from "../../unit/cache/fixtures.js";

const { redis } = inject("servers");

/** Runs the contract over a cached store, in use if `inUse`, and closes it. */
function contract(options: () => CachedStoreOptions, inUse = true): void {
  const create = async () => {
    const store = cachedStore(memoryStore(), options());
    if (inUse) await store.ready();
    return { store, close: () => store.close() };
  };
  for (const { name, run } of keyStoreContract(create, { sharedLookups: true })) test(name, run);
}

describe("cachedStore", () => contract(() => ({})));

describe("cachedStore of two keys", () => contract(() => ({ max: 2 })));

describe("cachedStore with a bus within the process", () => contract(() => ({ bus: localBus(), ttl: "1m" })));

describe("cachedStore with a bus that fails", () => {
  const publish = () => Promise.reject(new Error("down"));
  contract(() => ({ bus: { ...localBus(), publish } }), false);
});

describe.skipIf(redis === undefined)("cachedStore with redisBus", () => {
  let publisher: Redis;
  let subscriber: Redis;
  beforeAll(() => {
    publisher = new Redis(redis as string);
    subscriber = publisher.duplicate();
    subscriber.setMaxListeners(100);
  });
  afterAll(() => {
    publisher.disconnect();
    subscriber.disconnect();
  });
  contract(() => ({
    bus: redisBus({ publisher, subscriber, channel: `keybearer:test:${crypto.randomUUID()}` }),
    ttl: "1m",
  }));
});
