import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, inject, test } from "vitest";
import { type CachedStoreOptions, cachedStore, redisBus } from "../../../src/cache/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { keyStoreContract } from "../../../src/testing/index.js";
import { localBus } from "../../unit/cache/fixtures.js";

const { redis } = inject("servers");

/** The contract over a store that is wrapped, in use, and closed afterwards. */
function contract(options: () => CachedStoreOptions, inUse = true): void {
  const create = async () => {
    const store = cachedStore(memoryStore(), options());
    if (inUse) await store.ready();
    return { store, close: () => store.close() };
  };
  for (const { name, run } of keyStoreContract(create, { sharedLookups: true })) test(name, run);
}

describe("cachedStore", () => contract(() => ({})));

describe("cachedStore that keeps absences, with room for little", () =>
  contract(() => ({ negativeTtl: "1m", max: 2, negativeMax: 2 })));

describe("cachedStore over a bus within the process", () =>
  contract(() => ({ bus: localBus(), ttl: "1h", negativeTtl: "1h" })));

describe("cachedStore over a bus that fails", () => {
  const publish = () => Promise.reject(new Error("down"));
  contract(() => ({ bus: { ...localBus(), publish }, negativeTtl: "1h" }), false);
});

describe.skipIf(redis === undefined)("cachedStore over Redis", () => {
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
    ttl: "1h",
    negativeTtl: "1h",
  }));
});
