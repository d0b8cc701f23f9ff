import { describe, expect, test, vi } from "vitest";
import type { InvalidationBus } from "../../../src/cache/index.js";
import { hashSecret, type KeyRecord, type ManagedKeyStore } from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { type Fault, withFaults } from "../../../src/testing/faults.js";
import {
  added,
  auditOf,
  found,
  isHit,
  type LocalBus,
  localBus,
  observed,
  revoked,
  settled,
} from "../../unit/cache/fixtures.js";
import { closeAtEnd, detectLeaks, FAULTS, within } from "./harness.js";

detectLeaks();

const TTL_MS = 5_000;
const HEARTBEAT_MS = 1_000;
// The longest time that a change waits for the bus.
const PUBLISH_MS = 250;

type Side = "here" | "there" | "both";
const SIDES: readonly Side[] = ["here", "there", "both"];

/** Creates two caches over one store, with a faulty bus for one or both, and a key that both have looked up. */
async function setUp(side: Side, fault: Fault<"publish" | "subscribe">) {
  const inner: ManagedKeyStore = memoryStore();
  const remote = { ...inner, findByHash: async (hash: KeyRecord["hash"]) => inner.findByHash(hash) };
  const bus = localBus();
  const state = { broken: fault.method === "subscribe" };
  const busOf = (name: Side): InvalidationBus => {
    if (side !== name && side !== "both") return bus;
    const plan = [{ ...fault, when: () => state.broken }];
    return withFaults(bus as Pick<LocalBus, "publish" | "subscribe">, ["publish", "subscribe"], plan, 1);
  };
  const createCache = (name: Side) => {
    const options = { bus: busOf(name), ttl: `${TTL_MS}ms` } as const;
    const cache = observed(remote, { ...options, heartbeat: `${HEARTBEAT_MS}ms` });
    closeAtEnd(() => cache.store.close());
    return cache;
  };
  const [here, there] = [createCache("here"), createCache("there")];
  const key = await added(inner);
  const other = await added(inner);
  await settled();
  await pass(2 * HEARTBEAT_MS); // each cache has received a ping of the other
  const lookUp = async () => {
    for (const { store } of [here, there]) {
      await within(PUBLISH_MS, () => found(store, key.hash));
    }
  };
  await lookUp();
  return { bus, here, there, key, other, state, lookUp };
}

async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += PUBLISH_MS) {
    await vi.advanceTimersByTimeAsync(PUBLISH_MS);
    await settled();
  }
}

type Tested = Awaited<ReturnType<typeof setUp>>;
type Observed = { store: ManagedKeyStore };
const isRevoked = async ({ store }: Observed, { hash }: KeyRecord) =>
  (await within(PUBLISH_MS, () => found(store, hash)))?.revokedAt instanceof Date;

/** Expects that a revocation is not delayed, and is visible here at once and elsewhere within the ttl. */
async function expectRevocation({ here, there }: Tested, key: KeyRecord): Promise<void> {
  expect(await within(PUBLISH_MS, () => revoked(here.store, key))).toBe(true);
  expect(await isRevoked(here, key)).toBe(true);
  await pass(TTL_MS);
  expect(await isRevoked(there, key)).toBe(true);
  expect(await isRevoked(here, key)).toBe(true);
}

/** Expects that both caches are used again, and that a change is visible in the other at once. */
async function expectHealed({ here, there, other, lookUp, state }: Tested): Promise<void> {
  state.broken = false;
  await pass(12_000); // late messages and further heartbeats arrive
  await lookUp();
  for (const { store } of [here, there]) {
    await found(store, other.hash);
    expect(await isHit(store, other.hash)).toBe(true);
  }
  expect(await within(PUBLISH_MS, () => revoked(here.store, other))).toBe(true);
  expect(await isRevoked(there, other)).toBe(true);
}

const calls = Object.entries(FAULTS).flatMap(([label, fault]) =>
  SIDES.map((side) => ({ label, fault, side })),
);

describe("a bus whose publish()", () => {
  test.each(calls)("$label ($side)", async ({ label, fault, side }) => {
    const tested = await setUp(side, { method: "publish", ...fault });
    for (const { store } of [tested.here, tested.there]) {
      expect(await isHit(store, tested.key.hash)).toBe(true);
    }
    tested.state.broken = true;
    await expectRevocation(tested, tested.key);
    const failed = tested.here.types().includes("background.failed");
    const isAccepted = label.startsWith("returns"); // the return value of publish() is ignored
    expect(failed).toBe(!isAccepted && side !== "there");
    await expectHealed(tested);
  });
});

describe("a bus whose subscribe()", () => {
  test.each(calls)("$label ($side)", async ({ label, fault, side }) => {
    const tested = await setUp(side, { method: "subscribe", ...fault });
    const fails = ["throws", "rejects", "hangs", "is late"].includes(label);
    const unsubscribed = fails
      ? { here: [tested.here], there: [tested.there], both: [tested.here, tested.there] }[side]
      : [];
    for (const { store } of unsubscribed) expect(await isHit(store, tested.key.hash)).toBe(false);
    await expectRevocation(tested, tested.key);
    for (const one of unsubscribed) expect(one.types()).toEqual(["cache.bypassed"]);
    await expectHealed(tested);
  });
});

describe("a bus that", () => {
  const faults: Readonly<Record<string, (bus: LocalBus, message: string) => unknown>> = {
    "loses every message silently": () => {},
    "delivers every message twice": (bus, message) => [bus.deliver(message), bus.deliver(message)],
    "delivers every message ten seconds late": (bus, message) => {
      setTimeout(() => bus.deliver(message), 10_000);
    },
    "truncates messages": (bus, message) => bus.deliver(message.slice(0, -3)),
    "delivers garbage": (bus) => bus.deliver("\0garbage"),
    "delivers a number": (bus) => bus.deliver(42 as unknown as string),
    "delivers garbage before every message": (bus, message) => [bus.deliver("{}"), bus.deliver(message)],
    "changes the sender": (bus, message) => bus.deliver(message.replace(/"from":"./, '"from":"x')),
    "changes the key": (bus, message) => bus.deliver(message.replace(/"id":"/, '"id":"x')),
  };

  test.each(Object.entries(faults))("%s", async (label, deliver) => {
    const tested = await setUp("both", { method: "publish", fault: "throw" });
    const { bus, here } = tested;
    const right = bus.onPublish;
    bus.onPublish = (message) => deliver(bus, message);
    await expectRevocation(tested, tested.key);
    const types = here.types();
    if (/loses|late|truncates|garbage$|a number|sender/.test(label))
      expect(types).toContain("cache.bypassed");
    bus.onPublish = right;
    await expectHealed(tested);
  });
});

test("a key inserted while the bus is down is found by every cache", async () => {
  const { here, there, state } = await setUp("both", { method: "publish", fault: "hang" });
  state.broken = true;
  const key = { ...(await added(memoryStore())), hash: hashSecret("unknown") };
  for (const { store } of [here, there]) expect(await found(store, key.hash)).toBeUndefined();
  await within(PUBLISH_MS, async () => here.store.insert(key, auditOf(key)));
  for (const { store } of [here, there]) {
    expect(await within(0, () => found(store, key.hash))).toMatchObject({ id: key.id });
  }
});

test.each(Object.entries(FAULTS))(
  "close() takes at most a second if the unsubscribe function %s",
  async (_, fault) => {
    const faulty = withFaults({ unsubscribe: async () => {} }, ["unsubscribe"], [fault], 1);
    const bus: InvalidationBus = { publish: async () => {}, subscribe: async () => faulty.unsubscribe };
    const { store } = observed(memoryStore(), { bus, heartbeat: `${HEARTBEAT_MS}ms` });
    const waiting = store.ready().catch((error: Error) => error.message);
    await settled();
    await within(1_000, () => store.close());
    expect(await waiting).toBe("The cache was closed");
    expect(faulty.injected()).toBe(1);
  },
);
