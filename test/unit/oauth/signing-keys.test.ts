import { createPrivateKey, generateKeyPairSync, type KeyObject, webcrypto } from "node:crypto";
import { calculateJwkThumbprint, createLocalJWKSet, decodeProtectedHeader, type JWK, jwtVerify } from "jose";
import { describe, expect, it } from "vitest";
import { VerificationContext } from "../../../src/core/verifier/context.js";
import { decisionOf } from "../../../src/core/verifier/decision.js";
import { compileRoute } from "../../../src/core/verifier/route.js";
import { createTokenService, type SigningKey } from "../../../src/oauth/index.js";
import { allowed, bearer, errorOf, type FleetScope, START, service, thrownBy } from "../core/fixtures.js";
import { AUDIENCE, ecKey, exchanger, ISSUER, post } from "./fixtures.js";

const TTL = 900_000;
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const { subtle } = webcrypto;

/** The only members that may be published (RFC 7518, 6.2.1 and 6.3.1; RFC 8037, 2). */
const PUBLIC: Record<string, readonly string[]> = {
  EC: ["alg", "crv", "kid", "kty", "use", "x", "y"],
  OKP: ["alg", "crv", "kid", "kty", "use", "x"],
  RSA: ["alg", "e", "kid", "kty", "n", "use"],
};

const jwkOf = (key: KeyObject) => key.export({ format: "jwk" }) as JWK;
const kidsOf = (tokens: { jwks(): { keys: readonly JWK[] } }) => tokens.jwks().keys.map(({ kid }) => kid);

describe("signingKey", () => {
  const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey;
  const p521 = generateKeyPairSync("ec", { namedCurve: "P-521" }).privateKey;
  const ed = generateKeyPairSync("ed25519").privateKey;

  it.each<[string, () => SigningKey | Promise<SigningKey>, alg: string]>([
    ["a P-256 KeyObject", () => ecKey(), "ES256"],
    ["a P-384 KeyObject", () => p384, "ES384"],
    ["a P-521 KeyObject", () => p521, "ES512"],
    ["an Ed25519 KeyObject", () => ed, "EdDSA"],
    ["Ed25519 with the alg Ed25519", () => ({ key: ed, alg: "Ed25519" }), "Ed25519"],
    ["an RSA KeyObject", () => rsa.privateKey, "RS256"],
    ["RSA with PSS", () => ({ key: rsa.privateKey, alg: "PS512" }), "PS512"],
    ["PEM", () => ecKey().export({ format: "pem", type: "pkcs8" }) as string, "ES256"],
    ["a JWK", () => jwkOf(ecKey()), "ES256"],
    ["a JWK that names its algorithm", () => ({ ...jwkOf(rsa.privateKey), alg: "RS384" }), "RS384"],
    ["a JWK in an object", () => ({ key: jwkOf(ed) }), "EdDSA"],
    [
      "a non-extractable CryptoKey",
      async () =>
        (await subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]))
          .privateKey,
      "ES256",
    ],
    [
      "an RSA CryptoKey with its own padding and hash",
      async () =>
        (
          await subtle.generateKey(
            {
              name: "RSA-PSS",
              hash: "SHA-384",
              modulusLength: 2048,
              publicExponent: new Uint8Array([1, 0, 1]),
            },
            false,
            ["sign", "verify"],
          )
        ).privateKey,
      "PS384",
    ],
  ])("accepts %s", async (_, make, alg) => {
    const { tokens, issue, tokenOf, clock } = exchanger({ signingKey: await make() });
    const { secret } = await issue();
    const token = await tokenOf(secret);
    const [jwk] = tokens.jwks().keys;
    expect(Object.keys(jwk ?? {}).sort()).toEqual(PUBLIC[String(jwk?.kty)]);
    expect(jwk).toMatchObject({ alg, use: "sig", kid: await calculateJwkThumbprint(jwk as JWK) });
    expect(decodeProtectedHeader(token)).toEqual({ alg, kid: jwk?.kid, typ: "at+jwt" });
    allowed(await tokens.verifier.verify(bearer(token)));
    // jose alone, with the published keys
    await jwtVerify(token, createLocalJWKSet(tokens.jwks()), {
      issuer: ISSUER,
      audience: AUDIENCE,
      typ: "at+jwt",
      algorithms: [alg],
      currentDate: clock.now(),
    });
  });

  it("takes kid from the object, or from the JWK", () => {
    const jwk = { ...jwkOf(ecKey()), kid: "of-jwk" };
    expect(kidsOf(exchanger({ signingKey: jwk }).tokens)).toEqual(["of-jwk"]);
    expect(kidsOf(exchanger({ signingKey: { key: jwk, kid: "named" } }).tokens)).toEqual(["named"]);
  });

  const wrong: Record<string, () => unknown> = {
    undefined: () => undefined,
    null: () => null,
    "an empty array": () => [],
    "an empty string": () => "",
    "a string that is not PEM": () => "hunter2-hunter2-hunter2-hunter2-hunter2",
    "broken PEM": () => "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----",
    "encrypted PEM": () =>
      ecKey().export({ format: "pem", type: "pkcs8", cipher: "aes-128-cbc", passphrase: "hunter2" }),
    "public PEM": () => rsa.publicKey.export({ format: "pem", type: "spki" }),
    "a public KeyObject": () => rsa.publicKey,
    "a public JWK": () => ({ ...jwkOf(ecKey()), d: undefined }),
    "a public RSA JWK": () => rsa.publicKey.export({ format: "jwk" }),
    "a shared secret": () => ({ kty: "oct", k: "hunter2hunter2hunter2hunter2hunter2hunter2aa" }),
    "a shared secret for HS256": () => ({ key: { kty: "oct", k: "hunter2" }, alg: "HS256" }),
    bytes: () => new Uint8Array(32),
    "RSA of 1024 bits": () => generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey,
    "RSA of 1024 bits as a JWK": () => jwkOf(generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey),
    "an unsupported curve": () => generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey,
    X25519: () => generateKeyPairSync("x25519").privateKey,
    "an RSA-PSS key": () => generateKeyPairSync("rsa-pss", { modulusLength: 2048 }).privateKey,
    DSA: () => generateKeyPairSync("dsa", { modulusLength: 2048, divisorLength: 256 }).privateKey,
    "the algorithm of another key type": () => ({ key: ecKey(), alg: "RS256" }),
    "the algorithm of another curve": () => ({ key: ecKey(), alg: "ES384" }),
    "HMAC with a private key": () => ({ key: ecKey(), alg: "HS256" }),
    "the algorithm none": () => ({ key: ecKey(), alg: "none" }),
    "a JWK with another algorithm": () => ({ ...jwkOf(ecKey()), alg: "EdDSA" }),
    "a JWK for encryption": () => ({ ...jwkOf(ecKey()), use: "enc" }),
    "a JWK for verification": () => ({ ...jwkOf(ecKey()), key_ops: ["verify"] }),
    "a JWK of two different keys": () => ({ ...jwkOf(ecKey()), d: jwkOf(ecKey()).d }),
    "an empty kid": () => ({ key: ecKey(), kid: "" }),
    "a kid with control characters": () => ({ key: ecKey(), kid: "a\r\nb" }),
    "a kid that is a number": () => ({ key: ecKey(), kid: 7 }),
    "a long kid": () => ({ key: ecKey(), kid: "x".repeat(129) }),
    "an unknown member": () => ({ key: ecKey(), algorithm: "ES256" }),
    "an argument of createPrivateKey": () => ({
      key: { key: ecKey().export({ format: "pem", type: "pkcs8" }), format: "pem" },
    }),
    "two keys with the same kid": () => [
      { key: ecKey(), kid: "a" },
      { key: ecKey(), kid: "a" },
    ],
    "the same key twice": () => {
      const key = ecKey();
      return [key, createPrivateKey(key.export({ format: "pem", type: "pkcs8" }))];
    },
    "seventeen keys": () => Array.from({ length: 17 }, ecKey),
  };

  it.each(Object.keys(wrong))("rejects %s with a TypeError without key material", async (name) => {
    const error = await thrownBy(() => exchanger({ signingKey: wrong[name]?.() as SigningKey }));
    expect(error).toBeInstanceOf(TypeError);
    expect(String(error)).toMatch(/signingKey/);
    expect(String((error as Error).stack)).not.toContain("hunter2");
    expect((error as Error).cause).toBeUndefined();
  });

  it("rejects a CryptoKey that cannot sign", async () => {
    const pair = await subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
    const hmac = await subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, true, ["sign"]);
    const dh = await subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"]);
    for (const key of [pair.publicKey, hmac, dh.privateKey]) {
      expect(await thrownBy(() => exchanger({ signingKey: key as SigningKey }))).toBeInstanceOf(TypeError);
    }
    const mismatched = { key: pair.privateKey as SigningKey, alg: "ES384" } as SigningKey;
    expect(await thrownBy(() => exchanger({ signingKey: mismatched }))).toBeInstanceOf(TypeError);
  });
});

describe("the published keys", () => {
  it("may be cached for five minutes, and support HEAD", async () => {
    const { tokens } = exchanger({ signingKey: [ecKey(), rsa.privateKey] });
    const got = await post(tokens, "/.well-known/jwks.json", { method: "GET" });
    expect(got.body).toEqual({ keys: tokens.jwks().keys });
    expect(got.body.keys).toHaveLength(2);
    expect(got.headers.get("cache-control")).toBe("public, max-age=300");
    expect(got.headers.get("content-type")).toBe("application/json");
    const head = await post(tokens, "/.well-known/jwks.json", { method: "HEAD" });
    expect([head.status, head.text, head.headers.get("content-length")]).toEqual([
      200,
      "",
      String(Buffer.byteLength(got.text)),
    ]);
  });

  it("are returned as a copy", () => {
    const { tokens } = exchanger();
    const before = JSON.stringify(tokens.jwks());
    const set = tokens.jwks();
    (set.keys[0] as JWK).kid = "evil";
    set.keys.length = 0;
    expect(JSON.stringify(tokens.jwks())).toBe(before);
  });
});

describe("rotateSigningKey", () => {
  it("signs with the new key at once, and keeps the previous one until its last token expires", async () => {
    const { tokens, issue, tokenOf, clock } = exchanger({ signingKey: { key: ecKey(), kid: "1" } });
    const { secret } = await issue();
    const first = await tokenOf(secret);
    clock.set(START.getTime() + 60_000);
    const last = await tokenOf(secret);
    tokens.rotateSigningKey({ key: rsa.privateKey, kid: "2", alg: "PS256" });
    const next = await tokenOf(secret);
    expect(decodeProtectedHeader(next)).toMatchObject({ kid: "2", alg: "PS256" });
    for (const token of [first, last, next]) allowed(await tokens.verifier.verify(bearer(token)));
    expect(kidsOf(tokens)).toEqual(["2", "1"]);

    clock.set(START.getTime() + 60_000 + TTL - 1);
    errorOf(await tokens.verifier.verify(bearer(first)));
    allowed(await tokens.verifier.verify(bearer(last)));
    expect(kidsOf(tokens)).toEqual(["2", "1"]);
    clock.set(START.getTime() + 60_000 + TTL);
    errorOf(await tokens.verifier.verify(bearer(last)));
    expect(kidsOf(tokens)).toEqual(["2"]);
    allowed(await tokens.verifier.verify(bearer(await tokenOf(secret))));
  });

  it("issues valid tokens during a rotation", async () => {
    const { tokens, issue, tokenOf } = exchanger({ signingKey: { key: ecKey(), kid: "1" } });
    const { secret } = await issue();
    const before = Array.from({ length: 20 }, () => tokenOf(secret));
    await Promise.resolve();
    tokens.rotateSigningKey({ key: ecKey(), kid: "2" });
    const all = await Promise.all([...before, ...Array.from({ length: 20 }, () => tokenOf(secret))]);
    for (const token of all) allowed(await tokens.verifier.verify(bearer(token)));
    expect(decodeProtectedHeader(all[39] as string).kid).toBe("2");
  });

  it("removes a leaked key and its cached tokens at once with an overlap of 0s", async () => {
    const { tokens, issue, tokenOf } = exchanger({ signingKey: { key: ecKey(), kid: "1" } });
    const { secret } = await issue();
    const token = await tokenOf(secret);
    allowed(await tokens.verifier.verify(bearer(token)));
    tokens.rotateSigningKey({ key: ecKey(), kid: "2" }, { overlap: "0s" });
    expect(kidsOf(tokens)).toEqual(["2"]);
    errorOf(await tokens.verifier.verify(bearer(token)));
    expect((await post(tokens, "/introspect", { bearer: secret, form: { token } })).body).toEqual({
      active: false,
    });
  });

  it("rejects cached tokens when the overlap ends", async () => {
    const { tokens, issue, tokenOf, clock } = exchanger({ signingKey: { key: ecKey(), kid: "1" } });
    const { secret } = await issue();
    const token = await tokenOf(secret);
    tokens.rotateSigningKey({ key: ecKey(), kid: "2" }, { overlap: "1m" });
    clock.set(START.getTime() + 59_999);
    allowed(await tokens.verifier.verify(bearer(token)));
    clock.set(START.getTime() + 60_000);
    errorOf(await tokens.verifier.verify(bearer(token)));
    expect(kidsOf(tokens)).toEqual(["2"]);
    allowed(await tokens.verifier.verify(bearer(await tokenOf(secret))));
  });

  it("decides about cached tokens synchronously, with every signing key", async () => {
    const { tokens, issue, tokenOf } = exchanger({ signingKey: { key: ecKey(), kid: "1" } });
    const { secret } = await issue();
    const decide = decisionOf(tokens.verifier);
    const send = (token: string, scope: FleetScope = "vehicles:read") =>
      decide(new VerificationContext(bearer(token), compileRoute(scope)));
    for (const kid of ["1", "2"]) {
      if (kid === "2") tokens.rotateSigningKey({ key: ecKey(), kid });
      const token = await tokenOf(secret);
      const first = send(token);
      expect(first).toBeInstanceOf(Promise);
      allowed(await first);
      expect(send(token)).toMatchObject({ ok: true, principal: { type: "jwt", ownerId: "acme" } });
      expect(send(token, "fleet:admin")).toMatchObject({ ok: false });
    }
  });

  it("rotates to a published key, and back again", async () => {
    const [one, two] = [
      { key: ecKey(), kid: "1" },
      { key: ecKey(), kid: "2" },
    ];
    const { tokens, issue, tokenOf, clock } = exchanger({ signingKey: [one, two] });
    const { secret } = await issue();
    expect(decodeProtectedHeader(await tokenOf(secret)).kid).toBe("1");
    tokens.rotateSigningKey(two);
    expect(decodeProtectedHeader(await tokenOf(secret)).kid).toBe("2");
    tokens.rotateSigningKey(one);
    const token = await tokenOf(secret);
    expect([kidsOf(tokens), decodeProtectedHeader(token).kid]).toEqual([["1", "2"], "1"]);
    clock.set(START.getTime() + TTL);
    expect(kidsOf(tokens)).toEqual(["1"]);
  });

  it("changes nothing if an argument is invalid", async () => {
    const one = { key: ecKey(), kid: "1" };
    const { tokens } = exchanger({ signingKey: [one, { key: rsa.privateKey, kid: "2" }] });
    const before = tokens.jwks();
    const mistakes: [SigningKey, object?][] = [
      [one],
      [{ key: ecKey(), kid: "1" }],
      [{ key: ecKey(), kid: "2" }],
      [{ key: rsa.privateKey, kid: "2", alg: "RS512" }],
      [rsa.publicKey],
      [ecKey(), { overlap: "16m" }],
      [ecKey(), { overlap: "soon" }],
      [ecKey(), { overlap: 5 }],
      [ecKey(), { until: "5m" }],
    ];
    for (const [key, options] of mistakes) {
      expect(await thrownBy(() => tokens.rotateSigningKey(key, options))).toBeInstanceOf(TypeError);
    }
    expect(tokens.jwks()).toEqual(before);
  });

  it("publishes at most 16 keys", () => {
    const { tokens, clock } = exchanger();
    for (let i = 0; i < 15; i++) tokens.rotateSigningKey(ecKey());
    expect(() => tokens.rotateSigningKey(ecKey())).toThrow(RangeError);
    expect(tokens.jwks().keys).toHaveLength(16);
    tokens.rotateSigningKey(ecKey(), { overlap: "0s" }); // replaces the previous key
    clock.set(START.getTime() + TTL);
    tokens.rotateSigningKey(ecKey());
    expect(tokens.jwks().keys).toHaveLength(2);
  });
});

describe("createTokenService", () => {
  const base = () => {
    const { store, verifier } = service();
    return {
      issuer: ISSUER,
      audience: AUDIENCE,
      signingKey: ecKey(),
      ttl: "15m" as const,
      verifier,
      store,
    };
  };

  it.each<[string, object]>([
    ["issuer", { issuer: "" }],
    ["issuer", { issuer: undefined }],
    ["issuer", { issuer: ["a"] }],
    ["audience", { audience: "" }],
    ["audience", { audience: [] }],
    ["audience", { audience: ["a", "b"] }],
    ["otherAudiences", { otherAudiences: "b" }],
    ["otherAudiences", { otherAudiences: ["b", ""] }],
    ["otherAudiences", { otherAudiences: [AUDIENCE] }],
    ["otherAudiences", { otherAudiences: undefined }],
    ["audience", { audience: undefined }],
    ["ttl", { ttl: undefined }],
    ["ttl", { ttl: 900 }],
    ["ttl", { ttl: "0s" }],
    ["ttl", { ttl: "1500ms" }],
    ["ttl", { ttl: "25h" }],
    ["ttl", { ttl: "-5m" }],
    ["verifier", { verifier: undefined }],
    ["verifier", { verifier: {} }],
    ["store", { store: undefined }],
    ["store", { store: { findByHash: () => undefined } }],
    ["basePath", { basePath: "/" }],
    ["basePath", { basePath: "oauth" }],
    ["basePath", { basePath: "/oauth/" }],
    ["basePath", { basePath: "/a/../b" }],
    ["basePath", { basePath: "/a?b" }],
    ["basePath", { basePath: "/a%2fb" }],
    ["keyTtl", { keyTtl: "2m" }],
    ["keyTtl", { keyTtl: 5 }],
    ["keyTtl", { keyTtl: undefined }],
    ["cacheMax", { cacheMax: -1 }],
    ["revocations", { revocations: {} }],
    ["revocations", { revocations: "memory" }],
    ["revocations", { revocations: undefined }],
    ["introspect", { introspect: undefined }],
    ["requirement", { introspect: [] }],
    ["requirement", { introspect: "root" }],
    ["onError", { onError: "log" }],
    ["audiences", { audiences: [] }],
  ])("rejects an invalid %s: %j", (name, change) => {
    const error = (() => {
      try {
        createTokenService({ ...base(), ...(change as object) });
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toBeInstanceOf(TypeError);
    expect(String(error)).toContain(name);
  });
});
