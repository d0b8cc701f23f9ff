import { afterEach, describe, expect, test, vi } from "vitest";
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
  format,
  refused,
  scopes,
  service,
  sleep,
  stoppedClock,
  thrownBy,
} from "../core/fixtures.js";

afterEach(() => vi.restoreAllMocks());

const REQUEST = { headers: {} };
const KEY = { id: "key_1", ownerId: "acme", environment: "live", rateLimit: null };
const MINUTE: RateWindow = { name: "minute", per: "key", limit: 2, windowSeconds: 60 };
const OPEN = "allow";
const input = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" } as const;

const names = async ({ consume }: RateLimiter, key: Parameters<RateLimiter["consume"]>[0]) =>
  (await consume(key, REQUEST)).states.map(
    ({ name, limit, windowSeconds }) => `${name} ${limit}/${windowSeconds}`,
  );

describe("options", () => {
  const window = (more: object) => ({ windows: [{ ...MINUTE, ...more }] });
  const WRONG: [string, unknown][] = [
    ["an options object", undefined],
    ['unknown option "window"', { window: [] }],
    ['"store" must have a method take()', { store: {} }],
    ['"store" must have a method take()', { store: null }],
    ['"windows" must be a list', { windows: {} }],
    ['"windows" is empty', { windows: [], useKeyLimit: false }],
    [
      '"windows" has more than 16',
      { windows: Array.from({ length: 17 }, (_, i) => ({ ...MINUTE, name: `w${i}` })) },
    ],
    ['"windows[0]": expected an options object', { windows: [null] }],
    ['unknown option "window"', window({ window: 1 })],
    ['"windows[0].name" must be', window({ name: "" })],
    ['"windows[0].name" must be', window({ name: 'a"' })],
    ['"windows[0].name" must be', window({ name: "a".repeat(65) })],
    ['"windows[0].per" must be', window({ per: "user" })],
    ['"windows[0].per" must be', window({ per: undefined })],
    ['"windows[0].limit" must be', window({ limit: 0 })],
    ['"windows[0].limit" must be', window({ limit: 1.5 })],
    ['"windows[0].limit" must be', window({ limit: "10" })],
    ['"windows[0].limit" must be', window({ limit: Number.POSITIVE_INFINITY })],
    ['"windows[0].windowSeconds" must be', window({ windowSeconds: 0 })],
    ['"windows[0].windowSeconds" must be', window({ windowSeconds: 0.5 })],
    ['"windows[0].windowSeconds" must be', window({ windowSeconds: 1e12 })],
    ['"windows[1].name" is taken', { windows: [MINUTE, { ...MINUTE, per: "owner" }] }],
    ['"windows[0].per" must be "key"', window({ name: "key", per: "owner" })],
    ['"useKeyLimit" must be', { useKeyLimit: 1 }],
    ['"cost" must be a function', { cost: 1 }],
    ['"onFailure" must be', { onUnavailable: "allow" }],
    ['"onFailure" must be', { onUnavailable: true }],
    ['"timeoutMs" must be', { onUnavailable: OPEN, timeout: "0ms" }],
    ['"timeoutMs" must be', { onUnavailable: OPEN, timeoutMs: 2 ** 31 }],
    ['"timeoutMs" and "onError"', { timeout: "10ms" }],
    ['"timeoutMs" and "onError"', { onError: () => {} }],
    ['"onError" must be a function', { onUnavailable: OPEN, onError: 1 }],
  ];
  test.each(WRONG)("%s", (message, options) => {
    const make = () => createRateLimiter(options as RateLimiterOptions);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });

  test("what is given is copied", async () => {
    const windows = [{ ...MINUTE }];
    const limiter = createRateLimiter({ windows });
    (windows[0] as { limit: number }).limit = 1_000_000;
    windows.push({ ...MINUTE, name: "more" });
    expect(await names(limiter, KEY)).toEqual(["minute 2/60"]);
  });
});

describe("the limit of a key", () => {
  const limit = { limit: 5, windowSeconds: 10 };

  test("is a window of its own, in front", async () => {
    const limiter = createRateLimiter({ windows: [{ ...MINUTE, per: "owner" }] });
    expect(await names(limiter, { ...KEY, rateLimit: limit })).toEqual(["key 5/10", "minute 2/60"]);
    expect(await names(limiter, KEY)).toEqual(["minute 2/60"]);
    expect(await names(limiter, { id: "k", ownerId: "o" })).toEqual(["minute 2/60"]);
  });

  test("replaces the window of that name, which is for keys without one", async () => {
    const limiter = createRateLimiter({ windows: [{ ...MINUTE, name: "key" }] });
    expect(await names(limiter, { ...KEY, rateLimit: limit })).toEqual(["key 5/10"]);
    expect(await names(limiter, KEY)).toEqual(["key 2/60"]);
  });

  test("is not in force when the host says so", async () => {
    const limiter = createRateLimiter({ windows: [MINUTE], useKeyLimit: false });
    expect(await names(limiter, { ...KEY, rateLimit: limit })).toEqual(["minute 2/60"]);
  });

  test("without any window, nothing is counted", async () => {
    const take = vi.fn();
    const { consume } = createRateLimiter({ store: { take } });
    expect(await consume(KEY, REQUEST)).toEqual({ allowed: true, states: [] });
    expect(take).not.toHaveBeenCalled();
  });

  test("that cannot be read refuses, and is no reason to let through", async () => {
    const unreadable = [
      {},
      [],
      "5",
      { limit: 5 },
      { limit: Number.NaN, windowSeconds: 1 },
      { limit: 0, windowSeconds: 1 },
    ];
    for (const rateLimit of unreadable) {
      for (const more of [{}, { onUnavailable: OPEN, onError: () => {} } as const]) {
        const { consume } = createRateLimiter(more);
        const error = await thrownBy(() => consume({ ...KEY, rateLimit: rateLimit as never }, REQUEST));
        expect(error).toBeInstanceOf(StoreError);
      }
    }
  });

  test("of any length", async () => {
    const { consume } = createRateLimiter({});
    const rateLimit = { limit: Number.MAX_SAFE_INTEGER, windowSeconds: Number.MAX_SAFE_INTEGER };
    const { allowed, states } = await consume({ ...KEY, rateLimit }, REQUEST);
    expect(allowed).toBe(true);
    expect(states[0]).toMatchObject({ windowSeconds: Number.MAX_SAFE_INTEGER, resetSeconds: 3_153_600_000 });
  });

  test("that is changed to another window begins anew; another limit is in force at once", async () => {
    const { consume } = createRateLimiter({});
    const ask = async (limit: number, windowSeconds: number) =>
      (await consume({ ...KEY, rateLimit: { limit, windowSeconds } }, REQUEST)).states[0]?.remaining;
    expect(await ask(3, 60)).toBe(2);
    expect(await ask(2, 60)).toBe(0);
    expect(await ask(1, 60)).toBe(0);
    expect(await ask(10, 60)).toBe(7);
    expect(await ask(3, 61)).toBe(2);
  });
});

describe("cost", () => {
  test("is asked with the request and the key", async () => {
    const cost = vi.fn(() => 2);
    const request = { headers: {}, path: "/reports" };
    const { consume } = createRateLimiter({ windows: [{ ...MINUTE, limit: 10 }], cost });
    expect((await consume(KEY, request)).states[0]?.remaining).toBe(8);
    expect(cost).toHaveBeenCalledWith(request, KEY);
  });

  test.each([-1, 0.5, Number.NaN, "1", undefined, null, 2 ** 53, "a promise"])(
    "%s is none, and refuses",
    async (cost) => {
      for (const more of [{}, { onUnavailable: OPEN, onError: () => {} } as const]) {
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

describe("in a verifier", () => {
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

  test("headers come with every answer, and a refused request does not count", async () => {
    const clock = stoppedClock();
    const { verify } = await limited({ windows: [MINUTE], store: memoryLimits({ clock: clock.now }) });
    const first = await verify();
    expect(allowed(first).id).toBeDefined();
    expect(first.ok && first.headers).toEqual({
      RateLimit: '"minute";r=1;t=60',
      "RateLimit-Policy": '"minute";q=2;w=60',
    });
    for (let i = 0; i < 5; i++) expect(refused(await verify("fleet:admin")).code).toBe("insufficient_scope");
    clock.set(clock.now().getTime() + 30_000);
    expect((await verify()).ok).toBe(true);
    for (let i = 0; i < 5; i++) {
      const error = refused(await verify());
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

  test("who asks for more than is left is told when the window ends, though something is left", async () => {
    const clock = stoppedClock();
    let price = 3;
    const { verify } = await limited({
      windows: [
        { ...MINUTE, limit: 4 },
        { name: "day", per: "owner", limit: 100, windowSeconds: 86_400 },
      ],
      store: memoryLimits({ clock: clock.now }),
      cost: () => price,
    });
    expect((await verify()).ok).toBe(true);
    expect(refused(await verify()).headers).toMatchObject({
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
    ["answers nothing", () => undefined as never],
    ["answers no standings", () => ({ allowed: true, standings: [] })],
    ["answers no number", () => ({ allowed: true, standings: [{ used: Number.NaN, resetMs: 1 }] })],
    ["answers neither yes nor no", () => ({ allowed: 1 as never, standings: [{ used: 1, resetMs: 1 }] })],
  ];

  test.each(FAULTS)("a store that %s is 503", async (_, take) => {
    const { verify, events } = await limited(
      { windows: [MINUTE], store: { take } },
      { storeTimeout: "50ms" },
    );
    expect(await thrownBy(verify)).toBeInstanceOf(StoreError);
    expect(events.at(-1)).toMatchObject({ type: "auth.failed" });
  });

  test.each(FAULTS.slice(0, 5))(
    "a store that %s lets through where that was chosen, and tells",
    async (_, take) => {
      const told: unknown[] = [];
      const { verify } = await limited({
        windows: [MINUTE],
        store: { take },
        onUnavailable: OPEN,
        timeout: "20ms",
        onError: (error) => {
          told.push(error);
          throw new Error("nobody minds");
        },
      });
      for (let i = 0; i < 3; i++) {
        const result = await verify();
        expect(result.ok && result.headers).toEqual({});
      }
      expect(told).toHaveLength(3);
    },
  );

  test("limits are back when the store is", async () => {
    vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const memory = memoryLimits();
    let down = true;
    const take: LimitStore["take"] = (...asked) =>
      down ? Promise.reject(new Error("down")) : memory.take(...asked);
    const { verify } = await limited({ windows: [MINUTE], store: { take }, onUnavailable: OPEN });
    for (let i = 0; i < 5; i++) expect((await verify()).ok).toBe(true);
    expect(process.emitWarning).toHaveBeenCalledOnce();
    down = false;
    const results = [await verify(), await verify(), await verify()];
    expect(results.map(({ ok }) => ok)).toEqual([true, true, false]);
  });

  test("an answer that comes after all is dropped", async () => {
    const take = () => sleep(60).then(() => Promise.reject(new Error("late")));
    const { verify } = await limited({ windows: [MINUTE], store: { take } }, { storeTimeout: "20ms" });
    expect(await thrownBy(verify)).toBeInstanceOf(StoreError);
    await sleep(80);
  });

  test("a memory store answers at once", () => {
    const rateLimiter = createRateLimiter({ windows: [MINUTE] });
    expect(rateLimiter.consume(KEY, REQUEST)).toMatchObject({ allowed: true });
    expect(() => createVerifier({ store: service().store, scopes, format, rateLimiter })).not.toThrow();
  });
});
