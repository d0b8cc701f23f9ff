import { inspect } from "node:util";
import { describe, expect, it, vi } from "vitest";
import { StoreError } from "../../../src/index.js";
import type { JwtClaims } from "../../../src/jwt/index.js";
import { allowed, bearer, errorOf, thrownBy } from "../core/fixtures.js";
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

describe("a valid token", () => {
  const all = [
    ["ES256", ec],
    ["RS256", rsa],
    ["PS256", rsa],
    ["EdDSA", ed],
  ] as const;

  it.each(all)("is accepted with %s, for every form of the key", async (alg, { publicKey, privateKey }) => {
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
      const { send } = jwtService({ algorithms: [alg], key: key as never });
      expect(allowed(await send(sent)).id).toBe("user-1");
    }
    const { send } = jwtService({ algorithms: [alg], jwks: { keys: [jwk(publicKey)] } as never });
    expect(allowed(await send(sent)).id).toBe("user-1");
  });

  it.each([
    ["HS256", 32],
    ["HS384", 48],
    ["HS512", 64],
  ])("is accepted with %s, for every form of the secret", async (alg, bytes) => {
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
      const { send } = jwtService({ algorithms: [alg], key: key as never });
      expect(allowed(await send(sent)).id).toBe("user-1");
      expect((await send(token(CLAIMS, { alg }, { alg, key: `${secret}x` }))).ok).toBe(false);
    }
  });

  it("becomes a principal with its subject, scopes and claims", async () => {
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

  it("becomes a deeply frozen principal that hides its claims from JSON and inspection", async () => {
    const sent = token(claimsWith({ email: "a@example.com", realm: { roles: [{ name: "x" }] } }));
    const { send } = jwtService();
    const principal = allowed(await send(sent));
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

  it.each([["JWT"], ["jwt"], ["at+jwt"], ["AT+JWT"], ["application/at+jwt"], ["application/JWT"]])(
    "may have the typ %s",
    async (typ) => {
      expect((await jwtService().send(token(CLAIMS, { alg: "ES256", typ }))).ok).toBe(true);
    },
  );

  it("must have the typ of the option", async () => {
    const { send } = jwtService({ typ: "at+jwt" });
    expect((await send(token(CLAIMS, { alg: "ES256", typ: "application/at+JWT" }))).ok).toBe(true);
    for (const header of [{ alg: "ES256" }, { alg: "ES256", typ: "JWT" }]) {
      expect((await send(token(CLAIMS, header))).ok).toBe(false);
    }
  });

  it("may have any of several issuers and audiences", async () => {
    const { send } = jwtService({ issuer: ["x", ISSUER], audience: ["y", AUDIENCE] });
    expect((await send(token())).ok).toBe(true);
    expect((await send(token(claimsWith({ iss: "x", aud: ["z", "y"] })))).ok).toBe(true);
    expect((await send(token(claimsWith({ iss: "y", aud: "x" })))).ok).toBe(false);
  });

  it.each<[string, object, readonly string[]]>([
    ["scope as a string", { scope: "vehicles:read  drivers:read" }, ["vehicles:read", "drivers:read"]],
    ["scope as an array", { scope: ["vehicles:read"] }, ["vehicles:read"]],
    ["scp as an array", { scope: undefined, scp: ["drivers:read"] }, ["drivers:read"]],
    ["scp as a string", { scope: undefined, scp: "drivers:read" }, ["drivers:read"]],
    ["scope rather than scp", { scope: "vehicles:read", scp: ["fleet:admin"] }, ["vehicles:read"]],
    ["an empty scope rather than scp", { scope: "", scp: ["fleet:admin"] }, []],
    ["no scope", { scope: undefined }, []],
    [
      "only defined names, and no wildcards",
      { scope: "openid * vehicles:* vehicles:read reports:read" },
      ["vehicles:read", "reports:read"],
    ],
  ])("grants the scopes of %s", async (_, more, expected) => {
    const principal = allowed(await jwtService().send(token(claimsWith(more))));
    expect(principal.scopes).toEqual(expected);
    expect(principal.can("reports:read")).toBe(false);
    expect(principal.can("fleet:admin")).toBe(false);
  });

  it("is denied with 403 without the scope of the route", async () => {
    const { verifier } = jwtService();
    const error = errorOf(await verifier.verify(bearer(token()), ["vehicles:write", "drivers:read"]));
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

describe("the principal callback", () => {
  it("sets the principal, and is called once per token", async () => {
    const principal = vi.fn(async (claims: JwtClaims) => ({
      ownerId: `company-${claims.company}`,
      scopes: ["fleet:admin"],
      environment: "live",
    }));
    const { send } = jwtService({ principal });
    const sent = token(claimsWith({ company: 7 }));
    for (const _ of [1, 2, 3]) {
      const found = allowed(await send(sent));
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

  it("is called once for concurrent requests", async () => {
    const principal = vi.fn(async () => ({ ownerId: "acme" }));
    const { send } = jwtService({ principal });
    await Promise.all(
      Array.from({ length: 20 }, () => send(token(CLAIMS, { alg: "ES256" }, { key: ec.privateKey }))),
    );
    const sent = token();
    principal.mockClear();
    await Promise.all(Array.from({ length: 20 }, () => send(sent)));
    expect(principal).toHaveBeenCalledTimes(1);
  });

  it("is not called for invalid tokens", async () => {
    const principal = vi.fn(() => ({}));
    const { send } = jwtService({ principal });
    for (const claims of [claimsWith({ exp: NOW }), claimsWith({ nbf: NOW + 9 }), claimsWith({ aud: "x" })])
      await send(token(claims));
    await send(token(CLAIMS, { alg: "ES256" }, { key: otherEc.privateKey }));
    expect(principal).not.toHaveBeenCalled();
  });

  it.each([[undefined], [null]])("denies the token with %s, and is called again", async (result) => {
    let known = false;
    const service = jwtService({ principal: () => (known ? {} : (result as undefined)) });
    const sent = token();
    expect(errorOf(await service.send(sent)).code).toBe("invalid_key");
    known = true;
    expect((await service.send(sent)).ok).toBe(true);
    expect(reasons(service)).toEqual(["invalid_token", "auth.allowed"]);
  });

  it("can replace sub", async () => {
    const { send } = jwtService({ principal: ({ email }) => ({ id: `${email}`, ownerId: "acme" }) });
    expect(allowed(await send(token(claimsWith({ sub: undefined, email: "a@b.c" })))).id).toBe("a@b.c");
    expect(
      errorOf(
        await jwtService({ principal: () => ({ id: "x" }) }).send(token(claimsWith({ sub: undefined }))),
      ).status,
    ).toBe(401);
  });

  it.each<[string, () => unknown]>([
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
    ["returns a string", () => "user"],
    ["returns a numeric id", () => ({ id: 7 })],
    ["returns an empty ownerId", () => ({ ownerId: "" })],
    ["returns scopes as a string", () => ({ scopes: "fleet:admin" })],
    ["returns scopes that are not strings", () => ({ scopes: [1] })],
    ["hangs", () => new Promise(() => {})],
  ])("causes a StoreError if it %s", async (_, principal) => {
    const service = jwtService({ principal: principal as never, storeTimeout: "50ms" });
    const error = await thrownBy(() => service.send(token()));
    expect(error).toBeInstanceOf(StoreError);
    expect(`${error}`).not.toContain("secret text");
    expect(service.events.map(({ type }) => type)).toEqual(["auth.failed"]);
  });

  it("has its result copied", async () => {
    const scopes = ["vehicles:read"];
    const { send } = jwtService({ principal: () => ({ scopes }) });
    const sent = token();
    await send(sent);
    scopes.push("fleet:admin");
    expect(allowed(await send(sent)).can("fleet:admin")).toBe(false);
  });
});

describe("exp and nbf", () => {
  it("are checked again for cached tokens", async () => {
    const service = jwtService();
    const { send, clock } = service;
    const sent = token(claimsWith({ nbf: NOW - 10 }));
    expect((await send(sent)).ok).toBe(true);
    clock.set((NOW + 600) * 1_000 - 1);
    expect((await send(sent)).ok).toBe(true);
    clock.set((NOW + 600) * 1_000);
    expect(errorOf(await send(sent)).code).toBe("invalid_key");
    clock.set((NOW - 11) * 1_000);
    expect(errorOf(await send(sent)).code).toBe("invalid_key");
    clock.set(Number.NaN);
    expect(errorOf(await send(sent)).code).toBe("invalid_key");
    clock.set(NOW * 1_000);
    expect((await send(sent)).ok).toBe(true);
    expect(reasons(service)).toEqual([
      "auth.allowed",
      "auth.allowed",
      "expired",
      "not_yet_valid",
      "expired",
      "auth.allowed",
    ]);
  });

  it.each([["30s"], ["30000ms"]] as const)("allow a tolerance of %s", async (clockTolerance) => {
    const { send, clock } = jwtService({ clockTolerance });
    const sent = token(claimsWith({ nbf: NOW }));
    clock.set((NOW - 30) * 1_000);
    expect((await send(sent)).ok).toBe(true);
    clock.set((NOW + 630) * 1_000 - 1);
    expect((await send(sent)).ok).toBe(true);
    clock.set((NOW + 630) * 1_000);
    expect((await send(sent)).ok).toBe(false);
  });
});

describe("environment", () => {
  const byClaim = ({ env }: JwtClaims) => ({ environment: env as string });

  it("denies the tokens of another environment", async () => {
    const service = jwtService({ environment: "live", principal: byClaim });
    expect((await service.send(token(claimsWith({ env: "live" })))).ok).toBe(true);
    expect(errorOf(await service.send(token(claimsWith({ env: "test" })))).code).toBe("wrong_environment");
    expect((await service.send(token())).ok).toBe(true);
  });

  it("is not read from the claims by default", async () => {
    expect(
      allowed(await jwtService().send(token(claimsWith({ environment: "live" })))).environment,
    ).toBeUndefined();
  });
});

describe("isRevoked", () => {
  it("is called for every request", async () => {
    let revoked = false;
    const isRevoked = vi.fn((claims: JwtClaims) => claims.jti === "j-1" && revoked);
    const service = jwtService({ isRevoked });
    const sent = token(claimsWith({ jti: "j-1" }));
    expect((await service.send(sent)).ok).toBe(true);
    revoked = true;
    expect(errorOf(await service.send(sent)).code).toBe("invalid_key");
    expect(isRevoked).toHaveBeenCalledTimes(2);
    expect(reasons(service)).toEqual(["auth.allowed", "token_revoked"]);
  });

  it.each<[string, () => unknown]>([
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
    ["returns nothing", () => undefined],
    ["resolves to nothing", async () => undefined],
    ["hangs", () => new Promise(() => {})],
  ])("causes a StoreError if it %s", async (_, isRevoked) => {
    const { send } = jwtService({ isRevoked: isRevoked as never, storeTimeout: "50ms" });
    expect(await thrownBy(() => send(token()))).toBeInstanceOf(StoreError);
  });
});

describe("createJwtVerifier", () => {
  it("distinguishes a missing credential from two, and names an access token", async () => {
    const { verifier } = jwtService();
    const missing = errorOf(await verifier.verify({ headers: {} }));
    expect(missing.code).toBe("missing_credential");
    expect(missing.message).toBe(
      "Authentication required. Provide a valid access token via Authorization: Bearer <token>",
    );
    const rawHeaders = ["Authorization", `Bearer ${token()}`, "Authorization", `Bearer ${token()}`];
    expect(errorOf(await verifier.verify(bearer(token(), { rawHeaders }))).code).toBe("malformed_credential");
  });

  it("calls the rate limiter last, with the subject", async () => {
    const consume = vi.fn(() => ({ allowed: false, states: [] }));
    const { verifier } = jwtService({ rateLimiter: { consume } });
    expect(errorOf(await verifier.verify(bearer(token()), "vehicles:write")).status).toBe(403);
    expect(consume).not.toHaveBeenCalled();
    expect(errorOf(await verifier.verify(bearer(token()))).status).toBe(429);
    expect(consume).toHaveBeenCalledWith(
      { id: "user-1", ownerId: "user-1", environment: undefined, rateLimit: undefined },
      expect.anything(),
    );
  });

  it("emits events with the subject and isKey: false", async () => {
    const { send, events } = jwtService();
    await send(token());
    expect(events[0]).toMatchObject({
      type: "auth.allowed",
      keyId: "user-1",
      ownerId: "user-1",
      isKey: false,
    });
    expect(JSON.stringify(events)).not.toContain(token().split(".")[1]);
    await send(encode("x"));
    expect(events[1]).toMatchObject({ type: "auth.denied", reason: "invalid_token" });
  });

  it("reads the token from another header", async () => {
    const { verifier } = jwtService({ credential: { header: "x-token" } });
    expect((await verifier.verify({ headers: { "x-token": token() } })).ok).toBe(true);
    expect(errorOf(await verifier.verify(bearer(token()))).code).toBe("missing_credential");
  });

  it("throws a TypeError for an invalid requirement", async () => {
    const { verifier } = jwtService();
    expect(() => verifier.assertRequirement("x" as never)).toThrow(TypeError);
    expect(await thrownBy(() => verifier.verify(bearer(token()), [] as never))).toBeInstanceOf(TypeError);
  });
});
