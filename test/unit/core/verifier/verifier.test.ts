import { describe, expect, it } from "vitest";
import { toHttpDenial } from "../../../../src/core/verifier/http-denial.js";
import {
  type AuthRequest,
  createVerifier,
  type Requirement,
  StoreError,
  type VerifierOptions,
} from "../../../../src/index.js";
import {
  allowed,
  bearer,
  errorOf,
  type FleetScope,
  format,
  type Service,
  scopes,
  service,
  sleep,
  storeOf,
  thrownBy,
} from "../fixtures.js";

const INVALID_TOKEN = 'Bearer realm="api", error="invalid_token"';

interface Case {
  readonly options?: Partial<VerifierOptions<FleetScope>>;
  readonly request: (service: Service) => Promise<AuthRequest> | AuthRequest;
  readonly required?: Requirement<FleetScope>;
  readonly status: number;
  readonly code: string;
  readonly challenge: string | undefined;
  readonly details?: object;
}

/** The secret of a new key. */
async function issue(
  { manager }: Service,
  more: Partial<Parameters<Service["manager"]["create"]>[0]> = {},
): Promise<{ id: string; secret: string }> {
  const input = { ownerId: "acme", scopes: ["vehicles:read"] as const, environment: "live", ...more };
  const { key, secret } = await manager.create(input);
  return { id: key.id, secret };
}

const malformed = (headers: AuthRequest["headers"], rawHeaders?: readonly string[]): Case => ({
  request: () => ({ headers, rawHeaders }),
  status: 401,
  code: "malformed_credential",
  challenge: 'Bearer realm="api", error="invalid_request"',
});

const missing = (headers: AuthRequest["headers"]): Case => ({
  request: () => ({ headers }),
  status: 401,
  code: "missing_credential",
  challenge: 'Bearer realm="api"',
});

const invalid = (request: Case["request"], options: Case["options"] = {}): Case => ({
  options,
  request,
  status: 401,
  code: "invalid_key",
  challenge: INVALID_TOKEN,
});

const fromOtherNetwork = (request: Case["request"]): Case => ({
  request,
  status: 403,
  code: "ip_not_allowed",
  challenge: undefined,
});

const lacking = (
  required: Requirement<FleetScope>,
  scope: string,
  lists: [string[], string[], string[]],
): Case => ({
  request: async (service) => bearer((await issue(service)).secret),
  required,
  status: 403,
  code: "insufficient_scope",
  challenge: `Bearer realm="api", error="insufficient_scope", scope="${scope}"`,
  details: { requiredScopes: lists[0], grantedScopes: lists[1], missingScopes: lists[2] },
});

const WIRE: Record<string, Case> = {
  "no header": missing({}),
  "another scheme": missing({ authorization: "Basic YTpi" }),
  "a header of another kind": missing({ "x-api-key": "abc", cookie: "token=abc" }),
  "two Authorization lines": malformed({ authorization: "Bearer a" }, [
    "Authorization",
    "Bearer a",
    "authorization",
    "Bearer b",
  ]),
  "two joined credentials": malformed(
    new Headers([
      ["Authorization", "Bearer a"],
      ["Authorization", "Bearer b"],
    ]),
  ),
  "no token": malformed({ authorization: "Bearer" }),
  "bad grammar": malformed({ authorization: "Bearer a b" }),
  junk: invalid(() => bearer("junk")),
  "a wrong checksum": invalid(async (service) => {
    const { secret } = await issue(service);
    return bearer(secret.slice(0, -1) + (secret.endsWith("0") ? "1" : "0"));
  }),
  "an unknown key": invalid(() => bearer(format.generate("live"))),
  "a key under another pepper": invalid(
    async (own) => {
      const { secret } = await issue(own);
      return bearer(secret);
    },
    { pepper: "a pepper that the manager lacks", store: storeOf(() => undefined) },
  ),
  "an expired key": invalid(async (service) => {
    const expiresAt = new Date(service.clock.now().getTime() + 1);
    const { secret } = await issue(service, { expiresAt });
    service.clock.set(expiresAt);
    return bearer(secret);
  }),
  "a disabled key": invalid(async (service) => {
    const { id, secret } = await issue(service);
    await service.manager.disable(id);
    return bearer(secret);
  }),
  "a revoked key": invalid(async (service) => {
    const { id, secret } = await issue(service);
    await service.manager.revoke(id);
    return bearer(secret);
  }),
  "a key rotated without overlap": invalid(async (service) => {
    const { id, secret } = await issue(service);
    await service.manager.rotate(id);
    return bearer(secret);
  }),
  "a revoked key, from another network, without the scope": {
    ...invalid(async (service) => {
      const { id, secret } = await issue(service, { ipAllowlist: [] });
      await service.manager.revoke(id);
      return bearer(secret);
    }),
    required: "fleet:admin",
  },
  "a key of another environment": {
    options: { environment: "live" },
    request: () => bearer(format.generate("test")),
    status: 401,
    code: "wrong_environment",
    challenge: INVALID_TOKEN,
  },
  "an address outside the allowlist": fromOtherNetwork(async (service) =>
    bearer((await issue(service, { ipAllowlist: ["10.0.0.0/8"] })).secret, { remoteAddress: "203.0.113.7" }),
  ),
  "an empty allowlist": fromOtherNetwork(async (service) =>
    bearer((await issue(service, { ipAllowlist: [] })).secret, { remoteAddress: "203.0.113.7" }),
  ),
  "an unknown address and an allowlist": fromOtherNetwork(async (service) =>
    bearer((await issue(service, { ipAllowlist: ["0.0.0.0/0", "::/0"] })).secret),
  ),
  "a forwarded address from an untrusted proxy": fromOtherNetwork(async (service) => {
    const { secret } = await issue(service, { ipAllowlist: ["10.0.0.0/8"] });
    return {
      headers: {
        authorization: `Bearer ${secret}`,
        "x-forwarded-for": "10.0.0.1",
        forwarded: "for=10.0.0.1",
      },
      remoteAddress: "203.0.113.7",
    };
  }),
  "a missing scope": lacking("vehicles:write", "vehicles:write", [
    ["vehicles:write"],
    ["vehicles:read"],
    ["vehicles:write"],
  ]),
  "one of two required scopes": lacking(["vehicles:read", "drivers:read"], "vehicles:read drivers:read", [
    ["vehicles:read", "drivers:read"],
    ["vehicles:read"],
    ["drivers:read"],
  ]),
  "neither of two alternative scopes": lacking(
    { anyOf: ["vehicles:write", "drivers:read"] },
    "vehicles:write drivers:read",
    [["vehicles:write", "drivers:read"], ["vehicles:read"], ["vehicles:write", "drivers:read"]],
  ),
  "a planned scope required": lacking("reports:read", "reports:read", [
    ["reports:read"],
    ["vehicles:read"],
    ["reports:read"],
  ]),
};

describe("denials on the wire", () => {
  it.each(Object.entries(WIRE))(
    "denies a request with %s",
    async (_, { options, request, required, ...expected }) => {
      const own = service(options);
      const error = errorOf(await own.verifier.verify(await request(own), required));
      expect([error.status, error.code, error.headers["WWW-Authenticate"]]).toEqual([
        expected.status,
        expected.code,
        expected.challenge,
      ]);
      expect(error.details).toEqual(expected.details ?? {});
      const { body, headers } = toHttpDenial(error, "id-1", undefined);
      expect(JSON.parse(body)).toEqual({
        message: error.message,
        code: expected.code,
        requestId: "id-1",
        ...expected.details,
      });
      expect(headers["cache-control"]).toBe("no-store");
    },
  );

  it("says in the message how to send a credential", async () => {
    expect(errorOf(await service().verifier.verify({ headers: {} })).message).toBe(
      "Authentication required. Provide a valid API key via Authorization: Bearer <token>",
    );
  });

  it("sends the same bytes for unknown, mistyped, expired, revoked, disabled and rotated keys", async () => {
    const names = [
      "junk",
      "a wrong checksum",
      "an unknown key",
      "an expired key",
      "a disabled key",
      "a revoked key",
      "a key rotated without overlap",
    ];
    const responses = await Promise.all(
      names.map(async (name) => {
        const own = service();
        const error = errorOf(await own.verifier.verify(await (WIRE[name] as Case).request(own)));
        return JSON.stringify(toHttpDenial(error, "id-1", undefined));
      }),
    );
    expect(new Set(responses).size).toBe(1);
  });

  it("echoes nothing that the client sent", async () => {
    const { verifier } = service({ environment: "live" });
    for (const secret of ["MARK", `ezt_live_MARK${"0".repeat(34)}`, `MARK${format.generate("test")}`]) {
      const request = bearer(secret, { path: "/MARK", method: "MARK", remoteAddress: "MARK" });
      const { body, headers } = toHttpDenial(errorOf(await verifier.verify(request)), "id", "MARK");
      expect(body + JSON.stringify(headers)).not.toContain("MARK");
    }
  });

  it("sends the realm, and rejects one that would break the header", async () => {
    const { verifier } = service({ realm: "fleet api" });
    expect(errorOf(await verifier.verify({ headers: {} })).headers).toEqual({
      "WWW-Authenticate": 'Bearer realm="fleet api"',
    });
    for (const realm of ['a"b', "a\\b", "a\r\nb", "", "é", 7]) {
      expect(() => service({ realm: realm as string })).toThrow(/"realm"/);
    }
  });

  it("says the state of a key with exposeKeyState", async () => {
    const denialOf = async (name: string) => {
      const own = service({ exposeKeyState: true });
      const { status, code, details, message } = errorOf(
        await own.verifier.verify(await (WIRE[name] as Case).request(own)),
      );
      expect([status, code]).toEqual([401, "invalid_key"]);
      return [message, details];
    };
    expect(await denialOf("a revoked key")).toEqual(["The API key has been revoked.", { reason: "revoked" }]);
    expect(await denialOf("a disabled key")).toEqual(["The API key is disabled.", { reason: "disabled" }]);
    expect(await denialOf("an expired key")).toEqual(["The API key has expired.", { reason: "expired" }]);
    expect(await denialOf("a key rotated without overlap")).toEqual([
      "The API key has expired.",
      { reason: "expired" },
    ]);
    expect(await denialOf("an unknown key")).toEqual(["The API key is not valid.", {}]);
    expect(await denialOf("junk")).toEqual(["The API key is not valid.", {}]);
  });

  it("names another header or scheme in challenge and message", async () => {
    const header = service({ credential: { header: "X-API-Key" } });
    const { secret } = await issue(header);
    expect(allowed(await header.verifier.verify({ headers: { "x-api-key": secret } })).ownerId).toBe("acme");
    const error = errorOf(await header.verifier.verify(bearer(secret)));
    expect([error.code, error.headers["WWW-Authenticate"]]).toEqual([
      "missing_credential",
      'ApiKey realm="api"',
    ]);
    expect(error.message).toContain("via X-API-Key: <token>");
    const scheme = service({ credential: { scheme: "ApiKey" } });
    const other = await issue(scheme);
    const headers = { authorization: `apikey ${other.secret}` };
    expect(allowed(await scheme.verifier.verify({ headers })).ownerId).toBe("acme");
    expect(errorOf(await scheme.verifier.verify(bearer(other.secret))).code).toBe("missing_credential");
  });
});

describe("allowed requests", () => {
  it.each<[string, Requirement<FleetScope> | undefined]>([
    ["no requirement", undefined],
    ["a scope", "vehicles:write"],
    ["an implied scope", "vehicles:read"],
    ["an array of scopes", ["vehicles:read", "vehicles:write"]],
    ["one of two scopes", { anyOf: ["drivers:read", "vehicles:read"] }],
  ])("meet %s", async (_, required) => {
    const own = service();
    const { secret, id } = await issue(own, { scopes: ["vehicles:write"] });
    expect(allowed(await own.verifier.verify(bearer(secret), required)).id).toBe(id);
  });

  it("come from the allowlist: by socket, as IPv4-mapped IPv6, or through a trusted proxy", async () => {
    const own = service({ trustedProxies: ["192.168.0.0/16"] });
    const { secret } = await issue(own, { ipAllowlist: ["10.0.0.0/8"] });
    const pass = async (remoteAddress: string, forwarded?: string) => {
      const headers = {
        authorization: `Bearer ${secret}`,
        ...(forwarded && { "x-forwarded-for": forwarded }),
      };
      return (await own.verifier.verify({ headers, headersTruncated: false, remoteAddress })).ok;
    };
    expect(await pass("10.0.0.1")).toBe(true);
    expect(await pass("::ffff:10.0.0.1")).toBe(true);
    expect(await pass("192.168.0.1", "10.0.0.1")).toBe(true);
    expect(await pass("192.168.0.1", "10.0.0.1, 203.0.113.7")).toBe(false);
    expect(await pass("192.168.0.1", "203.0.113.7, 10.0.0.1")).toBe(true);
    expect(await pass("203.0.113.7", "10.0.0.1")).toBe(false);
    expect(await pass("192.168.0.1", "10.0.0.1, junk")).toBe(false);
  });

  it("need no address if the key has no allowlist", async () => {
    const own = service();
    const { secret } = await issue(own);
    expect((await own.verifier.verify(bearer(secret))).ok).toBe(true);
  });

  it("have a key under the current or an older pepper", async () => {
    const keys = { v1: "first pepper, long enough", v2: "second pepper, long enough" };
    const old = service({ pepper: keys.v1 });
    const { secret } = await issue(old);
    const both = { store: old.store, scopes, format, clock: old.clock.now };
    const next = createVerifier({ ...both, pepper: { current: "v2", keys }, rehash: false });
    expect((await next.verify(bearer(secret))).ok).toBe(true);
    const alone = createVerifier({ ...both, pepper: { current: "v2", keys: { v2: keys.v2 } } });
    expect((await alone.verify(bearer(secret))).ok).toBe(false);
    expect((await createVerifier(both).verify(bearer(secret))).ok).toBe(false);
  });
});

describe("the checks before a lookup", () => {
  it("deny junk, malformed credentials and other environments without a store call", async () => {
    let calls = 0;
    const store = storeOf(() => {
      calls++;
      return undefined;
    });
    const { verifier } = service({ store, environment: "live" });
    const secret = format.generate("live");
    const requests = [
      {},
      { authorization: "Bearer" },
      { authorization: `Basic ${secret}` },
      { authorization: `Bearer ${secret}, Bearer ${secret}` },
      { authorization: `Bearer ${secret}x` },
      { authorization: `Bearer x${secret}` },
      { authorization: `Bearer ${secret.slice(0, -1)}` },
      { authorization: `Bearer ${secret.toLowerCase()}` },
      { authorization: `Bearer ezu${secret.slice(3)}` },
      { authorization: `Bearer ${format.generate("test")}` },
      { authorization: `Bearer ${"a".repeat(10_000)}` },
    ];
    for (const headers of requests) errorOf(await verifier.verify({ headers }));
    expect(calls).toBe(0);
    errorOf(await verifier.verify(bearer(secret)));
    expect(calls).toBe(1);
  });

  it.each([
    ["an empty array", []],
    ["an empty anyOf", { anyOf: [] }],
    ["an undefined scope", "nope"],
    ["null", null],
    ["an undefined scope in an array", ["vehicles:read", "nope"]],
  ])("reject a requirement of %s, with a valid key and without", async (_, required) => {
    const own = service();
    const { secret } = await issue(own, { scopes: ["fleet:admin"] });
    for (const request of [bearer(secret), { headers: {} }]) {
      const error = await thrownBy(() => own.verifier.verify(request, required as never));
      expect(error).toBeInstanceOf(TypeError);
    }
    expect(() => own.verifier.assertRequirement(required as never)).toThrow(TypeError);
  });
});

describe("a store", () => {
  it.each<[string, () => unknown]>([
    ["rejects", () => Promise.reject(new Error("password hunter2"))],
    [
      "throws",
      () => {
        throw new Error("password hunter2");
      },
    ],
    ["rejects with undefined", () => Promise.reject(undefined)],
    ["hangs", () => new Promise(() => {})],
    ["returns a string", () => "hunter2"],
    ["resolves with true", async () => true],
    ["returns an empty object", () => ({})],
    ["resolves with an array", async () => []],
  ])("that %s causes a StoreError", async (_, answer) => {
    const { verifier } = service({ store: storeOf(answer as never), storeTimeout: "30ms" });
    const startedAt = performance.now();
    const error = await thrownBy(() => verifier.verify(bearer(format.generate("live"))));
    expect(performance.now() - startedAt).toBeLessThan(30 + 15_000);
    expect(error).toBeInstanceOf(StoreError);
    expect((error as StoreError).message).not.toContain("hunter2");
  });

  it("that is slow, but within the time limit, works", async () => {
    const own = service();
    const { secret } = await issue(own);
    const store = storeOf(async (hash) => {
      await sleep(20);
      return own.store.findByHash(hash);
    });
    const verifier = createVerifier({ store, scopes, format, storeTimeout: "60000ms" });
    expect((await verifier.verify(bearer(secret))).ok).toBe(true);
  });
});
