import { describe, expect, test } from "vitest";
import { toHttpDenial } from "../../../src/core/verifier/http-denial.js";
import { bearer, polluted, refused } from "../../unit/core/fixtures.js";
import { CLAIMS, ec, jwk, jwtService, token } from "../../unit/jwt/fixtures.js";
import { forgeries, sized } from "./forgeries.js";

const services = {
  "one key": jwtService(),
  "a set": jwtService({ jwks: { keys: [jwk(ec.publicKey, { kid: "a" })] } as never }),
};
const wire = (result: Parameters<typeof refused>[0]) => toHttpDenial(refused(result), "id", undefined);

describe("forged tokens", () => {
  test("are many, and each is another one", () => {
    expect(forgeries.length).toBeGreaterThan(200);
    expect(new Set(forgeries.map((forgery) => forgery.token)).size).toBeGreaterThan(forgeries.length - 10);
  });

  test.each(forgeries)("$name", async ({ token: forged }) => {
    for (const { ask } of Object.values(services)) {
      for (const _ of [1, 2]) {
        const error = refused(await ask(forged));
        expect(error.status).toBe(401);
        // What is no b64token of RFC 6750 is not a credential at all.
        expect(["invalid_key", "malformed_credential"]).toContain(error.code);
      }
    }
  });

  test("are all answered with the same bytes", async () => {
    const { verifier } = services["one key"];
    const answers = new Set<string>();
    for (const { token: forged } of forgeries) {
      const answer = wire(await verifier.verify(bearer(forged)));
      answers.add(JSON.stringify(answer));
    }
    expect([...answers].filter((answer) => answer.includes("invalid_key"))).toHaveLength(1);
    expect([...answers][0]).toContain('error=\\"invalid_token\\"');
  });

  test("leave the right one alone", async () => {
    for (const { ask } of Object.values(services)) {
      expect((await ask(token())).ok).toBe(true);
      expect((await ask(sized(8_192))).ok).toBe(true);
    }
  });

  test("are refused under a polluted prototype too", async () => {
    const claims = { ...CLAIMS, exp: undefined, sub: undefined };
    await polluted(
      { exp: CLAIMS.exp, sub: "admin", scope: "fleet:admin", iss: CLAIMS.iss, aud: CLAIMS.aud },
      async () => {
        expect(refused(await services["one key"].ask(token(claims))).code).toBe("invalid_key");
        expect(refused(await services["one key"].ask(token({}))).code).toBe("invalid_key");
      },
    );
  });
});
