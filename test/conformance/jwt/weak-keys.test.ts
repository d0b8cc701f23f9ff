import { createHash, generateKeyPairSync } from "node:crypto";
import { createLocalJWKSet, type JSONWebKeySet } from "jose";
import { afterEach, describe, expect, it } from "vitest";
import { StoreError } from "../../../src/index.js";
import { allowed, bearer, thrownBy } from "../../unit/core/fixtures.js";
import {
  CLAIMS,
  encode,
  type JwksServer,
  jwk,
  jwksServer,
  jwtService,
  rsa,
  signature,
} from "../../unit/jwt/fixtures.js";

const SHA256_PREFIX = Buffer.from("3031300d060960864801650304020105000420", "hex");
const short = generateKeyPairSync("rsa", { modulusLength: 1024 });
const { n } = rsa.publicKey.export({ format: "jwk" });

/** Signs without a private key: for an exponent of 1, the padded hash is the signature (RFC 8017, 8.2.1). */
function forge(input: string, bytes: number): string {
  const digest = createHash("sha256").update(input).digest();
  const info = Buffer.concat([SHA256_PREFIX, digest]);
  const padding = Buffer.alloc(bytes - 3 - info.length, 0xff);
  return Buffer.concat([Buffer.from([0, 1]), padding, Buffer.from([0]), info]).toString("base64url");
}

const input = `${encode({ alg: "RS256", kid: "weak" })}.${encode(CLAIMS)}`;
const WEAK: Record<string, readonly [key: object, token: string]> = {
  "an exponent of 1": [{ kty: "RSA", n, e: "AQ", kid: "weak" }, `${input}.${forge(input, 256)}`],
  "an exponent of 2": [{ kty: "RSA", n, e: "Ag", kid: "weak" }, `${input}.${forge(input, 256)}`],
  "an even exponent": [{ kty: "RSA", n, e: "AQAA", kid: "weak" }, `${input}.${forge(input, 256)}`],
  "a modulus of 1024 bits": [
    jwk(short.publicKey, { kid: "weak" }),
    `${input}.${signature(input, "RS256", short.privateKey)}`,
  ],
};

let server: JwksServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

describe.each(Object.entries(WEAK))("an RSA key with %s", (_, [key, sent]) => {
  const keys = [key, jwk(rsa.publicKey, { kid: "strong" })];
  const options = { algorithms: ["RS256"] };
  const strongInput = `${encode({ alg: "RS256", kid: "strong" })}.${encode(CLAIMS)}`;
  const strong = `${strongInput}.${signature(strongInput, "RS256", rsa.privateKey)}`;

  it("is rejected in a JWKS from a URL, which keeps its other keys", async () => {
    server = await jwksServer(...keys);
    const { verifier } = jwtService({ ...options, jwks: server.url });
    expect(await thrownBy(() => verifier.verify(bearer(sent)))).toBeInstanceOf(StoreError);
    allowed(await verifier.verify(bearer(strong)));
  });

  it("is rejected if a function returns it", async () => {
    const jwks = createLocalJWKSet({ keys } as JSONWebKeySet);
    const { verifier } = jwtService({ ...options, jwks });
    expect(await thrownBy(() => verifier.verify(bearer(sent)))).toBeInstanceOf(StoreError);
    const asJwk = jwtService({ ...options, jwks: (async () => key) as never });
    expect(await thrownBy(() => asJwk.verifier.verify(bearer(sent)))).toBeInstanceOf(StoreError);
  });

  it("is rejected at start-up in a set", () => {
    expect(() => jwtService({ ...options, jwks: { keys } as never })).toThrow(
      /"jwks" contains an RSA key without/,
    );
  });

  it("is rejected at start-up as key", () => {
    expect(() => jwtService({ ...options, key: key as never })).toThrow(/"key" must have/);
  });
});

it("an exponent of 3 is accepted", () => {
  const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048, publicExponent: 3 });
  expect(() => jwtService({ algorithms: ["RS256"], key: publicKey })).not.toThrow();
});
