import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createGuard } from "../../../../src/core/verifier/guard.js";
import {
  type AuthRequest,
  anyVerifier,
  type CredentialOptions,
  createVerifier,
  type KeyEvent,
  type KeyFormat,
  keyFormat,
  type RequestFacts,
  type Verifier,
  type VerifierCredential,
} from "../../../../src/index.js";
import { failedAuthLimiter } from "../../../../src/rate-limit/index.js";
import { forgeries } from "../../../conformance/jwt/forgeries.js";
import { encode, jwtService, token } from "../../jwt/fixtures.js";
import {
  allowed,
  bearer,
  errorOf,
  type FleetScope,
  format,
  recordOf,
  scopes,
  service,
  storeOf,
  thrownBy,
} from "../fixtures.js";

/** A custom verifier that records its calls and rejects with its name. */
function spy(name: string, credential: VerifierCredential) {
  const requests: AuthRequest[] = [];
  const requirements: unknown[] = [];
  const verifier: Verifier = {
    async verify(request) {
      requests.push(request);
      throw new Error(name);
    },
    assertRequirement: (requirement) => void requirements.push(requirement),
    credentials: [credential],
  };
  return { requests, requirements, verifier };
}

/** Returns the name of the only verifier that is called for a request. */
async function selectedFor(request: AuthRequest, place: Omit<VerifierCredential, "type"> = {}) {
  const keys = spy("keys", { type: "api_key", ...place });
  const jwt = spy("jwt", { type: "jwt", ...place });
  const error = await thrownBy(() => anyVerifier(keys.verifier, jwt.verifier).verify(request));
  expect(keys.requests.length + jwt.requests.length).toBe(1);
  expect(keys.requests[0] ?? jwt.requests[0]).toMatchObject(request);
  return (error as Error).message;
}

describe("anyVerifier over API keys and JWTs in one header", () => {
  it.each([
    [token(), "jwt"],
    ["a.b.c", "jwt"],
    ["..", "jwt"],
    ["a..", "jwt"],
    ["ezt_live_abc", "keys"],
    ["abc", "keys"],
    ["a.b", "keys"],
    ["a.b.c.d", "keys"],
    ["a.b.c.d.e", "keys"],
    ["a.b.c=", "keys"],
    ["a+.b.c", "keys"],
    ["a/.b.c", "keys"],
    ["a~.b.c", "keys"],
  ])("selects for %s the verifier of %s", async (sent, expected) => {
    expect(await selectedFor(bearer(sent))).toBe(expected);
  });

  it.each<[string, AuthRequest]>([
    ["no credential", { headers: {} }],
    ["another scheme", { headers: { authorization: "Basic YTpi" } }],
    ["an empty header", { headers: { authorization: "" } }],
    ["no token", { headers: { authorization: "Bearer " } }],
    ["two values", { headers: { authorization: ["Bearer a.b.c", "Bearer a.b.c"] as never } }],
    [
      "two header lines",
      {
        headers: { authorization: "Bearer a.b.c" },
        rawHeaders: ["authorization", "Bearer a.b.c", "authorization", "Bearer k"],
      },
    ],
    ["two values joined by a comma", bearer("a.b.c, Bearer d.e.f")],
    ["a truncated header section", bearer("a.b.c", { headersTruncated: true })],
  ])("selects the first verifier for %s", async (_, request) => {
    expect(await selectedFor(request)).toBe("keys");
  });

  it("selects exactly one verifier by form, whatever is sent", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(..."ab.-_=+ ") })),
        async (sent) => {
          const hasThreeParts = /^[\w-]*\.[\w-]*\.[\w-]*$/.test(sent.trim()) && /^\S+$/.test(sent.trim());
          expect(await selectedFor(bearer(sent))).toBe(hasThreeParts ? "jwt" : "keys");
        },
      ),
      { numRuns: 300 },
    );
  });

  it("reads the header of the verifiers", async () => {
    const place = { header: "x-api-key" };
    expect(await selectedFor({ headers: { "x-api-key": "a.b.c" } }, place)).toBe("jwt");
    expect(await selectedFor(bearer("a.b.c"), place)).toBe("keys");
  });

  it("checks a requirement with every verifier", () => {
    const [keys, jwt] = [spy("keys", { type: "api_key" }), spy("jwt", { type: "jwt" })];
    anyVerifier(keys.verifier, jwt.verifier).assertRequirement(["a"]);
    expect([keys.requirements, jwt.requirements]).toEqual([[["a"]], [["a"]]]);
    const any = anyVerifier(service().verifier, jwtService().verifier);
    expect(() => any.assertRequirement("x" as never)).toThrow(TypeError);
    expect(() => any.assertRequirement("vehicles:read")).not.toThrow();
    expect(() => createGuard(any)("x" as never)).toThrow(TypeError);
  });

  it("allows keys and tokens", async () => {
    const { manager, verifier } = service();
    const any = anyVerifier([verifier, jwtService().verifier]);
    const { secret, key } = await manager.create({
      ownerId: "acme",
      scopes: ["vehicles:read"],
      environment: "live",
    });
    expect(allowed(await any.verify(bearer(secret), "vehicles:read"))).toMatchObject({
      type: "api_key",
      id: key.id,
    });
    expect(allowed(await any.verify(bearer(token()), "vehicles:read"))).toMatchObject({
      type: "jwt",
      id: "user-1",
    });
    expect(errorOf(await any.verify({ headers: {} })).message).toBe(
      "Authentication required. Provide a valid API key via Authorization: Bearer <token>",
    );
  });

  it("sends the challenge of the first verifier", async () => {
    const any = anyVerifier(jwtService().verifier, service().verifier);
    expect(errorOf(await any.verify({ headers: {} })).message).toContain("valid access token");
    expect(errorOf(await any.verify(bearer("a.b.c"))).message).toBe("The access token is not valid.");
    expect(errorOf(await any.verify(bearer("abc"))).message).toBe("The API key is not valid.");
  });

  it("denies forged tokens with 401", async () => {
    const any = anyVerifier(service().verifier, jwtService().verifier);
    for (const forgery of forgeries) {
      expect(errorOf(await any.verify(bearer(forgery.token))).status, forgery.name).toBe(401);
    }
    expect(errorOf(await any.verify(bearer(encode("ezt_live_")))).status).toBe(401);
  });
});

describe("anyVerifier over different headers", () => {
  const secret = format.generate("live");
  const other = format.generate("live");

  function setUp() {
    const events: [string, KeyEvent][] = [];
    const over = (ownerId: string, credential: { header?: string; scheme?: string }) =>
      createVerifier({
        store: storeOf((hash) => recordOf(hash, { ownerId })),
        scopes,
        format,
        credential,
        observers: [(event) => events.push([ownerId, event])],
      });
    const inAuthorization = over("authorization", {});
    const inHeader = over("header", { header: "X-API-Key" });
    const withScheme = over("scheme", { scheme: "ApiKey" });
    const any = anyVerifier(inAuthorization, inHeader, withScheme);
    return { events, any, inAuthorization, inHeader, withScheme };
  }

  const authorization = (value: string) => ({ authorization: value });
  const CASES: [string, AuthRequest, owner: string, code: string | undefined][] = [
    ["Authorization: Bearer", bearer(secret), "authorization", undefined],
    ["X-API-Key", { headers: { "x-api-key": secret } }, "header", undefined],
    ["Authorization: ApiKey", { headers: authorization(`ApiKey ${secret}`) }, "scheme", undefined],
    ["no credential", { headers: {} }, "authorization", "missing_credential"],
    ["another scheme", { headers: authorization("Basic YTpi") }, "authorization", "missing_credential"],
    ["an invalid key in X-API-Key", { headers: { "x-api-key": "junk" } }, "header", "invalid_key"],
    ["an empty X-API-Key", { headers: { "x-api-key": "" } }, "header", "malformed_credential"],
    ["two words in X-API-Key", { headers: { "x-api-key": "a b" } }, "header", "malformed_credential"],
    ["no token", { headers: authorization("ApiKey") }, "scheme", "malformed_credential"],
    ...[
      { "x-api-key": secret, ...authorization(`Bearer ${other}`) },
      { "x-api-key": secret, ...authorization(`Bearer ${secret}`) },
      { "x-api-key": secret, ...authorization("Bearer junk") },
      { "x-api-key": "", ...authorization(`Bearer ${secret}`) },
      { "x-api-key": secret, ...authorization("") },
      { "x-api-key": secret, ...authorization(`ApiKey ${secret}`) },
      authorization(`Bearer ${secret}, ApiKey ${secret}`),
    ].flatMap((headers): (typeof CASES)[number][] => [
      [`${JSON.stringify(headers)}`, { headers }, "authorization", "malformed_credential"],
      [
        `${JSON.stringify(headers)} as Headers`,
        { headers: new Headers(headers) },
        "authorization",
        "malformed_credential",
      ],
    ]),
    [
      "two lines of one header",
      { headers: { "x-api-key": secret }, rawHeaders: ["X-API-Key", secret, "x-api-key", secret] },
      "header",
      "malformed_credential",
    ],
    [
      "a truncated header section",
      bearer(secret, { headersTruncated: true }),
      "authorization",
      "malformed_credential",
    ],
  ];

  it.each(CASES)("decides directly about %s", async (_, request, owner, code) => {
    const { any, events } = setUp();
    const result = await any.verify(request, "vehicles:read");
    expect(result.ok ? undefined : result.error.code).toBe(code);
    expect(result.ok ? result.principal.ownerId : owner).toBe(owner);
    expect(events).toMatchObject([[owner, { type: code === undefined ? "auth.allowed" : "auth.denied" }]]);
  });

  it.each(CASES)("decides synchronously in a guard about %s", (_, request, owner, code) => {
    const { any, events } = setUp();
    const outcome = createGuard(any)("vehicles:read")({ ...request, requestId: "id-1" });
    if (outcome instanceof Promise || "then" in outcome) throw new Error("the outcome is a promise");
    if (outcome.pass) expect([outcome.principal?.ownerId, code]).toEqual([owner, undefined]);
    else expect(JSON.parse(outcome.denial.body)).toMatchObject({ code, requestId: "id-1" });
    expect(events).toMatchObject([[owner, { requestId: "id-1" }]]);
  });

  it("reports the client address of a request with two credentials", async () => {
    const { any, events } = setUp();
    const headers = { "x-api-key": secret, ...authorization(`Bearer ${secret}`) };
    const request = { headers, rawHeaders: Object.entries(headers).flat(), remoteAddress: "203.0.113.7" };
    const outcome = await createGuard(any)()(request);
    const [event] = events.map(([, one]) => one as RequestFacts);
    expect(outcome.pass || JSON.parse(outcome.denial.body)).toMatchObject({
      requestId: event?.requestId,
    });
    expect(events).toMatchObject([["authorization", { clientIp: "203.0.113.7" }]]);
  });

  it("sends the challenge of the first verifier", async () => {
    const { inAuthorization, inHeader } = setUp();
    const challengeOf = async (verifier: Verifier<FleetScope>) =>
      errorOf(await verifier.verify({ headers: {} })).headers["WWW-Authenticate"];
    expect(await challengeOf(anyVerifier(inAuthorization, inHeader))).toBe('Bearer realm="api"');
    expect(await challengeOf(anyVerifier(inHeader, inAuthorization))).toBe('ApiKey realm="api"');
  });

  it("allows requests without a credential on an optional route, but none with two", async () => {
    const route = createGuard(setUp().any)({ optional: true });
    expect(await route({ headers: {} })).toEqual({ pass: true, principal: undefined, headers: {} });
    const headers = { "x-api-key": secret, ...authorization(`Bearer ${secret}`) };
    expect(await route({ headers })).toMatchObject({ pass: false, denial: { status: 401 } });
  });

  it("takes combined and wrapped verifiers", async () => {
    const { inAuthorization, inHeader, withScheme } = setUp();
    const any = anyVerifier(failedAuthLimiter(anyVerifier(inHeader, inAuthorization)), withScheme);
    expect(any.credentials).toEqual([
      { type: "api_key", header: "X-API-Key" },
      { type: "api_key" },
      { type: "api_key", scheme: "ApiKey" },
    ]);
    const remoteAddress = "203.0.113.7";
    for (const [request, owner] of CASES.filter(([, , , code]) => code === undefined).map(
      ([, one, ownerId]) => [{ ...one, remoteAddress }, ownerId] as const,
    )) {
      expect(allowed(await any.verify(request)).ownerId).toBe(owner);
    }
    const headers = { "x-api-key": secret, ...authorization(`ApiKey ${secret}`) };
    for (const verifier of [any, anyVerifier(withScheme, inHeader)]) {
      expect(errorOf(await verifier.verify({ headers, remoteAddress })).code).toBe("malformed_credential");
    }
  });

  it("throws if a custom verifier allows a request with two credentials", async () => {
    const { inAuthorization, inHeader } = setUp();
    const principal = allowed(await inHeader.verify({ headers: { "x-api-key": secret } }));
    const lax: Verifier<FleetScope> = {
      ...inHeader,
      verify: async () => ({ ok: true, principal, headers: {} }),
    };
    const any = anyVerifier(lax, inAuthorization);
    expect(allowed(await any.verify({ headers: { "x-api-key": secret } }))).toBe(principal);
    const headers = { "x-api-key": secret, ...authorization(`Bearer ${secret}`) };
    expect(await thrownBy(() => any.verify({ headers }))).toEqual(
      new TypeError("anyVerifier: a verifier allowed a request with two credentials"),
    );
    const route = createGuard(any, { onError: () => {} })();
    expect(await route({ headers })).toMatchObject({ denial: { status: 503 } });
  });
});

describe("anyVerifier", () => {
  const { verifier } = service();
  const jwt = jwtService().verifier;
  const custom = { verify: verifier.verify, assertRequirement: verifier.assertRequirement };

  it.each<[string, unknown[]]>([
    ["expected one or more verifiers; received none", []],
    ["expected one or more verifiers; received none", [[]]],
    ['"verifiers[0]" must have a method verify()', [undefined, jwt]],
    ['"verifiers[0]" must have a method assertRequirement()', [{ verify() {} }, jwt]],
    ['"verifiers[1]" must have a method verify()', [verifier, {}]],
    ['"verifiers[1]" must have a method verify()', [[verifier, "jwt"]]],
    ['"verifiers[1]" must have "credentials", such as [{ type: "jwt" }]', [verifier, custom]],
    ['"verifiers[1]" must have "credentials"', [verifier, { ...custom, credentials: [] }]],
    ['the type of a credential must be "api_key" or "jwt"', [{ ...custom, credentials: [{}] }]],
    ['"header" must be a token', [{ ...custom, credentials: [{ type: "jwt", header: "a b" }] }]],
    ['unknown option "place"', [{ ...custom, credentials: [{ type: "jwt", place: "query" }] }]],
    [
      'two verifiers accept credentials of type "api_key" in Authorization: Bearer <token>',
      [verifier, service().verifier],
    ],
    [
      'two verifiers accept credentials of type "jwt" in authorization: bearer <token>',
      [jwt, { ...custom, credentials: [{ type: "jwt", header: "authorization", scheme: "bearer" }] }],
    ],
  ])("throws a TypeError: %s", (message, args) => {
    const make = () => anyVerifier(...(args as Verifier<FleetScope>[]));
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });

  const DOTS = "ABCDEFGHIJKLMNOP.";
  const dotted = keyFormat({ prefix: "ezt", environments: ["live", "test"], alphabet: DOTS });
  const unlimited: KeyFormat = { parse: (secret) => (secret.length > 20 ? {} : undefined) };
  const accepting = (formats: readonly KeyFormat[], credential?: CredentialOptions) =>
    createVerifier({
      store: storeOf(() => undefined),
      scopes,
      format: formats,
      ...(credential && { credential }),
    });

  it.each<[string, readonly KeyFormat[]]>([
    ["an alphabet with a dot", [dotted]],
    ["a second format with a dot", [format, dotted]],
    ["a format of your own that accepts JWTs", [unlimited]],
  ])("rejects a format with dots next to JWTs in one header: %s", (_, formats) => {
    const keys = accepting(formats);
    const message = /^anyVerifier: the "format" of the API keys allows dots/;
    for (const one of [keys, failedAuthLimiter(keys), anyVerifier(keys), anyVerifier([anyVerifier(keys)])]) {
      expect(() => anyVerifier(one, jwt)).toThrow(message);
      expect(() => anyVerifier(jwt, one)).toThrow(message);
      expect(() => anyVerifier(anyVerifier(jwt), one)).toThrow(message);
    }
    const inHeader = accepting(formats, { header: "X-API-Key" });
    expect(() => anyVerifier(inHeader, jwt)).not.toThrow();
    expect(() => anyVerifier(keys, inHeader)).not.toThrow();
  });

  it("selects the verifier of API keys for every secret of a format that it accepts next to JWTs", async () => {
    const alphabets = ["base62", "hex", "abcdefghijkl-_", "ABCDEFGHIJ~+/", DOTS, ".~+/-_0123456789"];
    const rejected: string[] = [];
    for (const alphabet of alphabets) {
      const own = keyFormat({ alphabet, length: 60, checksum: false });
      try {
        anyVerifier(accepting([own]), jwt);
      } catch {
        rejected.push(alphabet);
        continue;
      }
      for (let i = 0; i < 200; i++) expect(await selectedFor(bearer(own.generate()))).toBe("keys");
    }
    expect(rejected).toEqual([DOTS, ".~+/-_0123456789"]);
  });

  it("accepts a single verifier", async () => {
    const request = { headers: {} };
    expect(errorOf(await anyVerifier(verifier).verify(request)).code).toBe("missing_credential");
    expect(errorOf(await anyVerifier([jwt]).verify(bearer("not a jwt"))).code).toBe("malformed_credential");
    expect(errorOf(await anyVerifier([jwt]).verify(bearer("key"))).message).toBe(
      "The access token is not valid.",
    );
  });
});
