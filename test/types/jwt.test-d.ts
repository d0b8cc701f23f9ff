import type { JSONWebKeySet, JWTVerifyGetKey } from "jose";
import { describe, expectTypeOf, it } from "vitest";
import { expressAuth } from "../../src/adapters/express.js";
import { anyVerifier } from "../../src/core/verifier/any-verifier.js";
import { type ApiKey, defineScopes, type Principal, type Verifier } from "../../src/index.js";
import { createJwtVerifier, type JwtClaims, type JwtVerifierOptions } from "../../src/jwt/index.js";
import { memoryStore } from "../../src/stores/memory.js";
import { type Scope, verifier } from "./fixtures.js";

const scopes = defineScopes({ "vehicles:read": {}, "vehicles:write": { implies: ["vehicles:read"] } });
const given = { issuer: "i", audience: "a", algorithms: ["RS256"], scopes };
declare const set: JSONWebKeySet;
declare const getKey: JWTVerifyGetKey;

describe("createJwtVerifier", () => {
  it("returns a verifier of its scopes", () => {
    const jwt = createJwtVerifier({ ...given, jwks: "https://a.example/jwks" });
    expectTypeOf(jwt).toEqualTypeOf<Verifier<Scope>>();
    expressAuth(jwt)("vehicles:read");
    // @ts-expect-error an undefined scope
    expressAuth(jwt)("vehicles:raed");
  });

  it("accepts keys in many forms", () => {
    for (const jwks of ["https://a.example", new URL("https://a.example"), set, getKey])
      createJwtVerifier({ ...given, jwks });
    createJwtVerifier({ ...given, key: new Uint8Array(32) });
    createJwtVerifier({ ...given, key: { kty: "oct", k: "" } });
    // @ts-expect-error not a key
    createJwtVerifier({ ...given, key: 7 });
    // @ts-expect-error issuer is missing
    createJwtVerifier({ audience: "a", algorithms: ["RS256"], scopes });
    // @ts-expect-error a tolerance needs a unit
    createJwtVerifier({ ...given, clockTolerance: "5" });
    // @ts-expect-error an undefined option
    createJwtVerifier({ ...given, keyStore: undefined });
  });

  it("passes the claims to its callbacks", () => {
    const options: Partial<JwtVerifierOptions<Scope>> = {
      keyStore: memoryStore(),
      keyTtl: "5s",
      isRevoked: async ({ jti }) => jti === "x",
      principal(claims) {
        expectTypeOf(claims).toEqualTypeOf<JwtClaims>();
        expectTypeOf(claims.exp).toEqualTypeOf<number>();
        expectTypeOf(claims.company).toEqualTypeOf<unknown>();
        // @ts-expect-error claims are read-only
        claims.exp = 1;
        return claims.iss === "i" ? { ownerId: "o" } : undefined;
      },
    };
    void options;
    // @ts-expect-error an unknown member
    createJwtVerifier({ ...given, principal: () => ({ owner: "o" }) });
  });
});

describe("anyVerifier", () => {
  it("returns a verifier of the same scopes", async () => {
    const any = anyVerifier(verifier, createJwtVerifier({ ...given, jwks: set }));
    expectTypeOf(any).toEqualTypeOf<Verifier<Scope>>();
    const result = await any.verify({ headers: {} });
    if (result.ok) {
      expectTypeOf(result.principal).toEqualTypeOf<Principal<Scope>>();
      expectTypeOf(result.principal.key).toEqualTypeOf<ApiKey | undefined>();
    }
    // @ts-expect-error not a verifier
    anyVerifier(verifier, {});
  });
});
