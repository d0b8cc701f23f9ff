import { afterEach, describe, expect, test, vi } from "vitest";
import { createGuard, type GuardOutcome } from "../../../../src/core/verifier/guard.js";
import {
  createVerifier,
  type GuardArguments,
  type GuardErrorContext,
  StoreError,
  type Verifier,
} from "../../../../src/index.js";
import { bearer, type FleetScope, format, polluted, scopes, service, sleep, storeOf } from "../fixtures.js";

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

function refusal(outcome: GuardOutcome<FleetScope>) {
  if (outcome.pass) throw new Error("the request passed");
  return {
    ...outcome.denial,
    json: outcome.denial.body === "" ? undefined : JSON.parse(outcome.denial.body),
  };
}

const failing = () =>
  createVerifier({ store: storeOf(() => Promise.reject(new Error("hunter2"))), scopes, format });

describe("a verifier of the host's", () => {
  test.each<[string, unknown, RegExp]>([
    ["no more than that it passes", { ok: true }, /^guard: .* without a principal, got undefined$/],
    ["nobody who passes", { ok: true, principal: null, headers: {} }, /without a principal, got null$/],
    ["a name who passes", { ok: true, principal: "acme", headers: {} }, /got a value of type string$/],
    ["nothing", undefined, /undefined/],
    ["a text", "ok", /undefined/],
  ])("that answers %s opens no route", async (_, answer, fault) => {
    const onError = vi.fn();
    const verifier = {
      verify: async () => answer,
      assertRequirement() {},
    } as unknown as Verifier<FleetScope>;
    const guard = createGuard(verifier, { onError });
    for (const route of [guard(), guard({ optional: true }), guard("vehicles:read")]) {
      expect(refusal(await route(bearer("x"))).status).toBe(503);
    }
    const message = expect.stringMatching(fault);
    expect(onError.mock.calls.map(([error]) => error)).toMatchObject([{ message }, { message }, { message }]);
  });
});

describe("arguments of a route", () => {
  test("none: any valid key", async () => {
    const { guard, secret, key } = await guarded();
    const outcome = await guard()(bearer(secret));
    expect(outcome).toMatchObject({ pass: true, headers: {} });
    expect(outcome.pass && outcome.principal?.id).toBe(key.id);
    expect((await guard({})(bearer(secret))).pass).toBe(true);
    expect((await guard()({ headers: {} })).pass).toBe(false);
  });

  test("a scope, a list, any of a list", async () => {
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

  test("optional: nobody passes as nobody, a bad credential is refused, a scope still counts", async () => {
    const { guard, secret } = await guarded();
    for (const check of [guard({ optional: true }), guard("vehicles:read", { optional: true })]) {
      expect(await check({ headers: {} })).toEqual({ pass: true, principal: undefined, headers: {} });
      expect(await check({ headers: { authorization: "Basic abc" } })).toMatchObject({ pass: true });
      expect(refusal(await check({ headers: { authorization: "Bearer" } })).json.code).toBe(
        "malformed_credential",
      );
      expect(refusal(await check(bearer("junk"))).json.code).toBe("invalid_key");
      const outcome = await check(bearer(secret));
      expect(outcome.pass && outcome.principal?.ownerId).toBe("acme");
    }
    const write = guard("vehicles:write", { optional: true });
    expect(refusal(await write(bearer(secret))).status).toBe(403);
  });

  test.each<[string, unknown[]]>([
    ["undefined", [undefined]],
    ["null", [null]],
    ["undefined with options", [undefined, { optional: true }]],
    ["an empty list", [[]]],
    ["an empty anyOf", [{ anyOf: [] }]],
    ["an undefined scope", ["vehicles:delete"]],
    ["an undefined scope in a list", [["vehicles:read", "nope"]]],
    ["an empty text", [""]],
    ["a number", [7]],
    ["a second scope", ["vehicles:read", "vehicles:write"]],
    ["a misspelt anyOf", [{ anyof: ["vehicles:read"] }]],
    ["a misspelt option", ["vehicles:read", { optinal: true }]],
    ["an option that is no boolean", ["vehicles:read", { optional: "yes" }]],
    ["an option of null", [{ optional: null }]],
    ["options first", [{ optional: true }, "vehicles:read"]],
    ["options twice", [{ optional: true }, { optional: true }]],
    ["anyOf and options in one", [{ anyOf: ["vehicles:read"], optional: true }]],
    ["anyOf and a misspelt member", [{ anyOf: ["vehicles:read"], allOf: ["vehicles:write"] }]],
    ["a function", [() => {}]],
  ])("%s is a TypeError when the route is made", async (_, args) => {
    const { guard } = await guarded();
    expect(() => guard(...(args as never))).toThrow(TypeError);
  });

  test("an option that somebody put on every object's prototype is none", async () => {
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
        expect(refusal(await check({ headers: {} })).json.code).toBe("missing_credential");
        expect((await check(bearer(secret))).pass).toBe(true);
      }
    });
  });

  test("later changes to the caller's list do nothing", async () => {
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
  test.each<[string, unknown, unknown, RegExp]>([
    ["no verifier", undefined, undefined, /"verifier" must have a method verify/],
    ["a verifier of the wrong kind", { verify() {} }, undefined, /assertRequirement/],
    ["an unknown option", failing(), { onerror: () => {} }, /"onerror"/],
    ["onError that is no function", failing(), { onError: true }, /"onError"/],
    ["options of null", failing(), null, /options object/],
  ])("%s is a TypeError", (_, verifier, options, message) => {
    const make = () => createGuard(verifier as Verifier, options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });
});

describe("refusals", () => {
  test("carry the framework's request id, in the header and in the body", async () => {
    const { guard } = await guarded();
    const { headers, json } = refusal(await guard()({ headers: {}, requestId: "id-1" }));
    expect([headers["x-request-id"], json.requestId]).toEqual(["id-1", "id-1"]);
    const evil = refusal(await guard()({ headers: { "x-request-id": "a\r\nb" } }));
    expect(evil.headers["x-request-id"]).toBe(evil.json.requestId);
    expect(evil.json.requestId).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("a problem document for those who ask; HEAD has the headers of GET", async () => {
    const { guard } = await guarded();
    const accept = "application/problem+json";
    expect(refusal(await guard()({ headers: { accept } })).json).toMatchObject({
      type: "about:blank",
      status: 401,
    });
    const [get, head] = await Promise.all(
      ["GET", "HEAD"].map(async (method) =>
        refusal(await guard()({ headers: { accept }, method, requestId: "id-1" })),
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

  test("503 with Retry-After, told to onError with the request", async () => {
    const seen: [unknown, GuardErrorContext][] = [];
    const guard = createGuard(failing(), { onError: (error, context) => seen.push([error, context]) });
    const { status, headers, json, body } = refusal(await guard("vehicles:read")(request));
    expect(status).toBe(503);
    expect(headers).toMatchObject({ "retry-after": "1", "cache-control": "no-store" });
    expect(headers).not.toHaveProperty("www-authenticate");
    expect(json).toEqual({ message: expect.any(String), code: "unavailable", requestId: "id-1" });
    expect(body).not.toContain("hunter2");
    expect(seen).toEqual([[expect.any(StoreError), { requestId: "id-1", method: "GET", path: "/a" }]]);
  });

  test("an optional route does not let anybody pass when the store is down", async () => {
    const guard = createGuard(failing(), { onError: () => {} });
    expect(refusal(await guard({ optional: true })(request)).status).toBe(503);
  });

  test.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("x");
      },
    ],
    ["rejects", () => Promise.reject(new Error("x"))],
    ["hangs", () => new Promise(() => {})],
  ])("an onError that %s changes nothing", async (_, onError) => {
    const unhandled = vi.fn();
    process.on("unhandledRejection", unhandled);
    const guard = createGuard(failing(), { onError });
    expect(refusal(await guard()(request)).status).toBe(503);
    await sleep(5);
    process.off("unhandledRejection", unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });

  test("without onError the first one is a warning of the process, without the driver's text", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const guard = createGuard(failing());
    for (let i = 0; i < 3; i++) await guard()(request);
    await guard("vehicles:read")(request);
    expect(warn).toHaveBeenCalledOnce();
    expect(warn.mock.calls[0]?.[1]).toMatchObject({ code: "KEYBEARER_UNAVAILABLE" });
    expect(String(warn.mock.calls[0]?.[0])).toContain("The key store failed (Error)");
    expect(String(warn.mock.calls[0]?.[0])).not.toContain("hunter2");
  });

  test("whatever a verifier throws, nobody passes", async () => {
    for (const thrown of [new TypeError("x"), undefined, null, "text"]) {
      const verifier: Verifier<FleetScope> = {
        verify: () => Promise.reject(thrown),
        assertRequirement: () => {},
      };
      const seen: unknown[] = [];
      const guard = createGuard(verifier, { onError: (error) => seen.push(error) });
      expect(refusal(await guard()(request)).status).toBe(503);
      expect(seen).toEqual([thrown]);
    }
  });

  test("never rejects, for a request without headers either", async () => {
    const { guard } = await guarded();
    const outcome = guard()({ method: "GET" } as never);
    await expect(outcome).resolves.toMatchObject({ pass: false });
  });

  test("takes a request of a class, such as the Fetch standard's", async () => {
    const { guard, secret } = await guarded();
    const request = new Request("http://localhost/", { headers: { authorization: `Bearer ${secret}` } });
    expect(await guard("vehicles:read")(request)).toMatchObject({ pass: true });
  });
});

describe("errorBody", () => {
  const plain = (message: string) => ({ message });

  test("replaces the body, and nothing else", async () => {
    const { manager, verifier } = service();
    const { secret } = await manager.create({ ownerId: "acme", scopes: [], environment: "live" });
    const usual = createGuard(verifier)("vehicles:read");
    const own = createGuard(verifier, {
      errorBody: ({ message, code }, requestId) => ({ error: { message, code }, requestId }),
    })("vehicles:read");
    for (const request of [bearer(secret, { requestId: "r-1" }), { headers: {}, requestId: "r-1" }]) {
      const [before, after] = [refusal(await usual(request)), refusal(await own(request))];
      const { message, code, requestId } = before.json;
      expect(after.json).toEqual({ error: { message, code }, requestId });
      expect(after.status).toBe(before.status);
      const length = String(Buffer.byteLength(after.body));
      expect(after.headers).toEqual({ ...before.headers, "content-length": length });
    }
  });

  test("is sent as JSON to clients that like problem documents", async () => {
    const { verifier } = service();
    const guard = createGuard(verifier, { errorBody: ({ message }) => plain(message) });
    const outcome = refusal(await guard()({ headers: { accept: "application/problem+json" } }));
    expect(outcome.headers["content-type"]).toBe("application/json");
    expect(outcome.json).toEqual(plain(outcome.json.message));
  });

  test("writes the 503 too", async () => {
    const errors: unknown[] = [];
    const options = { errorBody: () => ({ down: true }), onError: (error: unknown) => errors.push(error) };
    const outcome = refusal(
      await createGuard(failing(), options)("vehicles:read")(bearer(format.generate("live"))),
    );
    expect([outcome.status, outcome.json]).toEqual([503, { down: true }]);
    expect(errors).toEqual([expect.any(StoreError)]);
  });

  test.each<[string, () => unknown]>([
    [
      "throws at once",
      () => {
        throw new Error("x");
      },
    ],
    ["answers undefined", () => undefined],
    ["answers a text", () => "no"],
    ["answers a promise", async () => plain("late")],
    ["answers a promise that rejects", () => Promise.reject(new Error("late"))],
    ["answers what JSON cannot hold", () => ({ big: 1n })],
    [
      "answers a circle",
      () => {
        const circle: Record<string, unknown> = {};
        circle.circle = circle;
        return circle;
      },
    ],
  ])("that %s leaves the usual body, and is told", async (_, errorBody) => {
    const errors: unknown[] = [];
    const { verifier } = service();
    const options = { errorBody: errorBody as () => object, onError: (error: unknown) => errors.push(error) };
    const outcome = refusal(await createGuard(verifier, options)()({ headers: {} }));
    expect([outcome.status, outcome.json.code]).toEqual([401, "missing_credential"]);
    expect(errors).toHaveLength(1);
  });

  test("that answers a promise is told so", async () => {
    const onError = vi.fn();
    const guard = createGuard(service().verifier, { errorBody: async () => ({}), onError });
    expect(refusal(await guard()({ headers: {} })).json.code).toBe("missing_credential");
    expect(onError.mock.calls[0]?.[0]).toEqual(
      new TypeError('guard: "errorBody" must answer at once, not a promise'),
    );
  });

  test("must be a function", () => {
    expect(() => createGuard(service().verifier, { errorBody: {} as never })).toThrow(/"errorBody"/);
  });
});

describe("mistakes, in words", () => {
  test.each<[string, unknown[]]>([
    ["guard: the requirement is undefined; to let any valid key pass, leave it out: auth()", [undefined]],
    ["guard: the requirement is null; to let any valid key pass, leave it out: auth()", [null]],
    ["guard: the requirement is null; to let any valid key pass, leave it out: auth()", [null, {}]],
    ['guard: "optional" must be true or false', ["vehicles:read", { optional: "yes" }]],
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

  test.each<[string, unknown, unknown]>([
    ['guard: "verifier" must have a method verify()', undefined, {}],
    ['guard: "verifier" must have a method assertRequirement()', { verify() {} }, {}],
    ['guard: unknown option "onerror"; known options are onError, errorBody', failing(), { onerror() {} }],
    ['guard: "onError" must be a function, got a value of type boolean', failing(), { onError: true }],
    ['guard: "errorBody" must be a function, got a value of type object', failing(), { errorBody: {} }],
  ])("%s", (message, verifier, options) => {
    expect(() => createGuard(verifier as Verifier, options as never)).toThrow(new TypeError(message));
  });

  test.each([
    ["undefined", undefined],
    ["null", null],
    ["a value of type string", "no"],
  ])("an errorBody that answers %s", async (kind, members) => {
    const errors: unknown[] = [];
    const options = { errorBody: () => members as never, onError: (error: unknown) => errors.push(error) };
    const outcome = await createGuard(service().verifier, options)()({
      headers: {},
      method: "GET",
      path: "/a?b",
    });
    expect(outcome.pass).toBe(false);
    expect(errors).toEqual([new TypeError(`guard: "errorBody" must answer an object, got ${kind}`)]);
  });

  test("what is wrong is said once, and told apart from a store that failed", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const verifier = { verify: () => Promise.reject(new Error("hunter2")), assertRequirement() {} };
    const guard = createGuard(verifier as Verifier)();
    for (let i = 0; i < 2; i++) await guard({ headers: {} });
    await createGuard(failing())()(bearer(format.generate("live")));
    const AND = '; answering 503. Pass "onError" to a guard to see every error.';
    expect(warn.mock.calls.map(([message]) => message)).toEqual([
      `Requests cannot be verified${AND}`,
      `The key store failed (Error)${AND}`,
    ]);
  });

  test("a request whose headers cannot be read is refused with an id of its own", async () => {
    const hostile = {
      get headers(): never {
        throw new Error("no headers");
      },
    };
    const guard = createGuard(service().verifier, { onError: () => {} })();
    const outcome = refusal(await guard(hostile));
    expect(outcome.status).toBe(503);
    expect(outcome.json.requestId).toMatch(/^[0-9a-f-]{36}$/);
    expect(outcome.headers["content-type"]).toBe("application/json");
  });
});
