import { createSecretKey, generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "vitest";
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

describe("invalid options", () => {
  it.each<[string, string, object]>([
    ["an unknown option", 'unknown option "jwksUri"', { jwksUri: "x" }],
    ["no issuer", '"issuer"', { issuer: undefined }],
    ["an empty issuer", '"issuer"', { issuer: "" }],
    ["an empty array of issuers", '"issuer"', { issuer: [] }],
    ["an empty issuer in the array", '"issuer"', { issuer: [ISSUER, ""] }],
    ["an issuer that is a URL object", '"issuer"', { issuer: new URL(ISSUER) }],
    ["no audience", '"audience"', { audience: undefined }],
    ["an empty audience", '"audience"', { audience: "" }],
    ["an empty array of audiences", '"audience"', { audience: [] }],
    ["a numeric audience", '"audience"', { audience: [1] }],
    ["no algorithms", '"algorithms"', { algorithms: undefined }],
    ["an empty array of algorithms", '"algorithms"', { algorithms: [] }],
    ["algorithms as a string", '"algorithms"', { algorithms: "ES256" }],
    ["the algorithm none", '"algorithms"', { algorithms: ["none"] }],
    ["none next to another algorithm", '"algorithms"', { algorithms: ["ES256", "none"] }],
    ["the algorithm None", '"algorithms"', { algorithms: ["None"] }],
    ["an unknown algorithm", '"algorithms"', { algorithms: ["ES256K"] }],
    ["an algorithm in lower case", '"algorithms"', { algorithms: ["es256"] }],
    ["the algorithm __proto__", '"algorithms"', { algorithms: ["__proto__"] }],
    ["an encryption algorithm", '"algorithms"', { algorithms: ["RSA-OAEP"] }],
    ["an undefined algorithm", '"algorithms"', { algorithms: [undefined] }],
    ["HS256 next to RS256", "mixes", { algorithms: ["RS256", "HS256"], key: rsa.publicKey }],
    ["neither jwks nor key", 'exactly one of "jwks", "key" and "discover"', { key: undefined }],
    ["both jwks and key", 'exactly one of "jwks", "key" and "discover"', { jwks: "https://a.example/jwks" }],
    ["HS256 with jwks", '"jwks"', { ...url("https://a.example/jwks"), algorithms: ["HS256"] }],
    ["HS256 with a set", '"jwks"', { ...set({ kty: "oct", k: "x" }), algorithms: ["HS256"] }],
    ["a secret of 31 bytes", "at least 32 bytes", secret(SECRET.slice(1))],
    ["an empty secret", '"key"', secret("")],
    ["a secret of 47 bytes", "at least 48 bytes", secret(Buffer.alloc(47), ["HS384"])],
    ["a secret of 63 bytes", "at least 64 bytes", secret(createSecretKey(Buffer.alloc(63)), ["HS512"])],
    ["a secret that is long enough for one of two algorithms", "HS512", secret(SECRET, ["HS256", "HS512"])],
    ["a short secret as a JWK", "at least 32 bytes", secret({ kty: "oct", k: "AAAA" })],
    ["a JWK without its secret", '"key"', secret({ kty: "oct" })],
    ["a short secret as a CryptoKey", "at least 32 bytes", secret(shortHmac)],
    ["a CryptoKey with another hash", "SHA-256", secret(hmac, ["HS384"])],
    ["a CryptoKey that only signs", "verify", secret(signOnly)],
    ["a CryptoKey for encryption", "verify", secret(aes)],
    ["a public key for HS256", "public key", secret(rsa.publicKey)],
    ["a public key in PEM for HS256", "key file", secret(pem(rsa.publicKey))],
    ["PEM as bytes for HS256", "key file", secret(Buffer.from(pem(rsa.publicKey)))],
    ["a public JWK for HS256", '"key"', secret(jwk(rsa.publicKey))],
    ["a secret for ES256", '"key"', { key: createSecretKey(Buffer.alloc(32)) }],
    ["bytes for ES256", "is a secret", { key: Buffer.alloc(32) }],
    ["a plain string for ES256", "in PEM", { key: SECRET }],
    [
      "broken PEM",
      "cannot be read as a public key",
      { key: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----" },
    ],
    ["a secret JWK for ES256", '"key"', { key: { kty: "oct", k: Buffer.alloc(32).toString("base64url") } }],
    ["a private key", "private key", { key: ec.privateKey }],
    ["a private key in PEM", "in PEM", { key: ec.privateKey.export({ type: "pkcs8", format: "pem" }) }],
    ["a private JWK", "private key", { key: ec.privateKey.export({ format: "jwk" }) }],
    ["a private CryptoKey", '"key"', { key: pair.privateKey }],
    ["an RSA key for ES256", "does not fit ES256", { key: rsa.publicKey }],
    ["a P-384 key for ES256", "does not fit ES256", { key: p384.publicKey }],
    ["an Ed25519 key for RS256", "does not fit RS256", { key: ed.publicKey, algorithms: ["RS256"] }],
    ["an RSA-PSS key", "does not fit PS256", { key: pss.publicKey, algorithms: ["PS256"] }],
    ["a key that fits one of two algorithms", "does not fit RS256", { algorithms: ["ES256", "RS256"] }],
    ["an ECDSA CryptoKey for ES384", "P-256", { key: pair.publicKey, algorithms: ["ES384"] }],
    ["a JWK with another alg", "does not fit ES256", { key: jwk(ec.publicKey, { alg: "ES384" }) }],
    ["a JWK for encryption", '"use"', { key: jwk(ec.publicKey, { use: "enc" }) }],
    ["a JWK that does not allow verify", '"key_ops"', { key: jwk(ec.publicKey, { key_ops: ["sign"] }) }],
    ["an RSA key of 1024 bits", "2048", { key: weak.publicKey, algorithms: ["RS256"] }],
    ["null as the key", '"key"', { key: null }],
    ["a number as the key", '"key"', { key: 7 }],
    ["an argument of createPublicKey", '"key"', { key: { key: pem(ec.publicKey), format: "pem" } }],
    [
      "an argument of createPublicKey with a private key",
      '"key"',
      { key: { key: ec.privateKey.export({ type: "pkcs8", format: "pem" }) } },
    ],
    ["a function as the key", '"key"', { key: () => ec.publicKey }],
    ["an http URL", "https", url("http://login.example.com/jwks")],
    [
      "an http URL with a host that begins like localhost",
      "https",
      url("http://localhost.evil.example/jwks"),
    ],
    [
      "an http URL with a host that begins like 127.0.0.1",
      "https",
      url("http://127.0.0.1.evil.example/jwks"),
    ],
    ["an http URL with 0.0.0.0", "https", url("http://0.0.0.0/jwks")],
    ["a file URL", "https", url("file:///etc/jwks.json")],
    ["a data URL", "https", url("data:application/json,{}")],
    ["a relative URL", "not a URL", url("jwks.json")],
    ["a URL with a password", "password", url("https://a:b@login.example.com/jwks")],
    ["an empty set", '"jwks"', set()],
    ["a set without keys", '"jwks"', { key: undefined, jwks: {} }],
    ["null as jwks", '"jwks"', { key: undefined, jwks: null }],
    ["a set of strings", '"jwks"', { key: undefined, jwks: { keys: ["a"] } }],
    ["a set with a private key", "public keys", set(ec.privateKey.export({ format: "jwk" }))],
    ["a set with a secret", "public keys", set(jwk(ec.publicKey), { kty: "oct", k: "AAAA" })],
    ["a tolerance of 31 s", '"clockTolerance"', { clockTolerance: "31s" }],
    ["a tolerance of 30.001 s", '"clockTolerance"', { clockTolerance: "30001ms" }],
    ["a tolerance as a number", '"clockTolerance"', { clockTolerance: 5 }],
    ["a tolerance of a minute", '"clockTolerance"', { clockTolerance: "1m" }],
    ["a negative tolerance", '"clockTolerance"', { clockTolerance: -1 }],
    ["NaN as the tolerance", '"clockTolerance"', { clockTolerance: Number.NaN }],
    ["a tolerance without a unit", '"clockTolerance"', { clockTolerance: "5" }],
    ["an empty typ", '"typ"', { typ: "" }],
    ["an array as typ", '"typ"', { typ: ["JWT"] }],
    ["null as cacheMax", '"cacheMax"', { cacheMax: null }],
    ["a fractional cacheMax", '"cacheMax"', { cacheMax: 1.5 }],
    ["a negative cacheMax", '"cacheMax"', { cacheMax: -1 }],
    ["an infinite cacheMax", '"cacheMax"', { cacheMax: Number.POSITIVE_INFINITY }],
    ["a principal that is not a function", '"principal"', { principal: {} }],
    ["isRevoked that is not a function", '"isRevoked"', { isRevoked: true }],
    ["a keyStore without findById", '"keyStore"', { keyStore: { findByHash() {} } }],
    ["a keyTtl without a keyStore", '"keyTtl"', { keyTtl: "5s" }],
    ["a keyTtl as a number", '"keyTtl"', { keyStore: { findById() {} }, keyTtl: 5 }],
    ["a keyTtl of more than a minute", '"keyTtl"', { keyStore: { findById() {} }, keyTtl: "61s" }],
    ["no scopes", '"scopes"', { scopes: undefined }],
    ["a realm with quotes", '"realm"', { realm: '"' }],
    ["an option of createVerifier", 'unknown option "store"', { store: {} }],
    ...["environment", "principal", "typ", "keyStore", "isRevoked"].map((name): [string, string, object] => [
      `${name} set to undefined`,
      `"${name}" is undefined`,
      { [name]: undefined },
    ]),
  ])("rejects %s", (_, message, more) => {
    expect(make(more)).toThrow(TypeError);
    expect(make(more)).toThrow("createJwtVerifier: ");
    expect(make(more)).toThrow(message);
  });

  it.each([[undefined], [null], ["x"], [[]]])("rejects %j as the options", (options) => {
    expect(() => createJwtVerifier(options as never)).toThrow(TypeError);
  });

  it("do not put the key into the message", () => {
    for (const key of ["hunter2-hunter2", "-----BEGIN PUBLIC KEY-----\nhunter2"]) {
      for (const algorithms of [["HS512"], ["ES256"]]) {
        expect(make({ key, algorithms })).toThrow(
          expect.objectContaining({ message: expect.not.stringContaining("hunter2") }),
        );
      }
    }
  });
});

describe("valid options", () => {
  it.each<[string, object]>([
    ["arrays of issuers and audiences", { issuer: [ISSUER, "b"], audience: ["a", "b"] }],
    ["several algorithms for one key", { algorithms: ["RS256", "PS512"], key: rsa.publicKey }],
    [
      "several algorithms for a JWKS",
      { ...url("https://a.example/jwks"), algorithms: ["RS256", "ES256", "EdDSA"] },
    ],
    ["http on localhost", url("http://localhost:3000/jwks")],
    ["http on a subdomain of localhost", url("http://login.localhost/jwks")],
    ["http on 127.0.0.2", url("http://127.0.0.2/jwks")],
    ["http on ::1", url("http://[::1]:3000/jwks")],
    ["a URL object", url(new URL("https://a.example/jwks"))],
    ["a CryptoKey", { key: pair.publicKey }],
    ["a non-extractable CryptoKey", secret(hmac)],
    ["PEM with leading whitespace", { key: `\n${pem(ec.publicKey)}` }],
    ["no cache", { cacheMax: 0 }],
    ["no tolerance", { clockTolerance: "0s" }],
  ])("accepts %s", (_, more) => {
    expect(make(more)).not.toThrow();
  });

  it("are copied", async () => {
    const algorithms = ["ES256"];
    const issuer = ["x"];
    const { send } = jwtService({ algorithms, issuer });
    issuer.push(ISSUER);
    algorithms.push("RS256");
    expect((await send(token())).ok).toBe(false);
    expect(Object.isFrozen(createJwtVerifier(given))).toBe(true);
  });
});
