import { describe, expect, test } from "vitest";
import { createKeyManager, createVerifier, type RateLimiter } from "../../../src/index.js";
import {
  createRateLimiter,
  flexibleLimits,
  memoryLimits,
  redisLimits,
} from "../../../src/rate-limit/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { type FaultControl, withFaults } from "../../../src/testing/faults.js";
import { bearer, format, scopes } from "../../unit/core/fixtures.js";
import { FAULTS, GRACE_MS, TIMEOUT_MS, within, withoutTrace } from "./harness.js";

withoutTrace();

const windows = [{ name: "minute", per: "key", limit: 1_000, windowSeconds: 60 }] as const;

/** A client of node-redis in whose place a script has room for every request. */
const client = {
  on: () => {},
  eval: async () => [1, 1, 60_000],
  evalSha: async () => [1, 1, 60_000],
};

/** A limiter of rate-limiter-flexible that has room for every request. */
const counter = (() => {
  const count = async () => ({ consumedPoints: 1, msBeforeNext: 60_000 });
  return { get: count, penalty: count, reward: count };
})();

const lostScript = Object.assign(new Error("NOSCRIPT No matching script."), { code: "NOSCRIPT" });
const flexibly =
  (method: keyof typeof counter): Make =>
  (fault) => {
    const faulty = withFaults(counter, ["get", "penalty", "reward"], [{ method, ...fault }], 1);
    return { control: faulty, store: flexibleLimits(faulty) as never };
  };

type Make = (fault: Parameters<typeof withFaults>[2][number]) => { control: FaultControl; store: never };
const STORES: Readonly<Record<string, Make>> = {
  "a store of limits": (fault) => {
    const store = withFaults(memoryLimits(), ["take"], [fault], 1);
    return { control: store, store: store as never };
  },
  "a Redis client": (fault) => {
    const faulty = withFaults(
      client,
      ["evalSha", "eval", "on"],
      [{ method: ["evalSha", "eval"], ...fault }],
      1,
    );
    return { control: faulty, store: redisLimits(faulty) as never };
  },
  "a Redis client whose server has lost the script": (fault) => {
    const lost = { ...client, evalSha: () => Promise.reject(lostScript) };
    const faulty = withFaults(lost, ["evalSha", "eval", "on"], [{ method: "eval", ...fault }], 1);
    return { control: faulty, store: redisLimits(faulty) as never };
  },
  "a limiter of rate-limiter-flexible that looks": flexibly("get"),
  "a limiter of rate-limiter-flexible that counts": flexibly("penalty"),
};

async function verifying(rateLimiter: RateLimiter) {
  const store = memoryStore();
  const manager = createKeyManager({ store, scopes, format });
  const { secret } = await manager.create({
    ownerId: "acme",
    environment: "live",
    scopes: ["vehicles:read"],
  });
  const verifier = createVerifier({ store, scopes, format, rateLimiter, storeTimeout: `${TIMEOUT_MS}ms` });
  const status = (result: Awaited<ReturnType<typeof verifier.verify>>) =>
    result.ok ? 200 : result.error.status;
  return (requirement?: "vehicles:write") =>
    within(TIMEOUT_MS + GRACE_MS, () =>
      verifier.verify(bearer(secret), requirement).then(status, ({ code }: { code: string }) => code),
    );
}

// Counters are no records: nothing in them is another key's, or left out.
const cases = Object.entries(FAULTS).filter(([, { fault }]) => fault !== "foreign");

describe.each(Object.entries(STORES))("a rate limiter over %s", (_, make) => {
  test.each(cases)("that %s refuses with an error, and counts again afterwards", async (_label, fault) => {
    const { control, store } = make(fault);
    const ask = await verifying(createRateLimiter({ store, windows }));
    expect(await ask()).toBe("KEYBEARER_STORE_ERROR");
    expect(await ask("vehicles:write")).toBe(403);
    expect(control.injected()).toBe(1);
    control.heal();
    expect(await ask()).toBe(200);
  });

  test.each(cases)("that %s lets through if the host has said so, and nobody else", async (_label, fault) => {
    const { control, store } = make(fault);
    const onFailure = "allow-unlimited-while-the-limiter-is-down";
    const told: unknown[] = [];
    const onError = (error: unknown) => told.push(error);
    const ask = await verifying(createRateLimiter({ store, windows, onFailure, timeout: "100ms", onError }));
    expect(await ask()).toBe(200);
    expect(told).toHaveLength(1);
    expect(await ask("vehicles:write")).toBe(403);
    control.heal();
    expect(await ask()).toBe(200);
    expect(told).toHaveLength(1);
  });
});
