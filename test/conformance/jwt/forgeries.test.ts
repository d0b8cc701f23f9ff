import { describe, expect, it } from "vitest";
import { toHttpDenial } from "../../../src/core/verifier/http-denial.js";
import { bearer, errorOf, polluted } from "../../unit/core/fixtures.js";
import { CLAIMS, ec, jwk, jwtService, token } from "../../unit/jwt/fixtures.js";
import { forgeries, sized } from "./forgeries.js";

const services = {
  "one key": jwtService(),
  "a set": jwtService({ jwks: { keys: [jwk(ec.publicKey, { kid: "a" })] } as never }),
};
const wire = (result: Parameters<typeof errorOf>[0]) => toHttpDenial(errorOf(result), "id", undefined);

describe("forged tokens", () => {
  it("are numerous and distinct", () => {
    expect(forgeries.length).toBeGreaterThan(200);
    expect(new Set(forgeries.map((forgery) => forgery.token)).size).toBeGreaterThan(forgeries.length - 10);
  });

  it.each(forgeries)("denies $name", async ({ token: forged }) => {
    for (const { send } of Object.values(services)) {
      for (const _ of [1, 2]) {
        const error = errorOf(await send(forged));
        expect(error.status).toBe(401);
        // A value that is not a b64token of RFC 6750 is malformed.
        expect(["invalid_key", "malformed_credential"]).toContain(error.code);
      }
    }
  });

  it("are all denied with the same bytes", async () => {
    const { verifier } = services["one key"];
    const denials = new Set<string>();
    for (const { token: forged } of forgeries) {
      const denial = wire(await verifier.verify(bearer(forged)));
      denials.add(JSON.stringify(denial));
    }
    expect([...denials].filter((denial) => denial.includes("invalid_key"))).toHaveLength(1);
    expect([...denials][0]).toContain('error=\\"invalid_token\\"');
  });

  it("do not affect the valid token", async () => {
    for (const { send } of Object.values(services)) {
      expect((await send(token())).ok).toBe(true);
      expect((await send(sized(8_192))).ok).toBe(true);
    }
  });

  it("are denied with a polluted prototype too", async () => {
    const claims = { ...CLAIMS, exp: undefined, sub: undefined };
    await polluted(
      { exp: CLAIMS.exp, sub: "admin", scope: "fleet:admin", iss: CLAIMS.iss, aud: CLAIMS.aud },
      async () => {
        expect(errorOf(await services["one key"].send(token(claims))).code).toBe("invalid_key");
        expect(errorOf(await services["one key"].send(token({}))).code).toBe("invalid_key");
      },
    );
  });
});
