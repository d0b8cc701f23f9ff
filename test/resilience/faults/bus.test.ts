import { describe, expect, test, vi } from "vitest";
import type { InvalidationBus } from "../../../src/cache/index.js";
import { hashSecret, type KeyRecord, type ManagedKeyStore } from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { type Fault, withFaults } from "../../../src/testing/faults.js";
import {
  added,
  auditOf,
  found,
  knows,
  type LocalBus,
  localBus,
  observed,
  revoked,
  settled,
} from "../../unit/cache/fixtures.js";
import { atEnd, FAULTS, within, withoutTrace } from "./harness.js";

withoutTrace();

const TTL_MS = 5_000;
const HEARTBEAT_MS = 1_000;
// A change waits for the bus so long, and no longer.
const PUBLISH_MS = 250;

type Side = "here" | "there" | "both";
const SIDES: readonly Side[] = ["here", "there", "both"];

/** Two caches over one store, each with a bus that may be broken, and a key that both know, if they can know any. */
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
  const cache = (name: Side) => {
    const options = { bus: busOf(name), ttl: `${TTL_MS}ms`, negativeTtl: `${TTL_MS}ms` } as const;
    const made = observed(remote, { ...options, heartbeat: `${HEARTBEAT_MS}ms` });
    atEnd(() => made.store.close());
    return made;
  };
  const [here, there] = [cache("here"), cache("there")];
  const key = await added(inner);
  const other = await added(inner);
  await settled();
  await pass(2 * HEARTBEAT_MS); // the caches have heard of each other
  const asked = async () => {
    for (const { store } of [here, there]) {
      await within(PUBLISH_MS, () => found(store, key.hash));
      await within(PUBLISH_MS, () => found(store, hashSecret("unknown")));
    }
  };
  await asked();
  return { bus, here, there, key, other, state, asked };
}

async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += PUBLISH_MS) {
    await vi.advanceTimersByTimeAsync(PUBLISH_MS);
    await settled();
  }
}

type Tested = Awaited<ReturnType<typeof setUp>>;
type Seen = { store: ManagedKeyStore };
const isRevoked = async ({ store }: Seen, { hash }: KeyRecord) =>
  (await within(PUBLISH_MS, () => found(store, hash)))?.revokedAt instanceof Date;

/** A revocation is made, and soon; is known where it was made when it returns, and elsewhere within the ttl. */
async function expectRevocation({ here, there }: Tested, key: KeyRecord): Promise<void> {
  expect(await within(PUBLISH_MS, () => revoked(here.store, key))).toBe(true);
  expect(await isRevoked(here, key)).toBe(true);
  await pass(TTL_MS);
  expect(await isRevoked(there, key)).toBe(true);
  expect(await isRevoked(here, key)).toBe(true);
}

/** Both answer from memory, and what one changes the other knows at once. */
async function expectHealed({ here, there, other, asked, state }: Tested): Promise<void> {
  state.broken = false;
  await pass(12_000); // what was late has come, and heartbeats after it
  await asked();
  for (const { store } of [here, there]) {
    await found(store, other.hash);
    expect(await knows(store, other.hash)).toBe(true);
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
      expect(await knows(store, tested.key.hash)).toBe(true);
    }
    tested.state.broken = true;
    await expectRevocation(tested, tested.key);
    const told = tested.here.types().includes("background.failed");
    const isTaken = label.startsWith("answers"); // nobody asks what a bus makes of it
    expect(told).toBe(!isTaken && side !== "there");
    await expectHealed(tested);
  });
});

describe("a bus whose subscribe()", () => {
  test.each(calls)("$label ($side)", async ({ label, fault, side }) => {
    const tested = await setUp(side, { method: "subscribe", ...fault });
    const fails = ["throws", "rejects", "hangs", "is late"].includes(label);
    const deaf = fails
      ? { here: [tested.here], there: [tested.there], both: [tested.here, tested.there] }[side]
      : [];
    for (const { store } of deaf) expect(await knows(store, tested.key.hash)).toBe(false);
    await expectRevocation(tested, tested.key);
    for (const one of deaf) expect(one.types()).toEqual(["cache.bypassed"]);
    await expectHealed(tested);
  });
});

describe("a bus that", () => {
  const what: Readonly<Record<string, (bus: LocalBus, message: string) => unknown>> = {
    "loses every message without a word": () => {},
    "brings every message twice": (bus, message) => [bus.deliver(message), bus.deliver(message)],
    "brings every message ten seconds late": (bus, message) => {
      setTimeout(() => bus.deliver(message), 10_000);
    },
    "cuts messages short": (bus, message) => bus.deliver(message.slice(0, -3)),
    "brings garbage": (bus) => bus.deliver("\0garbage"),
    "brings what is no text": (bus) => bus.deliver(42 as unknown as string),
    "brings garbage in front of every message": (bus, message) => [bus.deliver("{}"), bus.deliver(message)],
    "changes the sender": (bus, message) => bus.deliver(message.replace(/"from":"./, '"from":"x')),
    "changes the key": (bus, message) => bus.deliver(message.replace(/"id":"/, '"id":"x')),
  };

  test.each(Object.entries(what))("%s", async (label, deliver) => {
    const tested = await setUp("both", { method: "publish", fault: "throw" });
    const { bus, here } = tested;
    const right = bus.onPublish;
    bus.onPublish = (message) => deliver(bus, message);
    await expectRevocation(tested, tested.key);
    const types = here.types();
    if (/loses|late|short|garbage$|no text|sender/.test(label)) expect(types).toContain("cache.bypassed");
    bus.onPublish = right;
    await expectHealed(tested);
  });
});

test("an unknown key that is made while the bus is broken is known everywhere within the ttl", async () => {
  const { here, there, state } = await setUp("both", { method: "publish", fault: "hang" });
  state.broken = true;
  const key = { ...(await added(memoryStore())), hash: hashSecret("unknown") };
  await within(PUBLISH_MS, async () => here.store.insert(key, auditOf(key)));
  expect(await within(0, () => found(here.store, key.hash))).toMatchObject({ id: key.id });
  await pass(TTL_MS);
  expect(await within(0, () => found(there.store, key.hash))).toMatchObject({ id: key.id });
});

test.each(Object.entries(FAULTS))(
  "a cache whose leave of the bus %s is closed within a second",
  async (_, fault) => {
    const leaving = withFaults({ leave: async () => {} }, ["leave"], [fault], 1);
    const bus: InvalidationBus = { publish: async () => {}, subscribe: async () => leaving.leave };
    const { store } = observed(memoryStore(), { bus, heartbeat: `${HEARTBEAT_MS}ms` });
    const waiting = store.ready().catch((error: Error) => error.message);
    await settled();
    await within(1_000, () => store.close());
    expect(await waiting).toBe("The cache was closed");
    expect(leaving.injected()).toBe(1);
  },
);
