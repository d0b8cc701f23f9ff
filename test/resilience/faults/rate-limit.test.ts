import { describe, expect, it } from "vitest";
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
import { detectLeaks, FAULTS, GRACE_MS, TIMEOUT_MS, within } from "./harness.js";

detectLeaks();

const windows = [{ name: "minute", per: "key", limit: 1_000, window: "1m" }] as const;

/** A client of node-redis with a script that allows every request. */
const client = {
  on: () => {},
  eval: async () => [1, 1, 60_000],
  evalSha: async () => [1, 1, 60_000],
};

/** A limiter of rate-limiter-flexible that allows every request. */
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
  "a custom store": (fault) => {
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
  "a Redis client after SCRIPT FLUSH": (fault) => {
    const lost = { ...client, evalSha: () => Promise.reject(lostScript) };
    const faulty = withFaults(lost, ["evalSha", "eval", "on"], [{ method: "eval", ...fault }], 1);
    return { control: faulty, store: redisLimits(faulty) as never };
  },
  "rate-limiter-flexible, in get": flexibly("get"),
  "rate-limiter-flexible, in penalty": flexibly("penalty"),
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

// Counters are not records of a key.
const cases = Object.entries(FAULTS).filter(([, { fault }]) => fault !== "foreign");

describe.each(Object.entries(STORES))("a rate limiter over %s", (_, make) => {
  it.each(cases)("throws if it %s, and counts again afterwards", async (_label, fault) => {
    const { control, store } = make(fault);
    const verify = await verifying(createRateLimiter({ store, windows }));
    expect(await verify()).toBe("KEYBEARER_STORE_ERROR");
    expect(await verify("vehicles:write")).toBe(403);
    expect(control.injected()).toBe(1);
    control.heal();
    expect(await verify()).toBe(200);
  });

  it.each(cases)("allows requests with onUnavailable if it %s, but no others", async (_label, fault) => {
    const { control, store } = make(fault);
    const errors: unknown[] = [];
    const onError = (error: unknown) => errors.push(error);
    const verify = await verifying(
      createRateLimiter({ store, windows, onUnavailable: "allow", timeout: "100ms", onError }),
    );
    expect(await verify()).toBe(200);
    expect(errors).toHaveLength(1);
    expect(await verify("vehicles:write")).toBe(403);
    control.heal();
    expect(await verify()).toBe(200);
    expect(errors).toHaveLength(1);
  });
});
