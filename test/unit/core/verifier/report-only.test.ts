import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { anyVerifier } from "../../../../src/core/verifier/any-verifier.js";
import { createGuard } from "../../../../src/core/verifier/guard.js";
import type { TriedKey } from "../../../../src/core/verifier/report-only.js";
import {
  type AllowedEvent,
  type ApiKey,
  type KeyEvent,
  type RateLimitDecision,
  type RateLimiter,
  type ReportOnlyOptions,
  StoreError,
  type Verifier,
  type VerifyOptions,
} from "../../../../src/index.js";
import { failedAuthLimiter } from "../../../../src/rate-limit/index.js";
import { jwtService, token } from "../../jwt/fixtures.js";
import {
  allowed,
  bearer,
  type FleetScope,
  refused,
  type Service,
  service,
  sleep,
  thrownBy,
} from "../fixtures.js";

const unhandled: unknown[] = [];
const note = (reason: unknown) => unhandled.push(reason);
beforeEach(() => {
  unhandled.length = 0;
  process.on("unhandledRejection", note);
});
afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  await sleep(2);
  process.off("unhandledRejection", note);
  expect(unhandled).toEqual([]);
});

const CODE = "KEYBEARER_REPORT_ONLY";
const HERE = "203.0.113.7";
const LIVE = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" } as const;
const passing: RateLimitDecision = { allowed: true, states: [] };
const over: RateLimitDecision = {
  allowed: false,
  states: [{ name: "trial", limit: 1, windowSeconds: 60, remaining: 0, resetSeconds: 30 }],
};
const limiter = (consume: RateLimiter["consume"]): RateLimiter => ({ consume });

const verdicts = (events: readonly KeyEvent[]) =>
  events.filter((event): event is AllowedEvent => event.type === "auth.allowed").map((one) => one.wouldDeny);
const failures = (events: readonly KeyEvent[]) => events.filter(({ type }) => type === "background.failed");

async function trying(reportOnly: ReportOnlyOptions, more: Parameters<typeof service>[0] = {}) {
  const own: Service = service({ reportOnly, ...more });
  const { secret, key } = await own.manager.create({ ...LIVE, metadata: { tier: "gold" } });
  own.events.length = 0;
  const ask = (options?: VerifyOptions<FleetScope>) =>
    own.verifier.verify(bearer(secret, { remoteAddress: HERE }), "vehicles:read", options);
  return { ...own, secret, key, ask };
}

describe("what would have been denied", () => {
  test("nothing, without anything on trial", async () => {
    const { ask, events } = await trying({});
    allowed(await ask());
    expect(verdicts(events)).toEqual([[]]);
    expect(Object.isFrozen(verdicts(events)[0])).toBe(true);
  });

  test.each<[string, ReportOnlyOptions, FleetScope | undefined, string[]]>([
    ["an allowlist without the client", { ipAllowlist: () => ["10.0.0.0/8"] }, undefined, ["ip_not_allowed"]],
    ["an empty allowlist", { ipAllowlist: () => [] }, undefined, ["ip_not_allowed"]],
    ["an allowlist with the client", { ipAllowlist: () => [`${HERE}/32`] }, undefined, []],
    ["no allowlist for this key", { ipAllowlist: () => undefined }, undefined, []],
    ["a scope that is lacking", {}, "vehicles:write", ["insufficient_scope"]],
    ["a scope that is held", {}, "vehicles:read", []],
    ["a limiter that refuses", { rateLimiter: limiter(() => over) }, undefined, ["rate_limited"]],
    ["one that refuses later", { rateLimiter: limiter(async () => over) }, undefined, ["rate_limited"]],
    ["one with room", { rateLimiter: limiter(() => passing) }, undefined, []],
    ["one with room, later", { rateLimiter: limiter(async () => passing) }, undefined, []],
    [
      "everything at once, in the order of a decision",
      { rateLimiter: limiter(() => over), ipAllowlist: () => [] },
      "fleet:admin",
      ["ip_not_allowed", "insufficient_scope", "rate_limited"],
    ],
  ])("%s", async (_, reportOnly, scope, expected) => {
    const { ask, events } = await trying(reportOnly);
    const result = await ask(scope && { reportOnly: scope });
    expect(result).toMatchObject({ ok: true, headers: {} });
    await sleep(0);
    expect(verdicts(events)).toEqual([expected]);
    expect(Object.isFrozen(verdicts(events)[0])).toBe(true);
    expect(events).toHaveLength(1);
  });

  test("a client whose address is not known would not be on the list", async () => {
    const { verifier, secret, events } = await trying({ ipAllowlist: () => ["10.0.0.0/8"] });
    allowed(await verifier.verify(bearer(secret)));
    expect(verdicts(events)).toEqual([["ip_unknown"]]);
  });

  test("rules are asked for the key as everybody may see it", async () => {
    const seen: TriedKey[] = [];
    const consume = vi.fn(() => passing);
    const ipAllowlist = (key: TriedKey) => {
      seen.push(key);
      return key.metadata?.tier === "gold" ? [] : undefined;
    };
    const { ask, key, events } = await trying({ ipAllowlist, rateLimiter: { consume } });
    await ask();
    expect(seen).toEqual([key satisfies ApiKey]);
    expect(Object.isFrozen(seen[0])).toBe(true);
    expect(inspect(seen)).not.toContain("hash");
    const { id, ownerId, environment, rateLimit } = key;
    expect(consume).toHaveBeenCalledWith({ id, ownerId, environment, rateLimit }, expect.anything());
    expect(verdicts(events)).toEqual([["ip_not_allowed"]]);
  });

  test("nothing is tried for a request that is refused anyway", async () => {
    const ipAllowlist = vi.fn(() => []);
    const consume = vi.fn(() => over);
    const { verifier, secret, events } = await trying({ ipAllowlist, rateLimiter: { consume } });
    refused(await verifier.verify({ headers: {} }, undefined, { reportOnly: "fleet:admin" }));
    refused(await verifier.verify(bearer(secret), "fleet:admin", { reportOnly: "fleet:admin" }));
    expect(ipAllowlist).not.toHaveBeenCalled();
    expect(consume).not.toHaveBeenCalled();
    expect(events.map(({ type }) => type)).toEqual(["auth.denied", "auth.denied"]);
    for (const event of events) expect(event).not.toHaveProperty("wouldDeny");
  });

  test("the headers are those of the limiter in force", async () => {
    const states = [{ name: "real", limit: 9, windowSeconds: 60, remaining: 8, resetSeconds: 30 }];
    const rateLimiter = limiter(() => ({ allowed: true, states }));
    const { ask } = await trying({ rateLimiter: limiter(() => over) }, { rateLimiter });
    expect(await ask()).toMatchObject({
      headers: { RateLimit: '"real";r=8;t=30', "RateLimit-Policy": '"real";q=9;w=60' },
    });
  });

  test("a token without a key is tried by what it says", async () => {
    const ipAllowlist = vi.fn(() => []);
    const consume = vi.fn(() => over);
    const { verifier, events } = jwtService({ reportOnly: { ipAllowlist, rateLimiter: { consume } } });
    const result = await verifier.verify(bearer(token(), { remoteAddress: HERE }), "vehicles:read", {
      reportOnly: "vehicles:write",
    });
    allowed(result);
    expect(ipAllowlist).toHaveBeenCalledWith({
      id: "user-1",
      ownerId: "user-1",
      environment: null,
      scopes: ["vehicles:read", "drivers:read"],
    });
    expect(verdicts(events)).toEqual([["ip_not_allowed", "insufficient_scope", "rate_limited"]]);
  });
});

describe("a trial that fails", () => {
  const trap: string[] = new Proxy([], {
    get() {
      throw new Error("trap");
    },
  });
  const unreadable = new Proxy(
    {},
    {
      get: () => expect.unreachable(),
      getPrototypeOf: () => expect.unreachable(),
    },
  );
  const unsaid = {
    get allowed(): boolean {
      throw unreadable;
    },
  };
  const decision = {
    get allowed(): boolean {
      throw new Error("trap");
    },
    states: [],
  };
  const broken: [string, object, string[]?][] = [
    ["throws", { ipAllowlist: () => expect.unreachable() }],
    ["answers null", { ipAllowlist: () => null }],
    ["answers a text", { ipAllowlist: () => "10.0.0.0/8" }],
    ["answers a promise", { ipAllowlist: async () => [] }],
    ["answers a promise that rejects", { ipAllowlist: () => Promise.reject(new Error("x")) }],
    ["answers something that throws", { ipAllowlist: () => trap }],
    ["answers no network", { ipAllowlist: () => ["10.0.0.0/8", "office"] }],
    ["answers a network with a mistake", { ipAllowlist: () => Object.freeze(["10.0.0.5/8"]) }],
    ["answers a number in the list", { ipAllowlist: () => [10] }],
    ["throws in the limiter", { rateLimiter: { consume: () => expect.unreachable() } }],
    ["rejects", { rateLimiter: { consume: () => Promise.reject(new Error("x")) } }],
    ["answers nonsense", { rateLimiter: { consume: () => ({ allowed: "no" }) } }],
    ["answers nonsense later", { rateLimiter: { consume: async () => undefined } }],
    ["answers a decision that throws", { rateLimiter: { consume: () => decision } }],
    ["answers such a decision later", { rateLimiter: { consume: async () => decision } }],
    [
      "throws what cannot be read",
      {
        ipAllowlist: () => {
          throw unreadable;
        },
      },
    ],
    ["answers a decision that does so later", { rateLimiter: { consume: async () => unsaid } }],
    [
      "answers a thenable that throws",
      {
        rateLimiter: {
          // biome-ignore lint/suspicious/noThenProperty: what a limiter may answer
          consume: () => ({ then: () => expect.unreachable() }),
        },
      },
    ],
    [
      "is one of two",
      { ipAllowlist: () => [], rateLimiter: { consume: () => expect.unreachable() } },
      ["ip_not_allowed"],
    ],
  ];

  test.each(broken)("because it %s decides nothing, and is told", async (_, reportOnly, verdict = []) => {
    const { ask, events, key, clock } = await trying(reportOnly as ReportOnlyOptions);
    allowed(await ask());
    await sleep(5);
    expect(verdicts(events)).toEqual([verdict]);
    expect(failures(events)).toEqual([
      {
        type: "background.failed",
        at: clock.now(),
        task: "report-only",
        keyId: key.id,
        error: expect.any(StoreError),
      },
    ]);
    const rule = "rateLimiter" in reportOnly ? "The rate limiter on trial" : "The allowlist on trial";
    expect(failures(events)).toMatchObject([{ error: { message: expect.stringContaining(rule) } }]);
  });

  test("a list that the host changes is read again", async () => {
    const list = ["10.0.0.0/8"];
    const { ask, events } = await trying({ ipAllowlist: () => list });
    await ask();
    expect(failures(events)).toEqual([]);
    list.push("office");
    await ask();
    expect(failures(events)).toHaveLength(1);
  });

  test("a list that is frozen is judged by each time", async () => {
    const list = Object.freeze(["10.0.0.0/8"]);
    const { ask, events } = await trying({ ipAllowlist: () => list });
    for (let i = 0; i < 3; i++) await ask();
    expect(failures(events)).toEqual([]);
    expect(verdicts(events)).toEqual([["ip_not_allowed"], ["ip_not_allowed"], ["ip_not_allowed"]]);
  });

  test("something else than a list is named by its kind", async () => {
    const { ask, events } = await trying({ ipAllowlist: () => "10.0.0.0/8" as never });
    await ask();
    const message = "The allowlist on trial must be a list or undefined, got a value of type string";
    expect(failures(events)).toMatchObject([{ error: { message } }]);
  });

  test("the entry that cannot be read is named by its place", async () => {
    const { ask, events } = await trying({ ipAllowlist: () => ["10.0.0.0/8", "10.0.0.5/8"] });
    await ask();
    expect(failures(events)).toMatchObject([
      { error: { message: expect.stringMatching(/entry 1 has bits set behind its prefix length/) } },
    ]);
  });

  test("a limiter that hangs holds up no answer, and the event for no longer than the time limit", async () => {
    vi.useFakeTimers();
    const consume = vi.fn(() => new Promise<never>(() => {}));
    const { ask, events } = await trying({ rateLimiter: { consume } }, { storeTimeout: "100ms" });
    allowed(await ask());
    expect(consume).toHaveBeenCalledTimes(1);
    expect(events).toEqual([]);
    await vi.advanceTimersByTimeAsync(99);
    expect(events).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(events.map(({ type }) => type)).toEqual(["background.failed", "auth.allowed"]);
    expect(verdicts(events)).toEqual([[]]);
  });

  test("an event that waited says when the decision was made", async () => {
    let answer = (_: RateLimitDecision) => {};
    const waiting = new Promise<RateLimitDecision>((resolve) => {
      answer = resolve;
    });
    const { ask, events, clock } = await trying(
      { rateLimiter: limiter(() => waiting) },
      { storeTimeout: "60000ms" },
    );
    const decided = clock.now();
    allowed(await ask());
    expect(events).toEqual([]);
    clock.set(decided.getTime() + 50);
    answer(over);
    await sleep(0);
    expect(events).toMatchObject([{ type: "auth.allowed", at: decided, wouldDeny: ["rate_limited"] }]);
  });

  test("no more than a thousand wait for a limiter at a time", async () => {
    vi.useFakeTimers();
    const consume = vi.fn(() => new Promise<never>(() => {}));
    const { ask, events } = await trying({ rateLimiter: { consume } });
    for (let i = 0; i < 1_001; i++) allowed(await ask());
    expect(consume).toHaveBeenCalledTimes(1_000);
    expect(events.map(({ type }) => type)).toEqual(["background.failed", "auth.allowed"]);
    const message = "The rate limiter on trial is too slow to be asked";
    expect(failures(events)).toMatchObject([{ error: { message } }]);
    await vi.advanceTimersByTimeAsync(250);
    expect(events).toHaveLength(2_002);
    allowed(await ask());
    expect(consume).toHaveBeenCalledTimes(1_001);
    await vi.advanceTimersByTimeAsync(250);
  });
});

describe("a requirement on trial", () => {
  test.each([[[]], ["vehicles:raed"], [["vehicles:read", "x"]], [{ anyOf: [] }], [7]])(
    "cannot be %j",
    async (reportOnly) => {
      const { verifier, ask } = await trying({});
      const route = () => createGuard(verifier)("vehicles:read", { reportOnly: reportOnly as never });
      expect(route).toThrow(TypeError);
      expect(await thrownBy(() => ask({ reportOnly: reportOnly as never }))).toBeInstanceOf(TypeError);
    },
  );

  test("cannot be undefined, nor misspelt", async () => {
    const { verifier, ask } = await trying({});
    const guard = createGuard(verifier);
    expect(() => guard("vehicles:read", { reportOnly: undefined as never })).toThrow(
      /^guard: "reportOnly" is undefined/,
    );
    expect(() => guard({ reportonly: "vehicles:read" } as never)).toThrow(/unknown option "reportonly"/);
    expect(await thrownBy(() => ask({ reportonly: "vehicles:read" } as never))).toEqual(
      new TypeError('verify: unknown option "reportonly"; known options are reportOnly'),
    );
  });

  test("of a route lets through, and is told, with a requirement or without", async () => {
    const { verifier, secret, events } = await trying({});
    const guard = createGuard(verifier);
    const names: FleetScope[] = ["vehicles:write", "drivers:read"];
    const routes = [
      guard("vehicles:read", { reportOnly: names }),
      guard({ reportOnly: "vehicles:write" }),
      guard("vehicles:read", { optional: true, reportOnly: { anyOf: ["drivers:read", "vehicles:read"] } }),
      guard("vehicles:read"),
    ];
    names.length = 0; // what a route was made with stays
    for (const route of routes) expect(await route(bearer(secret))).toMatchObject({ pass: true });
    expect(verdicts(events)).toEqual([["insufficient_scope"], ["insufficient_scope"], [], []]);
    expect(events.map((event) => (event as AllowedEvent).requiredScopes)).toEqual([
      ["vehicles:read"],
      [],
      ["vehicles:read"],
      ["vehicles:read"],
    ]);
  });

  test("is handed on by the verifiers that stand in front of others", async () => {
    const { verifier, secret, events } = await trying({});
    const jwt = jwtService();
    const both = failedAuthLimiter(anyVerifier(verifier, jwt.verifier));
    const route = createGuard(both)("vehicles:read", { reportOnly: "fleet:admin" });
    for (const sent of [secret, token()]) {
      expect(await route(bearer(sent, { remoteAddress: HERE }))).toMatchObject({ pass: true });
      expect(await route(bearer(sent))).toMatchObject({ pass: true });
    }
    const denied = [["insufficient_scope"], ["insufficient_scope"]];
    expect([verdicts(events), verdicts(jwt.events)]).toEqual([denied, denied]);
  });

  test("may be ignored by a verifier of somebody else's", async () => {
    const { verifier, secret } = await trying({});
    const own: Verifier<FleetScope> = {
      verify: (request, required) => verifier.verify(request, required),
      assertRequirement: verifier.assertRequirement,
    };
    const route = createGuard(own)("vehicles:read", { reportOnly: "fleet:admin" });
    expect(await route(bearer(secret))).toMatchObject({ pass: true });
  });
});

describe("reportOnly of a verifier", () => {
  test.each<[string, unknown, RegExp]>([
    ["undefined", undefined, /"reportOnly" is undefined/],
    ["a list", [], /"reportOnly".*expected an options object/],
    ["a misspelt rule", { ipAllowList: () => [] }, /"reportOnly".*unknown option "ipAllowList"/],
    ["a list of networks", { ipAllowlist: ["10.0.0.0/8"] }, /"reportOnly.ipAllowlist" must be a function/],
    ["an allowlist of undefined", { ipAllowlist: undefined }, /"reportOnly": "ipAllowlist" is undefined/],
    ["a limiter that is none", { rateLimiter: {} }, /"reportOnly.rateLimiter" must have a method consume/],
    ["a limiter of undefined", { rateLimiter: undefined }, /"reportOnly": "rateLimiter" is undefined/],
  ])("cannot be %s", (_, reportOnly, message) => {
    expect(() => service({ reportOnly: reportOnly as never })).toThrow(message);
    expect(() => jwtService({ reportOnly: reportOnly as never })).toThrow(message);
  });

  test("without observers tries nothing, and warns", async () => {
    const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const ipAllowlist = vi.fn(() => []);
    service({ observers: [] });
    expect(warned).not.toHaveBeenCalled();
    const { ask } = await trying({ ipAllowlist }, { observers: [] });
    expect(warned).toHaveBeenCalledWith(
      expect.stringContaining('"reportOnly" tells nobody'),
      expect.objectContaining({ code: CODE }),
    );
    allowed(await ask());
    expect(ipAllowlist).not.toHaveBeenCalled();
  });

  test("a route on trial without observers warns with its first request, once, and tells nobody", async () => {
    const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const { manager, verifier } = service({ observers: [] });
    const { secret } = await manager.create(LIVE);
    const route = createGuard(verifier)({ reportOnly: "vehicles:read" });
    for (let i = 0; i < 3; i++) expect(await route(bearer(secret))).toMatchObject({ pass: true });
    expect(warned.mock.calls).toEqual([
      [expect.stringContaining('"reportOnly" tells nobody'), expect.objectContaining({ code: CODE })],
    ]);
  });

  test("a route that has nothing on trial warns of nothing, and neither does one that is observed", async () => {
    const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    await createGuard(service({ observers: [] }).verifier)()({ headers: {} });
    await createGuard(service({ observers: [() => {}] }).verifier)({ reportOnly: "vehicles:read" })({
      headers: {},
    });
    expect(warned).not.toHaveBeenCalled();
  });
});
