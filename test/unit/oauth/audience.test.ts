import { decodeJwt } from "jose";
import { expect, it } from "vitest";
import { createJwtVerifier } from "../../../src/jwt/index.js";
import { bearer, errorOf, scopes } from "../core/fixtures.js";
import { AUDIENCE, ecKey, exchanger, ISSUER, post } from "./fixtures.js";

const PARTNERS = ["https://maps.example", "https://billing.example"] as const;

/** Creates an issuer with two partners, which verify its tokens with its public keys. */
async function federation() {
  const base = exchanger({ otherAudiences: PARTNERS, signingKey: ecKey() });
  const { secret } = await base.issue();
  const partners = PARTNERS.map((audience) =>
    createJwtVerifier({
      ...{ issuer: ISSUER, audience, algorithms: ["ES256"], jwks: base.tokens.jwks(), scopes },
      clock: base.clock.now,
    }),
  );
  const services = [base.tokens.verifier, ...partners];
  const accepting = async (token: string) => {
    const results = await Promise.all(services.map((one) => one.verify(bearer(token))));
    return [AUDIENCE, ...PARTNERS].filter((_, index) => results[index]?.ok);
  };
  const request = async (...audience: readonly string[]) => {
    const form = [["grant_type", "client_credentials"], ...audience.map((name) => ["audience", name])];
    const { status, body } = await post(base.tokens, "/token", { bearer: secret, form: form as never });
    expect(status).toBe(200);
    return String(body.access_token);
  };
  return { ...base, secret, accepting, request };
}

it.each<[requested: readonly string[], accepted: readonly string[]]>([
  [[], [AUDIENCE]],
  [[AUDIENCE], [AUDIENCE]],
  [[PARTNERS[0]], [PARTNERS[0]]],
  [[...PARTNERS], [...PARTNERS]],
  [
    [AUDIENCE, PARTNERS[1]],
    [AUDIENCE, PARTNERS[1]],
  ],
])("is denied by every service but its audience: %j", async (requested, accepted) => {
  const { accepting, request } = await federation();
  expect(await accepting(await request(...requested))).toEqual(accepted);
});

it("lets a partner introspect its token, and the key revoke it", async () => {
  const { tokens, request, secret } = await federation();
  const token = await request(PARTNERS[0]);
  const introspect = async () =>
    (await post(tokens, "/introspect", { bearer: secret, form: { token } })).body;
  expect(await introspect()).toMatchObject({ active: true, aud: PARTNERS[0] });
  expect((await post(tokens, "/revoke", { bearer: secret, form: { token } })).status).toBe(200);
  expect(await introspect()).toEqual({ active: false });
  expect(errorOf(await tokens.verifier.verify(bearer(token))).code).toBe("invalid_key");
});

it("is that of the service by default, without HTTP as well", async () => {
  const { tokens, secret } = await federation();
  const result = await tokens.exchange({ request: bearer(secret) });
  expect(result.ok && decodeJwt(result.accessToken).aud).toBe(AUDIENCE);
});
