import { createSecretKey, generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createJwtVerifier } from "../../../src/jwt/index.js";
import { scopes } from "../core/fixtures.js";
import { AUDIENCE, ec, ed, ISSUER, jwk, jwtService, pem, rsa, SECRET, token } from "./fixtures.js";

const given = { issuer: ISSUER, audience: AUDIENCE, algorithms: ["ES256"], key: ec.publicKey, scopes };
const make = (more: object) => () => createJwtVerifier({ ...given, ...more } as never);
const set = (...keys: object[]) => ({ key: undefined, jwks: { keys } });
const url = (jwks: string | URL) => ({ key: undefined, jwks });
const secret = (key: unknown, algorithms = ["HS256"]) => ({ key, algorithms });
const weak = generateKeyPairSync("rsa", { modulusLength: 1024 });
const pss = generateKeyPairSync("rsa-pss", { modulusLength: 2048 });
const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" });
const generate = crypto.subtle.generateKey.bind(crypto.subtle);
const hmac = await generate({ name: "HMAC", hash: "SHA-256", length: 256 }, false, ["sign", "verify"]);
const shortHmac = await generate({ name: "HMAC", hash: "SHA-256", length: 128 }, true, ["sign", "verify"]);
const signOnly = await generate({ name: "HMAC", hash: "SHA-256", length: 256 }, true, ["sign"]);
const pair = (await generate({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"])) as {
  publicKey: unknown;
  privateKey: unknown;
};
const aes = await generate({ name: "AES-GCM", length: 256 }, true, ["encrypt"]);

describe("options that cannot work are TypeErrors that name them", () => {
  test.each<[string, string, object]>([
    ["unknown", 'unknown option "jwksUri"', { jwksUri: "x" }],
    ["no issuer", '"issuer"', { issuer: undefined }],
    ["an empty issuer", '"issuer"', { issuer: "" }],
    ["no issuer in the list", '"issuer"', { issuer: [] }],
    ["an empty issuer in the list", '"issuer"', { issuer: [ISSUER, ""] }],
    ["an issuer that is no text", '"issuer"', { issuer: new URL(ISSUER) }],
    ["no audience", '"audience"', { audience: undefined }],
    ["an empty audience", '"audience"', { audience: "" }],
    ["no audience in the list", '"audience"', { audience: [] }],
    ["an audience that is no text", '"audience"', { audience: [1] }],
    ["no algorithms", '"algorithms"', { algorithms: undefined }],
    ["an empty list of algorithms", '"algorithms"', { algorithms: [] }],
    ["algorithms as text", '"algorithms"', { algorithms: "ES256" }],
    ["none", '"algorithms"', { algorithms: ["none"] }],
    ["none beside another", '"algorithms"', { algorithms: ["ES256", "none"] }],
    ["None", '"algorithms"', { algorithms: ["None"] }],
    ["an unknown algorithm", '"algorithms"', { algorithms: ["ES256K"] }],
    ["an algorithm of another case", '"algorithms"', { algorithms: ["es256"] }],
    ["__proto__", '"algorithms"', { algorithms: ["__proto__"] }],
    ["an algorithm of encryption", '"algorithms"', { algorithms: ["RSA-OAEP"] }],
    ["an algorithm that is no text", '"algorithms"', { algorithms: [undefined] }],
    ["HS256 beside RS256", "mixes", { algorithms: ["RS256", "HS256"], key: rsa.publicKey }],
    ["neither jwks nor key", 'exactly one of "jwks" and "key"', { key: undefined }],
    ["both jwks and key", 'exactly one of "jwks" and "key"', { jwks: "https://a.example/jwks" }],
    ["HS256 with jwks", '"jwks"', { ...url("https://a.example/jwks"), algorithms: ["HS256"] }],
    ["HS256 with a set", '"jwks"', { ...set({ kty: "oct", k: "x" }), algorithms: ["HS256"] }],
    ["a secret of 31 bytes", "at least 32 bytes", secret(SECRET.slice(1))],
    ["an empty secret", '"key"', secret("")],
    ["a secret of 47 bytes", "at least 48 bytes", secret(Buffer.alloc(47), ["HS384"])],
    ["a secret of 63 bytes", "at least 64 bytes", secret(createSecretKey(Buffer.alloc(63)), ["HS512"])],
    ["a secret for one of two", "HS512", secret(SECRET, ["HS256", "HS512"])],
    ["a short secret as JWK", "at least 32 bytes", secret({ kty: "oct", k: "AAAA" })],
    ["a JWK without its secret", '"key"', secret({ kty: "oct" })],
    ["a short secret as CryptoKey", "at least 32 bytes", secret(shortHmac)],
    ["a CryptoKey of another hash", "SHA-256", secret(hmac, ["HS384"])],
    ["a CryptoKey that only signs", "verify", secret(signOnly)],
    ["a CryptoKey for encryption", "verify", secret(aes)],
    ["a public key for HS256", "public key", secret(rsa.publicKey)],
    ["a public key in PEM for HS256", "file of a key", secret(pem(rsa.publicKey))],
    ["the bytes of PEM for HS256", "file of a key", secret(Buffer.from(pem(rsa.publicKey)))],
    ["a public JWK for HS256", '"key"', secret(jwk(rsa.publicKey))],
    ["a secret for ES256", '"key"', { key: createSecretKey(Buffer.alloc(32)) }],
    ["bytes for ES256", "is a secret", { key: Buffer.alloc(32) }],
    ["text for ES256", "in PEM", { key: SECRET }],
    [
      "broken PEM",
      "not a public key that can be read",
      { key: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----" },
    ],
    ["a secret JWK for ES256", '"key"', { key: { kty: "oct", k: Buffer.alloc(32).toString("base64url") } }],
    ["a private key", "private key", { key: ec.privateKey }],
    ["a private key in PEM", "in PEM", { key: ec.privateKey.export({ type: "pkcs8", format: "pem" }) }],
    ["a private JWK", "private key", { key: ec.privateKey.export({ format: "jwk" }) }],
    ["a private CryptoKey", '"key"', { key: pair.privateKey }],
    ["a key of RSA for ES256", "does not fit ES256", { key: rsa.publicKey }],
    ["a key of P-384 for ES256", "does not fit ES256", { key: p384.publicKey }],
    ["a key of Ed25519 for RS256", "does not fit RS256", { key: ed.publicKey, algorithms: ["RS256"] }],
    ["a key of RSA-PSS", "does not fit PS256", { key: pss.publicKey, algorithms: ["PS256"] }],
    ["a key for one of two", "does not fit RS256", { algorithms: ["ES256", "RS256"] }],
    ["an ECDSA CryptoKey for ES384", "P-256", { key: pair.publicKey, algorithms: ["ES384"] }],
    ["a JWK of another alg", "does not fit ES256", { key: jwk(ec.publicKey, { alg: "ES384" }) }],
    ["a JWK to encrypt", '"use"', { key: jwk(ec.publicKey, { use: "enc" }) }],
    ["a JWK that does not verify", '"key_ops"', { key: jwk(ec.publicKey, { key_ops: ["sign"] }) }],
    ["1024 bits", "2048", { key: weak.publicKey, algorithms: ["RS256"] }],
    ["no key at all", '"key"', { key: null }],
    ["a number for a key", '"key"', { key: 7 }],
    ["a function for a key", '"key"', { key: () => ec.publicKey }],
    ["http", "https", url("http://login.example.com/jwks")],
    ["http and a name that begins like loopback", "https", url("http://localhost.evil.example/jwks")],
    ["http and an address that begins like loopback", "https", url("http://127.0.0.1.evil.example/jwks")],
    ["http and the unspecified address", "https", url("http://0.0.0.0/jwks")],
    ["a file", "https", url("file:///etc/jwks.json")],
    ["data", "https", url("data:application/json,{}")],
    ["no URL", "not a URL", url("jwks.json")],
    ["a URL with a password", "password", url("https://a:b@login.example.com/jwks")],
    ["an empty set", '"jwks"', set()],
    ["no set", '"jwks"', { key: undefined, jwks: {} }],
    ["null for a set", '"jwks"', { key: undefined, jwks: null }],
    ["a set of texts", '"jwks"', { key: undefined, jwks: { keys: ["a"] } }],
    ["a set with a private key", "public keys", set(ec.privateKey.export({ format: "jwk" }))],
    ["a set with a secret", "public keys", set(jwk(ec.publicKey), { kty: "oct", k: "AAAA" })],
    ["a tolerance of 31 s", '"clockTolerance"', { clockTolerance: 31 }],
    ["a tolerance of 30.001 s", '"clockTolerance"', { clockTolerance: 30.001 }],
    ["a tolerance of a minute", '"clockTolerance"', { clockTolerance: "1m" }],
    ["a tolerance below 0", '"clockTolerance"', { clockTolerance: -1 }],
    ["a tolerance that is none", '"clockTolerance"', { clockTolerance: Number.NaN }],
    ["a tolerance without a unit", '"clockTolerance"', { clockTolerance: "5" }],
    ["an empty typ", '"typ"', { typ: "" }],
    ["a typ that is no text", '"typ"', { typ: ["JWT"] }],
    ["half a cacheMax", '"cacheMax"', { cacheMax: 1.5 }],
    ["a cacheMax below 0", '"cacheMax"', { cacheMax: -1 }],
    ["an endless cacheMax", '"cacheMax"', { cacheMax: Number.POSITIVE_INFINITY }],
    ["a principal that is no function", '"principal"', { principal: {} }],
    ["isRevoked that is no function", '"isRevoked"', { isRevoked: true }],
    ["a keyStore without findById", '"keyStore"', { keyStore: { findByHash() {} } }],
    ["a keyTtl without a keyStore", '"keyTtl"', { keyTtl: "5s" }],
    ["a keyTtl of a bare number", '"keyTtl"', { keyStore: { findById() {} }, keyTtl: 5 }],
    ["a keyTtl above a minute", '"keyTtl"', { keyStore: { findById() {} }, keyTtl: "61s" }],
    ["no scopes", '"scopes"', { scopes: undefined }],
    ["a realm with quotes", '"realm"', { realm: '"' }],
    ["an option of the verifier of keys", 'unknown option "store"', { store: {} }],
    ...["environment", "principal", "typ", "keyStore", "isRevoked"].map((name): [string, string, object] => [
      `${name} that came out empty`,
      `"${name}" is undefined`,
      { [name]: undefined },
    ]),
  ])("%s", (_, message, more) => {
    expect(make(more)).toThrow(TypeError);
    expect(make(more)).toThrow("createJwtVerifier: ");
    expect(make(more)).toThrow(message);
  });

  test.each([[undefined], [null], ["x"], [[]]])("%j for options", (options) => {
    expect(() => createJwtVerifier(options as never)).toThrow(TypeError);
  });

  test("no message holds a key", () => {
    for (const key of ["hunter2-hunter2", "-----BEGIN PUBLIC KEY-----\nhunter2"]) {
      for (const algorithms of [["HS512"], ["ES256"]]) {
        expect(make({ key, algorithms })).toThrow(
          expect.objectContaining({ message: expect.not.stringContaining("hunter2") }),
        );
      }
    }
  });
});

describe("options that work", () => {
  test.each<[string, object]>([
    ["a list of issuers and audiences", { issuer: [ISSUER, "b"], audience: ["a", "b"] }],
    ["several algorithms of one key", { algorithms: ["RS256", "PS512"], key: rsa.publicKey }],
    [
      "several algorithms of a set",
      { ...url("https://a.example/jwks"), algorithms: ["RS256", "ES256", "EdDSA"] },
    ],
    ["http on localhost", url("http://localhost:3000/jwks")],
    ["http on a subdomain of it", url("http://login.localhost/jwks")],
    ["http on 127.0.0.2", url("http://127.0.0.2/jwks")],
    ["http on ::1", url("http://[::1]:3000/jwks")],
    ["a URL object", url(new URL("https://a.example/jwks"))],
    ["a CryptoKey", { key: pair.publicKey }],
    ["a CryptoKey that cannot be read out", secret(hmac)],
    ["PEM with space in front", { key: `\n${pem(ec.publicKey)}` }],
    ["no cache", { cacheMax: 0 }],
    ["no tolerance", { clockTolerance: "0s" }],
  ])("%s", (_, more) => {
    expect(make(more)).not.toThrow();
  });

  test("cannot be changed afterwards", async () => {
    const algorithms = ["ES256"];
    const issuer = ["x"];
    const { ask } = jwtService({ algorithms, issuer });
    issuer.push(ISSUER);
    algorithms.push("RS256");
    expect((await ask(token())).ok).toBe(false);
    expect(Object.isFrozen(createJwtVerifier(given))).toBe(true);
  });
});
