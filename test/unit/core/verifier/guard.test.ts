import { afterEach, describe, expect, it, vi } from "vitest";
import { createGuard, type GuardOutcome } from "../../../../src/core/verifier/guard.js";
import {
  createVerifier,
  type GuardArguments,
  type GuardErrorContext,
  type KeyEvent,
  type KeyHash,
  type KeyStore,
  type RequestFacts,
  StoreError,
  type Verifier,
  type VerifierOptions,
} from "../../../../src/index.js";
import {
  bearer,
  errorOf,
  type FleetScope,
  format,
  polluted,
  recordOf,
  scopes,
  service,
  sleep,
  storeOf,
} from "../fixtures.js";

afterEach(() => vi.restoreAllMocks());

async function guarded() {
  const { manager, verifier } = service();
  const { secret, key } = await manager.create({
    ownerId: "acme",
    scopes: ["vehicles:read"],
    environment: "live",
  });
  return { secret, key, guard: createGuard(verifier) };
}

function denialOf(outcome: GuardOutcome<FleetScope>) {
  if (outcome.pass) throw new Error("the request was allowed");
  return {
    ...outcome.denial,
    json: outcome.denial.body === "" ? undefined : JSON.parse(outcome.denial.body),
  };
}

const failing = () =>
  createVerifier({ store: storeOf(() => Promise.reject(new Error("hunter2"))), scopes, format });

describe("a custom verifier", () => {
  it.each<[string, unknown, RegExp]>([
    ["ok without a principal", { ok: true }, /^guard: .* without a principal; received undefined$/],
    [
      "a principal of null",
      { ok: true, principal: null, headers: {} },
      /without a principal; received null$/,
    ],
    ["a string as principal", { ok: true, principal: "acme", headers: {} }, /received a string$/],
    ["undefined", undefined, /undefined/],
    ["a string", "ok", /undefined/],
  ])("that resolves with %s is denied with 503", async (_, result, fault) => {
    const onError = vi.fn();
    const verifier = {
      verify: async () => result,
      assertRequirement() {},
    } as unknown as Verifier<FleetScope>;
    const guard = createGuard(verifier, { onError });
    for (const route of [guard(), guard({ optional: true }), guard("vehicles:read")]) {
      expect(denialOf(await route(bearer("x"))).status).toBe(503);
    }
    const message = expect.stringMatching(fault);
    expect(onError.mock.calls.map(([error]) => error)).toMatchObject([{ message }, { message }, { message }]);
  });
});

describe("arguments of a route", () => {
  it("allow any valid key if there are none", async () => {
    const { guard, secret, key } = await guarded();
    const outcome = await guard()(bearer(secret));
    expect(outcome).toMatchObject({ pass: true, headers: {} });
    expect(outcome.pass && outcome.principal?.id).toBe(key.id);
    expect((await guard({})(bearer(secret))).pass).toBe(true);
    expect((await guard()({ headers: {} })).pass).toBe(false);
  });

  it("take a scope, an array of scopes, or anyOf", async () => {
    const { guard, secret } = await guarded();
    const pass = async (...args: GuardArguments<FleetScope>) => (await guard(...args)(bearer(secret))).pass;
    expect(await pass("vehicles:read")).toBe(true);
    expect(await pass("vehicles:write")).toBe(false);
    expect(await pass(["vehicles:read"])).toBe(true);
    expect(await pass(["vehicles:read", "drivers:read"])).toBe(false);
    expect(await pass({ anyOf: ["vehicles:read", "drivers:read"] })).toBe(true);
    expect(await pass({ anyOf: ["vehicles:write", "drivers:read"] })).toBe(false);
    expect(await pass("vehicles:read", {})).toBe(true);
    expect(await pass("vehicles:read", { optional: false })).toBe(true);
  });

  it("with optional allow a missing credential, but no invalid one and no missing scope", async () => {
    const { guard, secret } = await guarded();
    for (const check of [guard({ optional: true }), guard("vehicles:read", { optional: true })]) {
      expect(await check({ headers: {} })).toEqual({ pass: true, principal: undefined, headers: {} });
      expect(await check({ headers: { authorization: "Basic abc" } })).toMatchObject({ pass: true });
      expect(denialOf(await check({ headers: { authorization: "Bearer" } })).json.code).toBe(
        "malformed_credential",
      );
      expect(denialOf(await check(bearer("junk"))).json.code).toBe("invalid_key");
      const outcome = await check(bearer(secret));
      expect(outcome.pass && outcome.principal?.ownerId).toBe("acme");
    }
    const write = guard("vehicles:write", { optional: true });
    expect(denialOf(await write(bearer(secret))).status).toBe(403);
  });

  it.each<[string, unknown[]]>([
    ["undefined", [undefined]],
    ["null", [null]],
    ["undefined with options", [undefined, { optional: true }]],
    ["an empty array", [[]]],
    ["an empty anyOf", [{ anyOf: [] }]],
    ["an undefined scope", ["vehicles:delete"]],
    ["an undefined scope in an array", [["vehicles:read", "nope"]]],
    ["an empty string", [""]],
    ["a number", [7]],
    ["a second scope", ["vehicles:read", "vehicles:write"]],
    ["a misspelt anyOf", [{ anyof: ["vehicles:read"] }]],
    ["a misspelt option", ["vehicles:read", { optinal: true }]],
    ["an option that is not a boolean", ["vehicles:read", { optional: "yes" }]],
    ["an option of null", [{ optional: null }]],
    ["options first", [{ optional: true }, "vehicles:read"]],
    ["options twice", [{ optional: true }, { optional: true }]],
    ["anyOf and options in one", [{ anyOf: ["vehicles:read"], optional: true }]],
    ["anyOf and a misspelt member", [{ anyOf: ["vehicles:read"], allOf: ["vehicles:write"] }]],
    ["a function", [() => {}]],
  ])("throw a TypeError when the route is created: %s", async (_, args) => {
    const { guard } = await guarded();
    expect(() => guard(...(args as never))).toThrow(TypeError);
  });

  it("ignore options on Object.prototype", async () => {
    const { guard, secret } = await guarded();
    await polluted({ optional: true, onError: () => {} }, async () => {
      const checks = [
        guard(),
        guard({}),
        guard("vehicles:read"),
        guard("vehicles:read", {}),
        guard(["vehicles:read"]),
        guard({ anyOf: ["vehicles:read"] }),
      ];
      for (const check of checks) {
        expect(denialOf(await check({ headers: {} })).json.code).toBe("missing_credential");
        expect((await check(bearer(secret))).pass).toBe(true);
      }
    });
  });

  it("are copied", async () => {
    const { guard, secret } = await guarded();
    const list: FleetScope[] = ["vehicles:write"];
    const any = { anyOf: list };
    const checks = [guard(list), guard(any)];
    list[0] = "vehicles:read";
    any.anyOf = ["vehicles:read"];
    for (const check of checks) expect((await check(bearer(secret))).pass).toBe(false);
  });
});

describe("arguments of a guard", () => {
  it.each<[string, unknown, unknown, RegExp]>([
    ["no verifier", undefined, undefined, /"verifier" must have a method verify/],
    ["a verifier without assertRequirement", { verify() {} }, undefined, /assertRequirement/],
    ["an unknown option", failing(), { onerror: () => {} }, /"onerror"/],
    ["onError that is not a function", failing(), { onError: true }, /"onError"/],
    ["options of null", failing(), null, /options object/],
  ])("throw a TypeError: %s", (_, verifier, options, message) => {
    const make = () => createGuard(verifier as Verifier, options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });
});

describe("a decision", () => {
  const record = (hash: KeyHash) => recordOf(hash, { environment: "live" });
  const over = (store: KeyStore, more: Partial<VerifierOptions<FleetScope>> = {}) =>
    createVerifier({ store, scopes, format, storeTimeout: "60s", ...more });
  const allow = { allowed: true, states: [] };

  it("is synchronous with a synchronous store and rate limiter", () => {
    for (const more of [{}, { rateLimiter: { consume: () => allow } }, { observers: [() => {}] }]) {
      const route = createGuard(over(storeOf(record), more))("vehicles:read");
      expect(route(bearer(format.generate("live")))).toMatchObject({ pass: true });
      expect(route(bearer("junk"))).toMatchObject({ pass: false, denial: { status: 401 } });
    }
    const down = over(
      storeOf(() => {
        throw new Error("down");
      }),
    );
    const route = createGuard(down, { onError: () => {} })();
    expect(route(bearer(format.generate("live")))).toMatchObject({ denial: { status: 503 } });
  });

  it("is a promise with an asynchronous store or rate limiter", async () => {
    const slow = over(storeOf(async (hash) => record(hash)));
    const limited = over(storeOf(record), { rateLimiter: { consume: async () => allow } });
    for (const verifier of [slow, limited]) {
      const outcome = createGuard(verifier)("vehicles:read")(bearer(format.generate("live")));
      expect(outcome).toBeInstanceOf(Promise);
      expect(await outcome).toMatchObject({ pass: true });
    }
  });

  it("goes through verify of a verifier that wraps another one", async () => {
    const inner = over(storeOf(record));
    const denied = errorOf(await inner.verify({ headers: {} }));
    const copy = { ...inner, verify: async () => ({ ok: false as const, error: denied }) };
    const inherited = Object.create(inner, { verify: { value: copy.verify } }) as typeof inner;
    const proxy = new Proxy({} as typeof inner, { get: (_, name) => Reflect.get(copy, name) });
    for (const wrapper of [copy, inherited, proxy]) {
      const outcome = await createGuard(wrapper)()(bearer(format.generate("live")));
      expect(denialOf(outcome).json.code).toBe("missing_credential");
    }
  });
});

describe("the request id", () => {
  const live = () => bearer(format.generate("live"));

  it("is not created for an allowed request without observers", async () => {
    const random = vi.spyOn(crypto, "randomUUID");
    const verifier = createVerifier({ store: storeOf((hash) => recordOf(hash)), scopes, format });
    const outcome = await createGuard(verifier)("vehicles:read")(live());
    expect((await verifier.verify(live())).ok).toBe(true);
    expect(random).not.toHaveBeenCalled();
    const requestId = outcome.pass ? outcome.principal?.requestId : undefined;
    expect(requestId).toBe(random.mock.results[0]?.value);
  });

  it("is the same in denial, event, error context and principal", async () => {
    const events: KeyEvent[] = [];
    const contexts: GuardErrorContext[] = [];
    let isDown = false;
    const store = storeOf((hash) => (isDown ? Promise.reject(new Error("down")) : recordOf(hash)));
    const observers = [(event: KeyEvent) => events.push(event)];
    const verifier = createVerifier({ store, scopes, format, observers });
    const guard = createGuard(verifier, { onError: (_, context) => contexts.push(context) });
    const [read, write] = [guard("vehicles:read"), guard("vehicles:write")];

    const passed = await read(live());
    const denied = denialOf(await write(live()));
    isDown = true;
    const failed = denialOf(await read(live()));
    const ids = [
      passed.pass ? passed.principal?.requestId : undefined,
      denied.json.requestId,
      failed.json.requestId,
    ];
    expect(events.map((event) => (event as RequestFacts).requestId)).toEqual(ids);
    expect(contexts.map(({ requestId }) => requestId)).toEqual([failed.json.requestId]);
    expect(failed.headers["x-request-id"]).toBe(failed.json.requestId);
    expect(new Set(ids).size).toBe(3);
  });

  it("of a custom verifier is the one in the denial", async () => {
    const seen: (string | undefined)[] = [];
    const own = service();
    const verifier: Verifier<FleetScope> = {
      assertRequirement: own.verifier.assertRequirement,
      verify(request, requirement) {
        seen.push(request.requestId);
        return own.verifier.verify(request, requirement);
      },
    };
    const denied = denialOf(await createGuard(verifier)()({ headers: {} }));
    expect(seen).toEqual([denied.json.requestId]);
    expect(own.events).toMatchObject([{ requestId: denied.json.requestId }]);
  });
});

describe("denials", () => {
  it("have the framework's request id in header and body, or a new id", async () => {
    const { guard } = await guarded();
    const { headers, json } = denialOf(await guard()({ headers: {}, requestId: "id-1" }));
    expect([headers["x-request-id"], json.requestId]).toEqual(["id-1", "id-1"]);
    const evil = denialOf(await guard()({ headers: { "x-request-id": "a\r\nb" } }));
    expect(evil.headers["x-request-id"]).toBe(evil.json.requestId);
    expect(evil.json.requestId).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("are problem documents if the client accepts them; HEAD has the headers of GET", async () => {
    const { guard } = await guarded();
    const accept = "application/problem+json";
    expect(denialOf(await guard()({ headers: { accept } })).json).toMatchObject({
      type: "about:blank",
      status: 401,
    });
    const [get, head] = await Promise.all(
      ["GET", "HEAD"].map(async (method) =>
        denialOf(await guard()({ headers: { accept }, method, requestId: "id-1" })),
      ),
    );
    expect(head?.headers).toEqual(get?.headers);
  });
});

describe("errors", () => {
  const request = bearer(format.generate("live"), {
    requestId: "id-1",
    method: "GET",
    path: "/a?key=secret",
  });

  it("cause 503 with Retry-After and a call of onError with the request", async () => {
    const seen: [unknown, GuardErrorContext][] = [];
    const guard = createGuard(failing(), { onError: (error, context) => seen.push([error, context]) });
    const { status, headers, json, body } = denialOf(await guard("vehicles:read")(request));
    expect(status).toBe(503);
    expect(headers).toMatchObject({ "retry-after": "1", "cache-control": "no-store" });
    expect(headers).not.toHaveProperty("www-authenticate");
    expect(json).toEqual({ message: expect.any(String), code: "unavailable", requestId: "id-1" });
    expect(body).not.toContain("hunter2");
    expect(seen).toEqual([[expect.any(StoreError), { requestId: "id-1", method: "GET", path: "/a" }]]);
  });

  it("deny requests on an optional route too", async () => {
    const guard = createGuard(failing(), { onError: () => {} });
    expect(denialOf(await guard({ optional: true })(request)).status).toBe(503);
  });

  it.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("x");
      },
    ],
    ["rejects", () => Promise.reject(new Error("x"))],
    ["hangs", () => new Promise(() => {})],
  ])("cause 503 even if onError %s", async (_, onError) => {
    const unhandled = vi.fn();
    process.on("unhandledRejection", unhandled);
    const guard = createGuard(failing(), { onError });
    expect(denialOf(await guard()(request)).status).toBe(503);
    await sleep(5);
    process.off("unhandledRejection", unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });

  it("cause one process warning without onError, without the driver's text", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const guard = createGuard(failing());
    for (let i = 0; i < 3; i++) await guard()(request);
    await guard("vehicles:read")(request);
    expect(warn).toHaveBeenCalledOnce();
    expect(warn.mock.calls[0]?.[1]).toMatchObject({ code: "KEYBEARER_UNAVAILABLE" });
    expect(String(warn.mock.calls[0]?.[0])).toContain("The key store failed (Error)");
    expect(String(warn.mock.calls[0]?.[0])).not.toContain("hunter2");
  });

  it("deny the request whatever a verifier throws", async () => {
    for (const thrown of [new TypeError("x"), undefined, null, "string"]) {
      const verifier: Verifier<FleetScope> = {
        verify: () => Promise.reject(thrown),
        assertRequirement: () => {},
      };
      const seen: unknown[] = [];
      const guard = createGuard(verifier, { onError: (error) => seen.push(error) });
      expect(denialOf(await guard()(request)).status).toBe(503);
      expect(seen).toEqual([thrown]);
    }
  });

  it("never make the guard reject, not even for a request without headers", async () => {
    const { guard } = await guarded();
    for (const request of [{ method: "GET" }, {}, null]) {
      expect(await guard()(request as never)).toMatchObject({ pass: false, denial: { status: 503 } });
    }
  });

  it("reach onError even if the method or the path of the request cannot be read", async () => {
    const requests: object[] = [
      { headers: {}, requestId: "id-1", path: new URL("http://localhost/a") },
      {
        headers: {},
        requestId: "id-1",
        get method() {
          throw new Error("unreadable");
        },
      },
    ];
    for (const request of requests) {
      const seen: unknown[] = [];
      const onError = (error: unknown, context: GuardErrorContext) => seen.push([error, context]);
      const { verifier } = service();
      const outcome = await createGuard(verifier, { onError })("vehicles:read")(request as never);
      expect(outcome).toMatchObject({ pass: false, denial: { status: 503 } });
      const context = { requestId: "id-1", method: undefined, path: undefined };
      expect(seen).toEqual([[expect.any(Error), context]]);
    }
  });

  it("do not occur for a request of a class with getters, such as Request", async () => {
    const { guard, secret } = await guarded();
    const request = new Request("http://localhost/", { headers: { authorization: `Bearer ${secret}` } });
    expect(await guard("vehicles:read")(request)).toMatchObject({ pass: true });
  });
});

describe("errorBody", () => {
  const plain = (message: string) => ({ message });

  it("replaces only the body", async () => {
    const { manager, verifier } = service();
    const { secret } = await manager.create({ ownerId: "acme", scopes: [], environment: "live" });
    const usual = createGuard(verifier)("vehicles:read");
    const own = createGuard(verifier, {
      errorBody: ({ message, code }, requestId) => ({ error: { message, code }, requestId }),
    })("vehicles:read");
    for (const request of [bearer(secret, { requestId: "r-1" }), { headers: {}, requestId: "r-1" }]) {
      const [before, after] = [denialOf(await usual(request)), denialOf(await own(request))];
      const { message, code, requestId } = before.json;
      expect(after.json).toEqual({ error: { message, code }, requestId });
      expect(after.status).toBe(before.status);
      const length = String(Buffer.byteLength(after.body));
      expect(after.headers).toEqual({ ...before.headers, "content-length": length });
    }
  });

  it("is sent as JSON even if the client accepts problem documents", async () => {
    const { verifier } = service();
    const guard = createGuard(verifier, { errorBody: ({ message }) => plain(message) });
    const outcome = denialOf(await guard()({ headers: { accept: "application/problem+json" } }));
    expect(outcome.headers["content-type"]).toBe("application/json");
    expect(outcome.json).toEqual(plain(outcome.json.message));
  });

  it("replaces the body of a 503", async () => {
    const errors: unknown[] = [];
    const options = { errorBody: () => ({ down: true }), onError: (error: unknown) => errors.push(error) };
    const outcome = denialOf(
      await createGuard(failing(), options)("vehicles:read")(bearer(format.generate("live"))),
    );
    expect([outcome.status, outcome.json]).toEqual([503, { down: true }]);
    expect(errors).toEqual([expect.any(StoreError)]);
  });

  it.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("x");
      },
    ],
    ["returns undefined", () => undefined],
    ["returns a string", () => "no"],
    ["returns a promise", async () => plain("late")],
    ["returns a promise that rejects", () => Promise.reject(new Error("late"))],
    ["returns what JSON cannot represent", () => ({ big: 1n })],
    [
      "returns a circular object",
      () => {
        const circle: Record<string, unknown> = {};
        circle.circle = circle;
        return circle;
      },
    ],
  ])("that %s is reported, and the default body is sent", async (_, errorBody) => {
    const errors: unknown[] = [];
    const { verifier } = service();
    const options = { errorBody: errorBody as () => object, onError: (error: unknown) => errors.push(error) };
    const outcome = denialOf(await createGuard(verifier, options)()({ headers: {} }));
    expect([outcome.status, outcome.json.code]).toEqual([401, "missing_credential"]);
    expect(errors).toHaveLength(1);
  });

  it("that returns a promise is reported as such", async () => {
    const onError = vi.fn();
    const guard = createGuard(service().verifier, { errorBody: async () => ({}), onError });
    expect(denialOf(await guard()({ headers: {} })).json.code).toBe("missing_credential");
    expect(onError.mock.calls[0]?.[0]).toEqual(
      new TypeError('guard: "errorBody" must return its result synchronously; received a promise'),
    );
  });

  it("must be a function", () => {
    expect(() => createGuard(service().verifier, { errorBody: {} as never })).toThrow(/"errorBody"/);
  });
});

describe("error messages", () => {
  it.each<[string, unknown[]]>([
    ["guard: the requirement is undefined; to allow any valid key, omit it: auth()", [undefined]],
    ["guard: the requirement is null; to allow any valid key, omit it: auth()", [null]],
    ["guard: the requirement is null; to allow any valid key, omit it: auth()", [null, {}]],
    ['guard: "optional" must be true or false; received a string', ["vehicles:read", { optional: "yes" }]],
    [
      'guard: unknown option "optinal"; known options are optional, reportOnly',
      ["vehicles:read", { optinal: true }],
    ],
    ['guard: unknown option "anyof"; known options are optional, reportOnly', [{ anyof: ["vehicles:read"] }]],
    ['requirement: unknown option "optional"; known options are anyOf', [{ anyOf: [], optional: true }]],
  ])("%s", async (message, args) => {
    const { guard } = await guarded();
    expect(() => guard(...(args as never))).toThrow(new TypeError(message));
  });

  it.each<[string, unknown, unknown]>([
    ['guard: "verifier" must have a method verify()', undefined, {}],
    ['guard: "verifier" must have a method assertRequirement()', { verify() {} }, {}],
    ['guard: unknown option "onerror"; known options are onError, errorBody', failing(), { onerror() {} }],
    ['guard: "onError" must be a function; received a boolean', failing(), { onError: true }],
    ['guard: "errorBody" must be a function; received an object', failing(), { errorBody: {} }],
  ])("%s", (message, verifier, options) => {
    expect(() => createGuard(verifier as Verifier, options as never)).toThrow(new TypeError(message));
  });

  it.each([
    ["undefined", undefined],
    ["null", null],
    ["a string", "no"],
  ])("describe an errorBody that returns %s", async (kind, members) => {
    const errors: unknown[] = [];
    const options = { errorBody: () => members as never, onError: (error: unknown) => errors.push(error) };
    const outcome = await createGuard(service().verifier, options)()({
      headers: {},
      method: "GET",
      path: "/a?b",
    });
    expect(outcome.pass).toBe(false);
    expect(errors).toEqual([new TypeError(`guard: "errorBody" must return an object; received ${kind}`)]);
  });

  it("distinguish a failed store in the warning", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const verifier = { verify: () => Promise.reject(new Error("hunter2")), assertRequirement() {} };
    const guard = createGuard(verifier as Verifier)();
    for (let i = 0; i < 2; i++) await guard({ headers: {} });
    await createGuard(failing())()(bearer(format.generate("live")));
    const REST = '. Such requests are denied with 503. Pass "onError" to the guard to receive every error.';
    expect(warn.mock.calls.map(([message]) => message)).toEqual([
      `A request could not be verified${REST}`,
      `The key store failed (Error)${REST}`,
    ]);
  });

  it("are sent with a new request id if the headers cannot be read", async () => {
    const hostile = {
      get headers(): never {
        throw new Error("no headers");
      },
    };
    const guard = createGuard(service().verifier, { onError: () => {} })();
    const outcome = denialOf(await guard(hostile));
    expect(outcome.status).toBe(503);
    expect(outcome.json.requestId).toMatch(/^[0-9a-f-]{36}$/);
    expect(outcome.headers["content-type"]).toBe("application/json");
  });
});
