import { afterEach, describe, expect, test, vi } from "vitest";
import { isRateLimitDecision, rateLimitHeaders } from "../../../../src/core/verifier/rate-limit.js";
import {
  createVerifier,
  type RateLimitDecision,
  type RateLimiter,
  StoreError,
} from "../../../../src/index.js";
import { allowed, bearer, format, refused, scopes, service, sleep, thrownBy } from "../fixtures.js";

afterEach(() => vi.restoreAllMocks());

const minute = { name: "minute", limit: 60, windowSeconds: 60, remaining: 3, resetSeconds: 12.2 };
const hour = { name: "hour", limit: 1000, windowSeconds: 3600, remaining: 0, resetSeconds: 90 };

describe("headers", () => {
  test("every window, in structured fields", () => {
    expect(rateLimitHeaders({ allowed: true, states: [minute, { ...hour, remaining: 7 }] })).toEqual({
      RateLimit: '"minute";r=3;t=13, "hour";r=7;t=90',
      "RateLimit-Policy": '"minute";q=60;w=60, "hour";q=1000;w=3600',
    });
  });

  test("a refusal says when to come back: the longest wait of the windows that are used up", () => {
    expect(rateLimitHeaders({ allowed: false, states: [minute, hour] })["Retry-After"]).toBe("90");
    expect(rateLimitHeaders({ allowed: false, states: [minute] })["Retry-After"]).toBe("1");
    expect(rateLimitHeaders({ allowed: false, states: [] })).toEqual({ "Retry-After": "1" });
    const over = { ...minute, remaining: -2, resetSeconds: 0.2 };
    expect(rateLimitHeaders({ allowed: false, states: [over] })).toMatchObject({
      RateLimit: '"minute";r=0;t=1',
      "Retry-After": "1",
    });
  });

  test("numbers are whole, as structured fields want them, and what is left is never rounded up", () => {
    const odd = { name: "odd", limit: 1e18, windowSeconds: 0.5, remaining: 0.9, resetSeconds: 1e300 };
    expect(rateLimitHeaders({ allowed: true, states: [odd] })).toEqual({
      RateLimit: '"odd";r=0;t=999999999999999',
      "RateLimit-Policy": '"odd";q=999999999999999;w=1',
    });
  });

  test("a limiter that knows better says when to come back", () => {
    const wait = (retryAfterSeconds: number) =>
      rateLimitHeaders({ allowed: false, states: [minute, hour], retryAfterSeconds })["Retry-After"];
    expect([wait(12.2), wait(0), wait(-5), wait(1e300)]).toEqual(["13", "1", "1", "999999999999999"]);
    expect(rateLimitHeaders({ allowed: true, states: [], retryAfterSeconds: 5 })).toEqual({});
  });

  test("nothing to say without windows", () => {
    expect(rateLimitHeaders({ allowed: true, states: [] })).toEqual({});
  });
});

const NONSENSE: [string, unknown][] = [
  ["nothing", undefined],
  ["null", null],
  ["true", true],
  ["an empty object", {}],
  ["a decision without states", { allowed: true }],
  ["allowed that is truthy only", { allowed: 1, states: [] }],
  ["states that are no list", { allowed: true, states: {} }],
  ["a state with NaN", { allowed: true, states: [{ ...minute, remaining: Number.NaN }] }],
  ["a state without a number", { allowed: true, states: [{ ...minute, limit: undefined }] }],
  ["a state with a number as text", { allowed: true, states: [{ ...minute, limit: "60" }] }],
  ["a name that would break the header", { allowed: true, states: [{ ...minute, name: 'a"\r\nX: y' }] }],
  ["a name of 65 characters", { allowed: true, states: [{ ...minute, name: "n".repeat(65) }] }],
  ["an empty name", { allowed: true, states: [{ ...minute, name: "" }] }],
  ["a name behind a space", { allowed: true, states: [{ ...minute, name: " minute" }] }],
  ["a name before a space", { allowed: true, states: [{ ...minute, name: "minute " }] }],
  ["a name in a list", { allowed: true, states: [{ ...minute, name: ["minute"] }] }],
  [
    "a good state before a bad one",
    { allowed: true, states: [minute, { ...hour, windowSeconds: Infinity }] },
  ],
  ["a state without an end", { allowed: true, states: [{ ...minute, resetSeconds: undefined }] }],
  ["a wait of NaN", { allowed: false, states: [], retryAfterSeconds: Number.NaN }],
  ["a wait that is no number", { allowed: false, states: [], retryAfterSeconds: "5" }],
  ["a state of null", { allowed: true, states: [null] }],
  ["a state without a name", { allowed: true, states: [{ ...minute, name: undefined }] }],
];

test.each(NONSENSE)("%s is no decision", (_, value) => {
  expect(isRateLimitDecision(value)).toBe(false);
});

test.each<[string, RateLimitDecision]>([
  ["without states", { allowed: true, states: [] }],
  ["with states", { allowed: false, states: [minute, hour] }],
  ["with a wait", { allowed: false, states: [], retryAfterSeconds: 5 }],
  ["with a long name of all kinds", { allowed: true, states: [{ ...minute, name: "Az09_.:-".repeat(8) }] }],
])("a decision %s is one", (_, decision) => {
  expect(isRateLimitDecision(decision)).toBe(true);
});

describe("a verifier without a limiter", () => {
  test("warns once when a key has a limit, which is not in force", async () => {
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

describe("in a verifier", () => {
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

  test.each([
    ["at once", (decision: RateLimitDecision) => decision],
    ["as a promise", async (decision: RateLimitDecision) => decision],
  ])("allowed %s: the principal, and the headers", async (_, wrap) => {
    const { secret, verifier } = await limited(() => wrap({ allowed: true, states: [minute] }));
    const result = await verifier.verify(bearer(secret), "vehicles:read");
    expect(allowed(result).ownerId).toBe("acme");
    expect(result).toMatchObject({ headers: { RateLimit: '"minute";r=3;t=13' } });
  });

  test("denied: 429 with Retry-After and no challenge", async () => {
    const { secret, verifier } = await limited(async () => ({ allowed: false, states: [hour] }));
    const error = refused(await verifier.verify(bearer(secret)));
    expect(error).toMatchObject({ status: 429, code: "rate_limited" });
    expect(error.headers).toEqual({
      RateLimit: '"hour";r=0;t=90',
      "RateLimit-Policy": '"hour";q=1000;w=3600',
      "Retry-After": "90",
    });
  });

  test("is told the key and the request, and no hash", async () => {
    const seen: unknown[] = [];
    const { secret, key, verifier } = await limited((about, request) => {
      seen.push(about, request.remoteAddress);
      return { allowed: true, states: [] };
    });
    await verifier.verify(bearer(secret, { remoteAddress: "203.0.113.7" }));
    expect(seen).toEqual([
      { id: key.id, ownerId: "acme", environment: "live", rateLimit: { limit: 60, windowSeconds: 60 } },
      "203.0.113.7",
    ]);
  });

  test("a refused request never counts", async () => {
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

  test.each([
    [
      "throws",
      () => {
        throw new Error("redis://:hunter2@cache");
      },
    ],
    ["rejects", () => Promise.reject(new Error("redis://:hunter2@cache"))],
    ["hangs", () => new Promise<never>(() => {})],
    ...NONSENSE.flatMap(([name, value]): [string, () => never][] => [
      [`answers ${name}`, () => value as never],
      [`promises ${name}`, () => Promise.resolve(value) as never],
    ]),
  ])("a limiter that %s: a StoreError, never a pass", async (_, consume) => {
    const { secret, verifier } = await limited(consume as RateLimiter["consume"], 30);
    const error = await thrownBy(() => verifier.verify(bearer(secret)));
    expect(error).toBeInstanceOf(StoreError);
    expect((error as StoreError).message).toMatch(/^The rate limiter /);
    expect((error as StoreError).message).not.toContain("hunter2");
  });

  test("a limiter that answers late is left behind", async () => {
    let answer = () => {};
    const { secret, verifier } = await limited(
      () =>
        new Promise((resolve) => {
          answer = () => resolve({ allowed: true, states: [] });
        }),
      20,
    );
    expect(await thrownBy(() => verifier.verify(bearer(secret)))).toBeInstanceOf(StoreError);
    answer();
    await sleep(1);
  });
});
