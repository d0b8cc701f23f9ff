import { afterEach, describe, expect, it, vi } from "vitest";
import { createVerifier, type RateLimiter, StoreError } from "../../../src/index.js";
import {
  createRateLimiter,
  type LimitStore,
  memoryLimits,
  type RateLimiterOptions,
  type RateWindow,
} from "../../../src/rate-limit/index.js";
import {
  allowed,
  bearer,
  errorOf,
  format,
  scopes,
  service,
  sleep,
  stoppedClock,
  thrownBy,
} from "../core/fixtures.js";

afterEach(() => vi.restoreAllMocks());

const REQUEST = { headers: {} };
const KEY = { id: "key_1", ownerId: "acme", environment: "live", rateLimit: null };
const MINUTE: RateWindow = { name: "minute", per: "key", limit: 2, window: "1m" };
const input = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" } as const;

const names = async ({ consume }: RateLimiter, key: Parameters<RateLimiter["consume"]>[0]) =>
  (await consume(key, REQUEST)).states.map(
    ({ name, limit, windowSeconds }) => `${name} ${limit}/${windowSeconds}`,
  );

describe("createRateLimiter options", () => {
  const window = (more: object) => ({ windows: [{ ...MINUTE, ...more }] });
  const WRONG: [string, unknown][] = [
    ["an options object", undefined],
    ['unknown option "window"', { window: [] }],
    ['"store" must have a method take()', { store: {} }],
    ['"store" must have a method take()', { store: null }],
    ['"windows" must be an array; received an object', { windows: {} }],
    ['"windows" must not be empty', { windows: [], useKeyLimit: false }],
    [
      '"windows" must have at most 16 entries; received 17',
      { windows: Array.from({ length: 17 }, (_, i) => ({ ...MINUTE, name: `w${i}` })) },
    ],
    ['"windows[0]": expected an options object', { windows: [null] }],
    ['unknown option "windowSeconds"', window({ windowSeconds: 60 })],
    ['"windows[0].name" must be', window({ name: "" })],
    ['"windows[0].name" must be', window({ name: 'a"' })],
    ['"windows[0].name" must be', window({ name: "a".repeat(65) })],
    ['"windows[0].per" must be', window({ per: "user" })],
    ['"windows[0].per" must be', window({ per: undefined })],
    ['"windows[0].limit" must be an integer from 1 to 9007199254740991; received 0', window({ limit: 0 })],
    ['"windows[0].limit" must be', window({ limit: 1.5 })],
    ['"windows[0].limit" must be', window({ limit: "10" })],
    ['"windows[0].limit" must be', window({ limit: Number.POSITIVE_INFINITY })],
    ['received the number 60, write "60s"', window({ window: 60 })],
    ['"windows[0].window" must be a duration', window({ window: undefined })],
    ['"windows[0].window" must be a duration', window({ window: "0s" })],
    ['"windows[0].window" must be a duration', window({ window: "500ms" })],
    ['"windows[0].window" must be whole seconds; received "1500ms"', window({ window: "1500ms" })],
    ['"windows[0].window" must be a duration', window({ window: "36501d" })],
    ['"windows[1].name" must be unique', { windows: [MINUTE, { ...MINUTE, per: "owner" }] }],
    ['"windows[0].per" must be "key"', window({ name: "key", per: "owner" })],
    ['"useKeyLimit" must be', { useKeyLimit: 1 }],
    ['"cost" must be a function', { cost: 1 }],
    ['"cost" must be a function', { cost: null }],
    ['"dryRun" must be true or false', { dryRun: "yes" }],
    ['"dryRun" requires "onLimited"', { dryRun: true }],
    ['"onLimited" must be a function', { onLimited: 1 }],
    ['"onUnavailable" must be "deny" or "allow"', { onUnavailable: "refuse" }],
    ['"onUnavailable" must be', { onUnavailable: true }],
    ['"timeout" must be', { onUnavailable: "allow", timeout: "0ms" }],
    ['"timeout" must be', { onUnavailable: "allow", timeout: "25d" }],
    ['received the number 50, write "50ms"', { onUnavailable: "allow", timeout: 50 }],
    ['"timeout" and "onError" require', { timeout: "10ms" }],
    ['"timeout" and "onError" require', { onError: () => {} }],
    ['"onError" must be a function', { onUnavailable: "allow", onError: 1 }],
  ];
  it.each(WRONG)("throws a TypeError: %s", (message, options) => {
    const make = () => createRateLimiter(options as RateLimiterOptions);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });

  it("copies the windows", async () => {
    const windows = [{ ...MINUTE }];
    const limiter = createRateLimiter({ windows });
    (windows[0] as { limit: number }).limit = 1_000_000;
    windows.push({ ...MINUTE, name: "more" });
    expect(await names(limiter, KEY)).toEqual(["minute 2/60"]);
  });
});

describe("rateLimit of a key", () => {
  const limit = { limit: 5, windowSeconds: 10 };

  it("is the first window", async () => {
    const limiter = createRateLimiter({ windows: [{ ...MINUTE, per: "owner" }] });
    expect(await names(limiter, { ...KEY, rateLimit: limit })).toEqual(["key 5/10", "minute 2/60"]);
    expect(await names(limiter, KEY)).toEqual(["minute 2/60"]);
    expect(await names(limiter, { id: "k", ownerId: "o" })).toEqual(["minute 2/60"]);
  });

  it("replaces the window named key, which applies to other keys", async () => {
    const limiter = createRateLimiter({ windows: [{ ...MINUTE, name: "key" }] });
    expect(await names(limiter, { ...KEY, rateLimit: limit })).toEqual(["key 5/10"]);
    expect(await names(limiter, KEY)).toEqual(["key 2/60"]);
  });

  it("is ignored with useKeyLimit: false", async () => {
    const limiter = createRateLimiter({ windows: [MINUTE], useKeyLimit: false });
    expect(await names(limiter, { ...KEY, rateLimit: limit })).toEqual(["minute 2/60"]);
  });

  it("counts nothing without a window", async () => {
    const take = vi.fn();
    const { consume } = createRateLimiter({ store: { take } });
    expect(await consume(KEY, REQUEST)).toEqual({ allowed: true, states: [] });
    expect(take).not.toHaveBeenCalled();
  });

  it("throws a StoreError if it is invalid, with onUnavailable allow too", async () => {
    const unreadable = [
      {},
      [],
      "5",
      { limit: 5 },
      { limit: Number.NaN, windowSeconds: 1 },
      { limit: 0, windowSeconds: 1 },
    ];
    for (const rateLimit of unreadable) {
      for (const more of [{}, { onUnavailable: "allow", onError: () => {} } as const]) {
        const { consume } = createRateLimiter(more);
        const error = await thrownBy(() => consume({ ...KEY, rateLimit: rateLimit as never }, REQUEST));
        expect(error).toBeInstanceOf(StoreError);
      }
    }
  });

  it("allows any length", async () => {
    const { consume } = createRateLimiter({});
    const rateLimit = { limit: Number.MAX_SAFE_INTEGER, windowSeconds: Number.MAX_SAFE_INTEGER };
    const { allowed, states } = await consume({ ...KEY, rateLimit }, REQUEST);
    expect(allowed).toBe(true);
    expect(states[0]).toMatchObject({ windowSeconds: Number.MAX_SAFE_INTEGER, resetSeconds: 3_153_600_000 });
  });

  it("starts a new counter for a new window, and applies a new limit to the current one", async () => {
    const { consume } = createRateLimiter({});
    const remainingOf = async (limit: number, windowSeconds: number) =>
      (await consume({ ...KEY, rateLimit: { limit, windowSeconds } }, REQUEST)).states[0]?.remaining;
    expect(await remainingOf(3, 60)).toBe(2);
    expect(await remainingOf(2, 60)).toBe(0);
    expect(await remainingOf(1, 60)).toBe(0);
    expect(await remainingOf(10, 60)).toBe(7);
    expect(await remainingOf(3, 61)).toBe(2);
  });
});

describe("cost", () => {
  it("is called with the request and the key", async () => {
    const cost = vi.fn(() => 2);
    const request = { headers: {}, path: "/reports" };
    const { consume } = createRateLimiter({ windows: [{ ...MINUTE, limit: 10 }], cost });
    expect((await consume(KEY, request)).states[0]?.remaining).toBe(8);
    expect(cost).toHaveBeenCalledWith(request, KEY);
  });

  it.each([-1, 0.5, Number.NaN, "1", undefined, null, 2 ** 53, "a promise"])(
    "throws a TypeError if it returns %s",
    async (cost) => {
      for (const more of [{}, { onUnavailable: "allow", onError: () => {} } as const]) {
        const { consume } = createRateLimiter({
          windows: [MINUTE],
          cost: () => (cost === "a promise" ? Promise.reject(new Error("late")) : cost) as number,
          ...more,
        });
        expect(await thrownBy(() => consume(KEY, REQUEST))).toBeInstanceOf(TypeError);
      }
    },
  );
});

describe("with a verifier", () => {
  const limited = async (options: RateLimiterOptions, verifierOptions = {}) => {
    const rateLimiter = createRateLimiter(options);
    const made = service({ rateLimiter, ...verifierOptions });
    const { secret } = await made.manager.create(input);
    return {
      ...made,
      secret,
      verify: (required?: "fleet:admin") => made.verifier.verify(bearer(secret), required),
    };
  };

  it("adds headers to every result, and does not count denied requests", async () => {
    const clock = stoppedClock();
    const { verify } = await limited({ windows: [MINUTE], store: memoryLimits({ clock: clock.now }) });
    const first = await verify();
    expect(allowed(first).id).toBeDefined();
    expect(first.ok && first.headers).toEqual({
      RateLimit: '"minute";r=1;t=60',
      "RateLimit-Policy": '"minute";q=2;w=60',
    });
    for (let i = 0; i < 5; i++) expect(errorOf(await verify("fleet:admin")).code).toBe("insufficient_scope");
    clock.set(clock.now().getTime() + 30_000);
    expect((await verify()).ok).toBe(true);
    for (let i = 0; i < 5; i++) {
      const error = errorOf(await verify());
      expect([error.code, error.status]).toEqual(["rate_limited", 429]);
      expect(error.headers).toEqual({
        RateLimit: '"minute";r=0;t=30',
        "RateLimit-Policy": '"minute";q=2;w=60',
        "Retry-After": "30",
      });
    }
    clock.set(clock.now().getTime() + 30_000);
    expect((await verify()).ok).toBe(true);
  });

  it("sends Retry-After for a cost above what remains", async () => {
    const clock = stoppedClock();
    let price = 3;
    const { verify } = await limited({
      windows: [
        { ...MINUTE, limit: 4 },
        { name: "day", per: "owner", limit: 100, window: "1d" },
      ],
      store: memoryLimits({ clock: clock.now }),
      cost: () => price,
    });
    expect((await verify()).ok).toBe(true);
    expect(errorOf(await verify()).headers).toMatchObject({
      RateLimit: '"minute";r=1;t=60, "day";r=97;t=86400',
      "Retry-After": "60",
    });
    price = 1;
    expect((await verify()).ok).toBe(true);
  });

  const FAULTS: [string, LimitStore["take"]][] = [
    [
      "throws",
      () => {
        throw new Error("down");
      },
    ],
    ["rejects", () => Promise.reject(new Error("down"))],
    ["hangs", () => new Promise(() => {})],
    ["returns undefined", () => undefined as never],
    ["returns no states", () => ({ allowed: true, states: [] })],
    ["returns NaN", () => ({ allowed: true, states: [{ used: Number.NaN, resetMs: 1 }] })],
    ["returns no boolean", () => ({ allowed: 1 as never, states: [{ used: 1, resetMs: 1 }] })],
  ];

  it.each(FAULTS)("rejects with a StoreError if the store %s", async (_, take) => {
    const { verify, events } = await limited(
      { windows: [MINUTE], store: { take } },
      { storeTimeout: "50ms" },
    );
    expect(await thrownBy(verify)).toBeInstanceOf(StoreError);
    expect(events.at(-1)).toMatchObject({ type: "auth.failed" });
  });

  it.each(FAULTS.slice(0, 5))(
    "allows the request and calls onError if the store %s, with onUnavailable allow",
    async (_, take) => {
      const errors: unknown[] = [];
      const { verify } = await limited({
        windows: [MINUTE],
        store: { take },
        onUnavailable: "allow",
        timeout: "20ms",
        onError: (error) => {
          errors.push(error);
          throw new Error("ignored");
        },
      });
      for (let i = 0; i < 3; i++) {
        const result = await verify();
        expect(result.ok && result.headers).toEqual({});
      }
      expect(errors).toHaveLength(3);
    },
  );

  it("applies limits again when the store has recovered", async () => {
    vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const memory = memoryLimits();
    let down = true;
    const take: LimitStore["take"] = (...args) =>
      down ? Promise.reject(new Error("down")) : memory.take(...args);
    const { verify } = await limited({ windows: [MINUTE], store: { take }, onUnavailable: "allow" });
    for (let i = 0; i < 5; i++) expect((await verify()).ok).toBe(true);
    expect(process.emitWarning).toHaveBeenCalledOnce();
    down = false;
    const results = [await verify(), await verify(), await verify()];
    expect(results.map(({ ok }) => ok)).toEqual([true, true, false]);
  });

  it("ignores a late rejection of the store", async () => {
    const take = () => sleep(60).then(() => Promise.reject(new Error("late")));
    const { verify } = await limited({ windows: [MINUTE], store: { take } }, { storeTimeout: "20ms" });
    expect(await thrownBy(verify)).toBeInstanceOf(StoreError);
    await sleep(80);
  });

  it("decides synchronously with a memory store", () => {
    const rateLimiter = createRateLimiter({ windows: [MINUTE] });
    expect(rateLimiter.consume(KEY, REQUEST)).toMatchObject({ allowed: true });
    expect(() => createVerifier({ store: service().store, scopes, format, rateLimiter })).not.toThrow();
  });
});

describe("dryRun", () => {
  type Limited = Parameters<NonNullable<RateLimiterOptions["onLimited"]>>;
  const dryRun = (options: RateLimiterOptions = {}) => {
    const limited: Limited[] = [];
    const errors: unknown[] = [];
    const limiter = createRateLimiter({
      windows: [MINUTE],
      dryRun: true,
      onLimited: (...args) => limited.push(args),
      onError: (error) => errors.push(error),
      ...options,
    });
    return { limiter, limited, errors };
  };

  it("allows every request without headers, and reports those over the limit", async () => {
    const { limiter, limited, errors } = dryRun();
    const { manager, verifier } = service({ rateLimiter: limiter });
    const { secret, key } = await manager.create(input);
    for (let i = 0; i < 5; i++) {
      const result = await verifier.verify(bearer(secret, { path: "/v" }));
      expect(result.ok && result.headers).toEqual({});
    }
    expect(errors).toEqual([]);
    expect(limited).toHaveLength(3);
    const [subject, decision, request] = limited[0] as Limited;
    expect(subject).toMatchObject({ id: key.id, ownerId: "acme", environment: "live" });
    expect(decision).toMatchObject({
      allowed: false,
      states: [{ name: "minute", limit: 2, windowSeconds: 60, remaining: 0 }],
    });
    expect(decision.retryAfterSeconds).toBeGreaterThan(50);
    expect(request.path).toBe("/v");
  });

  it("returns before an asynchronous store has responded", async () => {
    const memory = memoryLimits();
    const take: LimitStore["take"] = async (...args) => memory.take(...args);
    const { limiter, limited } = dryRun({ store: { take } });
    for (let i = 0; i < 3; i++) expect(limiter.consume(KEY, REQUEST)).toEqual({ allowed: true, states: [] });
    expect(limited).toEqual([]);
    await sleep(1);
    expect(limited).toHaveLength(1);
  });

  it.each([
    ["throws", () => Promise.reject(new Error("down"))],
    ["hangs", () => new Promise<never>(() => {})],
    ["returns undefined", () => undefined as never],
  ] satisfies [string, LimitStore["take"]][])("allows the request if the store %s", async (_, take) => {
    for (const onUnavailable of ["deny", "allow"] as const) {
      const { limiter, limited, errors } = dryRun({ store: { take }, timeout: "10ms", onUnavailable });
      expect(limiter.consume(KEY, REQUEST)).toEqual({ allowed: true, states: [] });
      await sleep(20);
      expect(errors).toEqual([expect.any(StoreError)]);
      expect(limited).toEqual([]);
    }
  });

  it("allows the request if the cost or the limit of the key is invalid", () => {
    const { limiter, errors } = dryRun({ cost: () => -1 });
    expect(limiter.consume(KEY, REQUEST)).toMatchObject({ allowed: true });
    expect(limiter.consume({ ...KEY, rateLimit: {} as never }, REQUEST)).toMatchObject({ allowed: true });
    expect(errors).toEqual([expect.any(TypeError), expect.any(StoreError)]);
  });

  it("stops calling a store for which 1,000 requests are pending", async () => {
    const take = vi.fn(() => new Promise<never>(() => {}));
    const { limiter, errors } = dryRun({ store: { take }, timeout: "20ms" });
    for (let i = 0; i < 1_002; i++) limiter.consume(KEY, REQUEST);
    expect(take).toHaveBeenCalledTimes(1_000);
    expect(errors).toHaveLength(2);
    expect(String(errors[0])).toContain("1000 requests of the dry run are pending");
    await sleep(40);
    expect(errors).toHaveLength(1_002);
    limiter.consume(KEY, REQUEST);
    expect(take).toHaveBeenCalledTimes(1_001);
    await sleep(30);
  });

  it("emits one warning for failures without onError", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const limiter = createRateLimiter({
      store: { take: () => Promise.reject(new Error("down")) },
      windows: [MINUTE],
      dryRun: true,
      onLimited: () => {},
    });
    for (let i = 0; i < 3; i++) limiter.consume(KEY, REQUEST);
    await sleep(1);
    expect(warn).toHaveBeenCalledOnce();
    expect(warn.mock.calls[0]?.[1]).toMatchObject({ code: "KEYBEARER_RATE_LIMITER_UNAVAILABLE" });
  });
});

describe("onLimited", () => {
  it("is called for denied requests, and cannot change the decision", async () => {
    for (const fails of [
      () => {
        throw new Error("ignored");
      },
      () => Promise.reject(new Error("ignored")),
    ]) {
      const onLimited = vi.fn(fails);
      const { consume } = createRateLimiter({ windows: [{ ...MINUTE, limit: 1 }], onLimited });
      expect((await consume(KEY, REQUEST)).allowed).toBe(true);
      expect(onLimited).not.toHaveBeenCalled();
      const decision = await consume(KEY, REQUEST);
      expect(decision.allowed).toBe(false);
      expect(onLimited).toHaveBeenCalledExactlyOnceWith(KEY, decision, REQUEST);
    }
  });
});
