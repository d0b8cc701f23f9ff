import { inspect } from "node:util";
import { describe, expect, test, vi } from "vitest";
import { StoreError } from "../../../src/index.js";
import type { JwtClaims } from "../../../src/jwt/index.js";
import { allowed, bearer, refused, thrownBy } from "../core/fixtures.js";
import {
  AUDIENCE,
  CLAIMS,
  claimsWith,
  ec,
  ed,
  encode,
  ISSUER,
  jwk,
  jwtService,
  NOW,
  otherEc,
  pem,
  reasons,
  rsa,
  SECRET,
  token,
} from "./fixtures.js";

describe("a right token", () => {
  const all = [
    ["ES256", ec],
    ["RS256", rsa],
    ["PS256", rsa],
    ["EdDSA", ed],
  ] as const;

  test.each(all)("of %s passes, the key in any form", async (alg, { publicKey, privateKey }) => {
    const { SignJWT, importJWK } = await import("jose");
    const sent = await new SignJWT({ ...CLAIMS }).setProtectedHeader({ alg }).sign(privateKey);
    const forms = [
      publicKey,
      jwk(publicKey),
      jwk(publicKey, { alg, use: "sig", key_ops: ["verify"] }),
      pem(publicKey),
      await importJWK(jwk(publicKey) as never, alg),
    ];
    for (const key of forms) {
      const { ask } = jwtService({ algorithms: [alg], key: key as never });
      expect(allowed(await ask(sent)).id).toBe("user-1");
    }
    const { ask } = jwtService({ algorithms: [alg], jwks: { keys: [jwk(publicKey)] } as never });
    expect(allowed(await ask(sent)).id).toBe("user-1");
  });

  test.each([
    ["HS256", 32],
    ["HS384", 48],
    ["HS512", 64],
  ])("of %s passes, the secret in any form", async (alg, bytes) => {
    const { createSecretKey } = await import("node:crypto");
    const secret = SECRET.repeat(2).slice(0, bytes);
    const sent = token(CLAIMS, { alg }, { alg, key: secret });
    const buffer = Buffer.from(secret);
    for (const key of [
      secret,
      new Uint8Array(buffer),
      createSecretKey(buffer),
      { kty: "oct", k: buffer.toString("base64url") },
    ]) {
      const { ask } = jwtService({ algorithms: [alg], key: key as never });
      expect(allowed(await ask(sent)).id).toBe("user-1");
      expect((await ask(token(CLAIMS, { alg }, { alg, key: `${secret}x` }))).ok).toBe(false);
    }
  });

  test("says who it is of", async () => {
    const { verifier } = jwtService();
    const principal = allowed(await verifier.verify(bearer(token(), { requestId: "id-1" }), "drivers:read"));
    expect(principal).toMatchObject({
      type: "jwt",
      id: "user-1",
      ownerId: "user-1",
      environment: undefined,
      scopes: ["vehicles:read", "drivers:read"],
      requestId: "id-1",
      claims: CLAIMS,
    });
    expect(principal.key).toBeUndefined();
    expect(principal.can("drivers:read")).toBe(true);
    expect(principal.can("vehicles:write")).toBe(false);
  });

  test("its principal is frozen, its claims too, and neither JSON nor an inspection shows them", async () => {
    const sent = token(claimsWith({ email: "a@example.com", realm: { roles: [{ name: "x" }] } }));
    const { ask } = jwtService();
    const principal = allowed(await ask(sent));
    const claims = principal.claims as { realm: { roles: [{ name: string }] } };
    for (const part of [
      principal,
      principal.scopes,
      claims,
      claims.realm,
      claims.realm.roles,
      claims.realm.roles[0],
    ]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
    expect(JSON.parse(JSON.stringify(principal))).toEqual({
      type: "jwt",
      id: "user-1",
      ownerId: "user-1",
      scopes: ["vehicles:read", "drivers:read"],
      requestId: principal.requestId,
    });
    expect(inspect(principal, { depth: 9, showHidden: true })).not.toContain("a@example.com");
    expect(JSON.stringify({ ...principal })).not.toContain("a@example.com");
  });

  test.each([["JWT"], ["jwt"], ["at+jwt"], ["AT+JWT"], ["application/at+jwt"], ["application/JWT"]])(
    "may be of type %s",
    async (typ) => {
      expect((await jwtService().ask(token(CLAIMS, { alg: "ES256", typ }))).ok).toBe(true);
    },
  );

  test("must be of the one type that is asked for", async () => {
    const { ask } = jwtService({ typ: "at+jwt" });
    expect((await ask(token(CLAIMS, { alg: "ES256", typ: "application/at+JWT" }))).ok).toBe(true);
    for (const header of [{ alg: "ES256" }, { alg: "ES256", typ: "JWT" }]) {
      expect((await ask(token(CLAIMS, header))).ok).toBe(false);
    }
  });

  test("of another issuer or audience of a list", async () => {
    const { ask } = jwtService({ issuer: ["x", ISSUER], audience: ["y", AUDIENCE] });
    expect((await ask(token())).ok).toBe(true);
    expect((await ask(token(claimsWith({ iss: "x", aud: ["z", "y"] })))).ok).toBe(true);
    expect((await ask(token(claimsWith({ iss: "y", aud: "x" })))).ok).toBe(false);
  });

  test.each<[string, object, readonly string[]]>([
    ["scope as text", { scope: "vehicles:read  drivers:read" }, ["vehicles:read", "drivers:read"]],
    ["scope as a list", { scope: ["vehicles:read"] }, ["vehicles:read"]],
    ["scp as a list", { scope: undefined, scp: ["drivers:read"] }, ["drivers:read"]],
    ["scp as text", { scope: undefined, scp: "drivers:read" }, ["drivers:read"]],
    ["scope before scp", { scope: "vehicles:read", scp: ["fleet:admin"] }, ["vehicles:read"]],
    ["an empty scope before scp", { scope: "", scp: ["fleet:admin"] }, []],
    ["none", { scope: undefined }, []],
    [
      "undefined and wild ones",
      { scope: "openid * vehicles:* vehicles:read reports:read" },
      ["vehicles:read", "reports:read"],
    ],
  ])("grants %s", async (_, more, expected) => {
    const principal = allowed(await jwtService().ask(token(claimsWith(more))));
    expect(principal.scopes).toEqual(expected);
    expect(principal.can("reports:read")).toBe(false);
    expect(principal.can("fleet:admin")).toBe(false);
  });

  test("without the scope of a route is 403", async () => {
    const { verifier } = jwtService();
    const error = refused(await verifier.verify(bearer(token()), ["vehicles:write", "drivers:read"]));
    expect(error).toMatchObject({
      status: 403,
      code: "insufficient_scope",
      details: { missingScopes: ["vehicles:write"], grantedScopes: ["vehicles:read", "drivers:read"] },
    });
    expect(error.headers["WWW-Authenticate"]).toBe(
      'Bearer realm="api", error="insufficient_scope", scope="vehicles:write drivers:read"',
    );
  });
});

describe("the principal function", () => {
  test("says who it is, once for a token", async () => {
    const principal = vi.fn(async (claims: JwtClaims) => ({
      ownerId: `company-${claims.company}`,
      scopes: ["fleet:admin"],
      environment: "live",
    }));
    const { ask } = jwtService({ principal });
    const sent = token(claimsWith({ company: 7 }));
    for (const _ of [1, 2, 3]) {
      const found = allowed(await ask(sent));
      expect(found).toMatchObject({
        id: "user-1",
        ownerId: "company-7",
        environment: "live",
        scopes: ["fleet:admin"],
      });
      expect(found.can("vehicles:write")).toBe(true);
    }
    expect(principal).toHaveBeenCalledTimes(1);
    expect(Object.isFrozen(principal.mock.calls[0]?.[0])).toBe(true);
  });

  test("is asked once by requests that come together", async () => {
    const principal = vi.fn(async () => ({ ownerId: "acme" }));
    const { ask } = jwtService({ principal });
    await Promise.all(
      Array.from({ length: 20 }, () => ask(token(CLAIMS, { alg: "ES256" }, { key: ec.privateKey }))),
    );
    const sent = token();
    principal.mockClear();
    await Promise.all(Array.from({ length: 20 }, () => ask(sent)));
    expect(principal).toHaveBeenCalledTimes(1);
  });

  test("is not asked of a token that does not work", async () => {
    const principal = vi.fn(() => ({}));
    const { ask } = jwtService({ principal });
    for (const claims of [claimsWith({ exp: NOW }), claimsWith({ nbf: NOW + 9 }), claimsWith({ aud: "x" })])
      await ask(token(claims));
    await ask(token(CLAIMS, { alg: "ES256" }, { key: otherEc.privateKey }));
    expect(principal).not.toHaveBeenCalled();
  });

  test.each([[undefined], [null]])("refuses with %s, and is asked again", async (nobody) => {
    let known = false;
    const service = jwtService({ principal: () => (known ? {} : (nobody as undefined)) });
    const sent = token();
    expect(refused(await service.ask(sent)).code).toBe("invalid_key");
    known = true;
    expect((await service.ask(sent)).ok).toBe(true);
    expect(reasons(service)).toEqual(["invalid_token", "auth.allowed"]);
  });

  test("stands in for sub", async () => {
    const { ask } = jwtService({ principal: ({ email }) => ({ id: `${email}`, ownerId: "acme" }) });
    expect(allowed(await ask(token(claimsWith({ sub: undefined, email: "a@b.c" })))).id).toBe("a@b.c");
    expect(
      refused(await jwtService({ principal: () => ({ id: "x" }) }).ask(token(claimsWith({ sub: undefined }))))
        .status,
    ).toBe(401);
  });

  test.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("secret text");
      },
    ],
    [
      "rejects",
      async () => {
        throw new Error("secret text");
      },
    ],
    ["answers text", () => "user"],
    ["answers an id that is none", () => ({ id: 7 })],
    ["answers an empty owner", () => ({ ownerId: "" })],
    ["answers scopes that are no list", () => ({ scopes: "fleet:admin" })],
    ["answers scopes that are no texts", () => ({ scopes: [1] })],
    ["hangs", () => new Promise(() => {})],
  ])("%s: 503", async (_, principal) => {
    const service = jwtService({ principal: principal as never, storeTimeout: "50ms" });
    const error = await thrownBy(() => service.ask(token()));
    expect(error).toBeInstanceOf(StoreError);
    expect(`${error}`).not.toContain("secret text");
    expect(service.events.map(({ type }) => type)).toEqual(["auth.failed"]);
  });

  test("what it answers cannot be changed behind the verifier", async () => {
    const scopes = ["vehicles:read"];
    const { ask } = jwtService({ principal: () => ({ scopes }) });
    const sent = token();
    await ask(sent);
    scopes.push("fleet:admin");
    expect(allowed(await ask(sent)).can("fleet:admin")).toBe(false);
  });
});

describe("time", () => {
  test("is judged anew for a token that is remembered", async () => {
    const service = jwtService();
    const { ask, clock } = service;
    const sent = token(claimsWith({ nbf: NOW - 10 }));
    expect((await ask(sent)).ok).toBe(true);
    clock.set((NOW + 600) * 1_000 - 1);
    expect((await ask(sent)).ok).toBe(true);
    clock.set((NOW + 600) * 1_000);
    expect(refused(await ask(sent)).code).toBe("invalid_key");
    clock.set((NOW - 11) * 1_000);
    expect(refused(await ask(sent)).code).toBe("invalid_key");
    clock.set(Number.NaN);
    expect(refused(await ask(sent)).code).toBe("invalid_key");
    clock.set(NOW * 1_000);
    expect((await ask(sent)).ok).toBe(true);
    expect(reasons(service)).toEqual([
      "auth.allowed",
      "auth.allowed",
      "expired",
      "not_yet_valid",
      "expired",
      "auth.allowed",
    ]);
  });

  test.each([[30], ["30s"], ["30000ms"]] as const)("bears a tolerance of %s", async (clockTolerance) => {
    const { ask, clock } = jwtService({ clockTolerance });
    const sent = token(claimsWith({ nbf: NOW }));
    clock.set((NOW - 30) * 1_000);
    expect((await ask(sent)).ok).toBe(true);
    clock.set((NOW + 630) * 1_000 - 1);
    expect((await ask(sent)).ok).toBe(true);
    clock.set((NOW + 630) * 1_000);
    expect((await ask(sent)).ok).toBe(false);
  });
});

describe("environments", () => {
  const byClaim = ({ env }: JwtClaims) => ({ environment: env as string });

  test("another one than is served is refused", async () => {
    const service = jwtService({ environment: "live", principal: byClaim });
    expect((await service.ask(token(claimsWith({ env: "live" })))).ok).toBe(true);
    expect(refused(await service.ask(token(claimsWith({ env: "test" })))).code).toBe("wrong_environment");
    expect((await service.ask(token())).ok).toBe(true);
  });

  test("a claim does not set it by itself", async () => {
    expect(
      allowed(await jwtService().ask(token(claimsWith({ environment: "live" })))).environment,
    ).toBeUndefined();
  });
});

describe("isRevoked", () => {
  test("is asked for each request", async () => {
    let revoked = false;
    const isRevoked = vi.fn((claims: JwtClaims) => claims.jti === "j-1" && revoked);
    const service = jwtService({ isRevoked });
    const sent = token(claimsWith({ jti: "j-1" }));
    expect((await service.ask(sent)).ok).toBe(true);
    revoked = true;
    expect(refused(await service.ask(sent)).code).toBe("invalid_key");
    expect(isRevoked).toHaveBeenCalledTimes(2);
    expect(reasons(service)).toEqual(["auth.allowed", "token_revoked"]);
  });

  test.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("no");
      },
    ],
    [
      "rejects",
      async () => {
        throw new Error("no");
      },
    ],
    ["answers nothing", () => undefined],
    ["answers nothing later", async () => undefined],
    ["hangs", () => new Promise(() => {})],
  ])("%s: 503", async (_, isRevoked) => {
    const { ask } = jwtService({ isRevoked: isRevoked as never, storeTimeout: "50ms" });
    expect(await thrownBy(() => ask(token()))).toBeInstanceOf(StoreError);
  });
});

describe("what surrounds a token", () => {
  test("no credential and two of them are told apart, and name an access token", async () => {
    const { verifier } = jwtService();
    const missing = refused(await verifier.verify({ headers: {} }));
    expect(missing.code).toBe("missing_credential");
    expect(missing.message).toBe(
      "Authentication required. Provide a valid access token via Authorization: Bearer <token>",
    );
    const rawHeaders = ["Authorization", `Bearer ${token()}`, "Authorization", `Bearer ${token()}`];
    expect(refused(await verifier.verify(bearer(token(), { rawHeaders }))).code).toBe("malformed_credential");
  });

  test("a limiter is asked last, under the subject", async () => {
    const consume = vi.fn(() => ({ allowed: false, states: [] }));
    const { verifier } = jwtService({ rateLimiter: { consume } });
    expect(refused(await verifier.verify(bearer(token()), "vehicles:write")).status).toBe(403);
    expect(consume).not.toHaveBeenCalled();
    expect(refused(await verifier.verify(bearer(token()))).status).toBe(429);
    expect(consume).toHaveBeenCalledWith(
      { id: "user-1", ownerId: "user-1", environment: undefined, rateLimit: undefined },
      expect.anything(),
    );
  });

  test("events name the subject, and that it is no key", async () => {
    const { ask, events } = jwtService();
    await ask(token());
    expect(events[0]).toMatchObject({
      type: "auth.allowed",
      keyId: "user-1",
      ownerId: "user-1",
      isKey: false,
    });
    expect(JSON.stringify(events)).not.toContain(token().split(".")[1]);
    await ask(encode("x"));
    expect(events[1]).toMatchObject({ type: "auth.denied", reason: "invalid_token" });
  });

  test("another header, as configured", async () => {
    const { verifier } = jwtService({ credential: { header: "x-token" } });
    expect((await verifier.verify({ headers: { "x-token": token() } })).ok).toBe(true);
    expect(refused(await verifier.verify(bearer(token()))).code).toBe("missing_credential");
  });

  test("a requirement that is none is a mistake of the programmer", async () => {
    const { verifier } = jwtService();
    expect(() => verifier.assertRequirement("x" as never)).toThrow(TypeError);
    expect(await thrownBy(() => verifier.verify(bearer(token()), [] as never))).toBeInstanceOf(TypeError);
  });
});
