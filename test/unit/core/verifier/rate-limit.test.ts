import { afterEach, describe, expect, it, vi } from "vitest";
import { isRateLimitDecision, rateLimitHeaders } from "../../../../src/core/verifier/rate-limit.js";
import {
  createVerifier,
  type Duration,
  type RateLimitDecision,
  type RateLimiter,
  StoreError,
} from "../../../../src/index.js";
import { allowed, bearer, errorOf, format, scopes, service, sleep, thrownBy } from "../fixtures.js";

afterEach(() => vi.restoreAllMocks());

const minute = { name: "minute", limit: 60, windowSeconds: 60, remaining: 3, resetSeconds: 12.2 };
const hour = { name: "hour", limit: 1000, windowSeconds: 3600, remaining: 0, resetSeconds: 90 };

describe("rateLimitHeaders", () => {
  it("lists every window in structured fields", () => {
    expect(rateLimitHeaders({ allowed: true, states: [minute, { ...hour, remaining: 7 }] })).toEqual({
      RateLimit: '"minute";r=3;t=13, "hour";r=7;t=90',
      "RateLimit-Policy": '"minute";q=60;w=60, "hour";q=1000;w=3600',
    });
  });

  it("sends Retry-After for a denial: the longest reset of the used-up windows", () => {
    expect(rateLimitHeaders({ allowed: false, states: [minute, hour] })["Retry-After"]).toBe("90");
    expect(rateLimitHeaders({ allowed: false, states: [minute] })["Retry-After"]).toBe("1");
    expect(rateLimitHeaders({ allowed: false, states: [] })).toEqual({ "Retry-After": "1" });
    const over = { ...minute, remaining: -2, resetSeconds: 0.2 };
    expect(rateLimitHeaders({ allowed: false, states: [over] })).toMatchObject({
      RateLimit: '"minute";r=0;t=1',
      "Retry-After": "1",
    });
  });

  it("rounds to integers of structured fields, and remaining requests down", () => {
    const odd = { name: "odd", limit: 1e18, windowSeconds: 0.5, remaining: 0.9, resetSeconds: 1e300 };
    expect(rateLimitHeaders({ allowed: true, states: [odd] })).toEqual({
      RateLimit: '"odd";r=0;t=999999999999999',
      "RateLimit-Policy": '"odd";q=999999999999999;w=1',
    });
  });

  it("uses retryAfterSeconds of the limiter", () => {
    const wait = (retryAfterSeconds: number) =>
      rateLimitHeaders({ allowed: false, states: [minute, hour], retryAfterSeconds })["Retry-After"];
    expect([wait(12.2), wait(0), wait(-5), wait(1e300)]).toEqual(["13", "1", "1", "999999999999999"]);
    expect(rateLimitHeaders({ allowed: true, states: [], retryAfterSeconds: 5 })).toEqual({});
  });

  it("returns no headers without windows", () => {
    expect(rateLimitHeaders({ allowed: true, states: [] })).toEqual({});
  });
});

const INVALID: [string, unknown][] = [
  ["undefined", undefined],
  ["null", null],
  ["true", true],
  ["an empty object", {}],
  ["a decision without states", { allowed: true }],
  ["allowed that is not a boolean", { allowed: 1, states: [] }],
  ["states that are not an array", { allowed: true, states: {} }],
  ["a state with NaN", { allowed: true, states: [{ ...minute, remaining: Number.NaN }] }],
  ["a state without a number", { allowed: true, states: [{ ...minute, limit: undefined }] }],
  ["a state with a number as string", { allowed: true, states: [{ ...minute, limit: "60" }] }],
  ["a name that would break the header", { allowed: true, states: [{ ...minute, name: 'a"\r\nX: y' }] }],
  ["a name of 65 characters", { allowed: true, states: [{ ...minute, name: "n".repeat(65) }] }],
  ["an empty name", { allowed: true, states: [{ ...minute, name: "" }] }],
  ["a name after a space", { allowed: true, states: [{ ...minute, name: " minute" }] }],
  ["a name before a space", { allowed: true, states: [{ ...minute, name: "minute " }] }],
  ["a name in an array", { allowed: true, states: [{ ...minute, name: ["minute"] }] }],
  [
    "a valid state before an invalid one",
    { allowed: true, states: [minute, { ...hour, windowSeconds: Infinity }] },
  ],
  ["a state without a reset", { allowed: true, states: [{ ...minute, resetSeconds: undefined }] }],
  ["a retryAfterSeconds of NaN", { allowed: false, states: [], retryAfterSeconds: Number.NaN }],
  ["a retryAfterSeconds that is a string", { allowed: false, states: [], retryAfterSeconds: "5" }],
  ["a state of null", { allowed: true, states: [null] }],
  ["a state without a name", { allowed: true, states: [{ ...minute, name: undefined }] }],
];

it.each(INVALID)("isRateLimitDecision rejects %s", (_, value) => {
  expect(isRateLimitDecision(value)).toBe(false);
});

it.each<[string, RateLimitDecision]>([
  ["without states", { allowed: true, states: [] }],
  ["with states", { allowed: false, states: [minute, hour] }],
  ["with retryAfterSeconds", { allowed: false, states: [], retryAfterSeconds: 5 }],
  ["with a long name", { allowed: true, states: [{ ...minute, name: "Az09_.:-".repeat(8) }] }],
])("isRateLimitDecision accepts a decision %s", (_, decision) => {
  expect(isRateLimitDecision(decision)).toBe(true);
});

describe("a verifier without a rate limiter", () => {
  it("warns once about a key with a limit, which is not enforced", async () => {
    const emit = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const { manager, verifier } = service();
    const input = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" } as const;
    const free = await manager.create(input);
    await verifier.verify(bearer(free.secret));
    expect(emit).not.toHaveBeenCalled();
    for (let i = 0; i < 3; i++) {
      const { secret } = await manager.create({ ...input, rateLimit: { limit: 1, windowSeconds: 60 } });
      for (let n = 0; n < 3; n++) expect((await verifier.verify(bearer(secret))).ok).toBe(true);
    }
    expect(emit.mock.calls).toEqual([
      [
        'A key has a "rateLimit", but the verifier has no "rateLimiter"',
        { type: "KeybearerWarning", code: "KEYBEARER_NO_RATE_LIMITER" },
      ],
    ]);
  });
});

const unreadable: RateLimitDecision = {
  get allowed(): boolean {
    throw new Error("hunter2");
  },
  states: [],
};

describe("a verifier with a rate limiter", () => {
  async function limited(consume: RateLimiter["consume"], storeTimeout: Duration = "250ms") {
    const { store, manager } = service();
    const { secret, key } = await manager.create({
      ownerId: "acme",
      scopes: ["vehicles:read"],
      environment: "live",
      rateLimit: { limit: 60, windowSeconds: 60 },
    });
    const rateLimiter = { consume };
    const verifier = createVerifier({ store, scopes, format, rateLimiter, storeTimeout });
    return { secret, key, manager, verifier };
  }

  it.each([
    ["synchronous", (decision: RateLimitDecision) => decision],
    ["asynchronous", async (decision: RateLimitDecision) => decision],
  ])("returns principal and headers for a %s decision", async (_, wrap) => {
    const { secret, verifier } = await limited(() => wrap({ allowed: true, states: [minute] }));
    const result = await verifier.verify(bearer(secret), "vehicles:read");
    expect(allowed(result).ownerId).toBe("acme");
    expect(result).toMatchObject({ headers: { RateLimit: '"minute";r=3;t=13' } });
  });

  it("denies with 429 and Retry-After, without a challenge", async () => {
    const { secret, verifier } = await limited(async () => ({ allowed: false, states: [hour] }));
    const error = errorOf(await verifier.verify(bearer(secret)));
    expect(error).toMatchObject({ status: 429, code: "rate_limited" });
    expect(error.headers).toEqual({
      RateLimit: '"hour";r=0;t=90',
      "RateLimit-Policy": '"hour";q=1000;w=3600',
      "Retry-After": "90",
    });
  });

  it("passes the key without its hash, and the request", async () => {
    const seen: unknown[] = [];
    const { secret, key, verifier } = await limited((subject, request) => {
      seen.push(subject, request.remoteAddress);
      return { allowed: true, states: [] };
    });
    await verifier.verify(bearer(secret, { remoteAddress: "203.0.113.7" }));
    expect(seen).toEqual([
      {
        id: key.id,
        ownerId: "acme",
        environment: "live",
        rateLimit: { limit: 60, windowSeconds: 60 },
        rotationRoot: null,
      },
      "203.0.113.7",
    ]);
  });

  it("does not count a denied request", async () => {
    let count = 0;
    const { secret, key, manager, verifier } = await limited(() => {
      count++;
      return { allowed: true, states: [] };
    });
    await verifier.verify({ headers: {} });
    await verifier.verify(bearer("junk"));
    await verifier.verify(bearer(format.generate("live")));
    await verifier.verify(bearer(secret), "vehicles:write");
    await manager.update(key.id, { ipAllowlist: ["10.0.0.0/8"] });
    await verifier.verify(bearer(secret, { remoteAddress: "203.0.113.7" }));
    await manager.disable(key.id);
    await verifier.verify(bearer(secret, { remoteAddress: "10.0.0.1" }));
    expect(count).toBe(0);
    await manager.enable(key.id);
    await verifier.verify(bearer(secret, { remoteAddress: "10.0.0.1" }));
    expect(count).toBe(1);
  });

  it.each([
    [
      "throws",
      () => {
        throw new Error("redis://:hunter2@cache");
      },
    ],
    ["rejects", () => Promise.reject(new Error("redis://:hunter2@cache"))],
    ["hangs", () => new Promise<never>(() => {})],
    ["returns a decision that throws", () => unreadable],
    ["resolves with a decision that throws", async () => unreadable],
    ...INVALID.flatMap(([name, value]): [string, () => never][] => [
      [`returns ${name}`, () => value as never],
      [`resolves with ${name}`, () => Promise.resolve(value) as never],
    ]),
  ])("throws a StoreError if the limiter %s", async (_, consume) => {
    const { secret, verifier } = await limited(consume as RateLimiter["consume"], "30ms");
    const error = await thrownBy(() => verifier.verify(bearer(secret)));
    expect(error).toBeInstanceOf(StoreError);
    expect((error as StoreError).message).toMatch(/^The rate limiter /);
    expect((error as StoreError).message).not.toContain("hunter2");
  });

  it("ignores a decision after the time limit", async () => {
    let decide = () => {};
    const { secret, verifier } = await limited(
      () =>
        new Promise((resolve) => {
          decide = () => resolve({ allowed: true, states: [] });
        }),
      "20ms",
    );
    expect(await thrownBy(() => verifier.verify(bearer(secret)))).toBeInstanceOf(StoreError);
    decide();
    await sleep(1);
  });
});
