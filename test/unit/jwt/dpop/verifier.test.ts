import { generateKeyPairSync } from "node:crypto";
import { describe, expect, it, vi } from "vitest";
import { type AuthRequest, anyVerifier, createVerifier } from "../../../../src/index.js";
import type { DpopOptions, JwtVerifierOptions } from "../../../../src/jwt/index.js";
import { memoryStore } from "../../../../src/stores/memory.js";
import { allowed, errorOf, type FleetScope, format, scopes, thrownBy } from "../../core/fixtures.js";
import { CLAIMS, claimsWith, ec, ed, jwtService, NOW, otherEc, reasons, rsa, token } from "../fixtures.js";
import { jktOf, ORIGIN, type ProofParts, proofOf } from "./fixtures.js";

const ALGS = "ES256 ES384 EdDSA Ed25519 PS256 RS256";
const INVALID_PROOF = `DPoP error="invalid_dpop_proof", algs="${ALGS}"`;
const jkt = await jktOf(ec.publicKey);
const BOUND = token(claimsWith({ cnf: { jkt } }));

function dpopService(dpop: Partial<DpopOptions> = {}, more: Partial<JwtVerifierOptions<FleetScope>> = {}) {
  const service = jwtService({ dpop: { origin: ORIGIN, replays: "per-process", ...dpop }, ...more });
  return {
    ...service,
    /** Sends a token with the scheme DPoP and a proof, or without one. */
    prove: (
      sent = BOUND,
      proof: string | undefined = proofOf({ token: sent }),
      request: Partial<AuthRequest> = {},
    ) =>
      service.verifier.verify({
        headers: { authorization: `DPoP ${sent}`, ...(proof === undefined ? {} : { dpop: proof }) },
        method: "GET",
        path: "/vehicles",
        ...request,
      }),
  };
}

describe("a bound token", () => {
  it("is allowed with a proof, also when it is cached", async () => {
    const { prove, events } = dpopService();
    for (let count = 0; count < 3; count++) {
      expect(allowed(await prove()).claims?.cnf).toEqual({ jkt });
    }
    expect(events.map(({ type }) => type)).toEqual(Array(3).fill("auth.allowed"));
  });

  it.each<[string, ProofParts]>([
    ["RS256", { pair: rsa, alg: "RS256" }],
    ["EdDSA", { pair: ed, alg: "EdDSA" }],
    ["typ in another case", { header: { typ: "application/DPoP+JWT" } }],
    ["an iat of 59 seconds ago", { claims: { iat: NOW - 59 } }],
    ["an iat of 30 seconds ahead", { claims: { iat: NOW + 30 } }],
    ["more claims", { claims: { exp: NOW + 1, nonce: "of-nobody", extra: true } }],
  ])("is allowed with a proof with %s", async (_, parts) => {
    const sent = token(claimsWith({ cnf: { jkt: await jktOf((parts.pair ?? ec).publicKey) } }));
    allowed(await dpopService().prove(sent, proofOf({ token: sent, ...parts })));
  });

  it.each([undefined, 0])("is denied as Bearer, with cacheMax %j", async (cacheMax) => {
    const service = dpopService({}, cacheMax === undefined ? {} : { cacheMax });
    for (let count = 0; count < 2; count++) {
      const { headers, code } = errorOf(await service.send(BOUND));
      expect(code).toBe("invalid_key");
      expect(headers["WWW-Authenticate"]).toBe('Bearer realm="api", error="invalid_token"');
      allowed(await service.prove());
    }
    expect(reasons(service)).toEqual(["token_binding", "auth.allowed", "token_binding", "auth.allowed"]);
  });

  it("is denied as Bearer by a verifier without dpop, from any issuer", async () => {
    const service = jwtService();
    expect(errorOf(await service.send(BOUND)).code).toBe("invalid_key");
    expect(reasons(service)).toEqual(["token_binding"]);
    const { code, headers } = errorOf(
      await service.verifier.verify({ headers: { authorization: `DPoP ${BOUND}`, dpop: proofOf() } }),
    );
    expect([code, headers["WWW-Authenticate"]]).toEqual(["missing_credential", 'Bearer realm="api"']);
  });

  it.each([
    { "x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" },
    { jkt, "x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" },
    { jkt: [jkt] },
    { jkt: 1 },
    {},
    [],
    null,
    jkt,
  ])("is denied with the cnf %j, as Bearer and with a proof", async (cnf) => {
    const service = dpopService();
    const sent = token(claimsWith({ cnf }));
    expect(errorOf(await service.send(sent)).code).toBe("invalid_key");
    expect(errorOf(await service.prove(sent)).code).toBe("invalid_key");
    expect(reasons(service)).toEqual(["token_binding", "token_binding"]);
  });

  it("is denied after its expiry, with a valid proof", async () => {
    const service = dpopService();
    allowed(await service.prove());
    service.clock.set((CLAIMS.exp + 1) * 1_000);
    const { code, headers } = errorOf(
      await service.prove(BOUND, proofOf({ token: BOUND, claims: { iat: CLAIMS.exp } })),
    );
    expect([code, headers["WWW-Authenticate"]]).toEqual([
      "invalid_key",
      `DPoP error="invalid_token", algs="${ALGS}"`,
    ]);
  });
});

describe("a token without cnf", () => {
  it("is allowed as Bearer, and denied with the scheme DPoP", async () => {
    const service = dpopService();
    allowed(await service.send(token()));
    const { code, headers } = errorOf(await service.prove(token()));
    expect([code, headers["WWW-Authenticate"]]).toEqual([
      "invalid_key",
      `DPoP error="invalid_token", algs="${ALGS}"`,
    ]);
    expect(reasons(service)).toEqual(["auth.allowed", "token_binding"]);
  });
});

const smallRsa = generateKeyPairSync("rsa", { modulusLength: 1024 });
const longRsa = generateKeyPairSync("rsa", { modulusLength: 4104 });
const secp = generateKeyPairSync("ec", { namedCurve: "secp256k1" });

/** The proofs that are denied, for a token that is bound to the key of the proof unless `for` says otherwise. */
const WRONG: Readonly<Record<string, ProofParts & { readonly boundTo?: string }>> = {
  "another key": { boundTo: await jktOf(otherEc.publicKey) },
  "the signature of another key": { signer: otherEc.privateKey },
  "no ath": { claims: { ath: undefined } },
  "the ath of another token": { token: token() },
  "another method": { claims: { htm: "POST" } },
  "the method in lower case": { claims: { htm: "get" } },
  "no htm": { claims: { htm: undefined } },
  "another path": { claims: { htu: `${ORIGIN}/drivers` } },
  "another host": { claims: { htu: "https://evil.example/vehicles" } },
  "another scheme": { claims: { htu: "http://api.example.com/vehicles" } },
  "no htu": { claims: { htu: undefined } },
  "an iat of a minute ago": { claims: { iat: NOW - 60 } },
  "an iat of 31 seconds ahead": { claims: { iat: NOW + 31 } },
  "no iat": { claims: { iat: undefined } },
  "an iat that is a string": { claims: { iat: String(NOW) } },
  "an infinite iat": { claims: { iat: Number.POSITIVE_INFINITY } },
  "a past exp": { claims: { exp: NOW } },
  "no jti": { claims: { jti: undefined } },
  "an empty jti": { claims: { jti: "" } },
  "a jti that is a number": { claims: { jti: 1 } },
  "no typ": { header: { typ: undefined } },
  "the typ of a token": { header: { typ: "at+jwt" } },
  "the typ JWT": { header: { typ: "JWT" } },
  "no jwk": { header: { jwk: undefined } },
  "a jwk that is null": { header: { jwk: null } },
  "a jwk that is a string": { header: { jwk: "ec" } },
  "an empty jwk": { header: { jwk: {} } },
  "a private jwk": { header: { jwk: ec.privateKey.export({ format: "jwk" }) } },
  "an empty private member": { header: { jwk: { ...ec.publicKey.export({ format: "jwk" }), d: "" } } },
  "a private member of RSA": {
    pair: rsa,
    alg: "RS256",
    header: { jwk: { ...rsa.publicKey.export({ format: "jwk" }), p: "AQ" } },
  },
  "a symmetric member": { header: { jwk: { ...ec.publicKey.export({ format: "jwk" }), k: "AAAA" } } },
  "a symmetric jwk": { header: { jwk: { kty: "oct", k: "AAAA" } } },
  "HS256 and a symmetric jwk": {
    alg: "HS256",
    signer: "secret",
    header: { jwk: { kty: "oct", k: Buffer.from("secret").toString("base64url") } },
  },
  "HS256 with the public key": { alg: "HS256", signer: "secret" },
  none: { header: { alg: "none" } },
  "an alg that is not accepted": { header: { alg: "ES512" } },
  "the alg of another kind of key": { header: { alg: "RS256" } },
  "a jwk for encryption": { header: { jwk: { ...ec.publicKey.export({ format: "jwk" }), use: "enc" } } },
  "a jwk of another alg": { header: { jwk: { ...ec.publicKey.export({ format: "jwk" }), alg: "ES384" } } },
  "a point that is not on the curve": {
    header: {
      jwk: { ...ec.publicKey.export({ format: "jwk" }), x: Buffer.alloc(32, 1).toString("base64url") },
    },
  },
  "another curve": { pair: secp },
  "an RSA key of 1024 bits": { pair: smallRsa, alg: "RS256" },
  "an RSA key of more than 4096 bits": { pair: longRsa, alg: "RS256" },
  "an RSA key with an exponent of 1": {
    pair: rsa,
    alg: "RS256",
    header: { jwk: { ...rsa.publicKey.export({ format: "jwk" }), e: "AQ" } },
  },
  "an RSA key with a long exponent": {
    pair: rsa,
    alg: "RS256",
    header: { jwk: { ...rsa.publicKey.export({ format: "jwk" }), e: "AQAAAAE" } },
  },
  "the header crit": { header: { crit: ["exp"] } },
  "the header x5c": { header: { x5c: [] } },
  "the header jku": { header: { jku: "https://evil.example/jwks" } },
  "more than 8 KiB": { claims: { padding: "x".repeat(8_192) } },
};

describe("a proof", () => {
  it.each(Object.entries(WRONG))("is denied with %s", async (name, { boundTo, ...parts }) => {
    const service = dpopService();
    const sent = token(claimsWith({ cnf: { jkt: boundTo ?? (await jktOf((parts.pair ?? ec).publicKey)) } }));
    const error = errorOf(await service.prove(sent, proofOf({ token: sent, ...parts })));
    expect([name, error.status, error.code, error.headers]).toEqual([
      name,
      401,
      "invalid_dpop_proof",
      { "WWW-Authenticate": INVALID_PROOF },
    ]);
    expect(service.events).toMatchObject([{ reason: "invalid_dpop_proof", keyId: "user-1", isKey: false }]);
  });

  it.each<[string, Partial<AuthRequest>]>([
    ["without a proof", { headers: { authorization: `DPoP ${BOUND}` } }],
    ["with an empty proof", { headers: { authorization: `DPoP ${BOUND}`, dpop: "" } }],
    ["with junk", { headers: { authorization: `DPoP ${BOUND}`, dpop: "a.b.c" } }],
    ["without a known method", { method: undefined }],
    ["without a known path", { path: undefined }],
    ["with another method", { method: "POST" }],
  ])("is denied in a request %s", async (_, request) => {
    const { prove } = dpopService();
    expect(errorOf(await prove(BOUND, proofOf({ token: BOUND }), request)).code).toBe("invalid_dpop_proof");
  });

  it("is denied in two headers, in each form that they can have", async () => {
    const { prove } = dpopService();
    const [one, two] = [proofOf({ token: BOUND }), proofOf({ token: BOUND })];
    const authorization = `DPoP ${BOUND}`;
    const headers = new Headers({ authorization, dpop: one });
    headers.append("dpop", two);
    const rawHeaders = ["Authorization", authorization, "DPoP", one, "dpop", two];
    for (const request of [
      { headers },
      { headers: { authorization, dpop: [one, two] } },
      { headers: { authorization, dpop: one }, rawHeaders },
      {
        headers: { authorization, dpop: `${one}, ${two}` },
        rawHeaders: ["Authorization", authorization, "DPoP", `${one}, ${two}`],
      },
      { headers: { authorization, dpop: `${one},${two}` } },
    ]) {
      expect(errorOf(await prove(BOUND, one, request)).code).toBe("invalid_dpop_proof");
    }
    allowed(await prove(BOUND, one));
  });

  it("is denied when it is used again, also by another token of its key and at another time", async () => {
    const service = dpopService();
    const proof = proofOf({ token: BOUND });
    allowed(await service.prove(BOUND, proof));
    const { code, headers } = errorOf(await service.prove(BOUND, proof));
    expect([code, headers["WWW-Authenticate"]]).toEqual(["invalid_dpop_proof", INVALID_PROOF]);
    service.clock.set((NOW + 59) * 1_000);
    expect(errorOf(await service.prove(BOUND, proof)).code).toBe("invalid_dpop_proof");
    expect(reasons(service)).toEqual(["auth.allowed", "dpop_proof_replayed", "dpop_proof_replayed"]);
  });

  it("may have the jti of another client", async () => {
    const { prove } = dpopService();
    const sent = token(claimsWith({ cnf: { jkt: await jktOf(otherEc.publicKey) } }));
    allowed(await prove(BOUND, proofOf({ token: BOUND, claims: { jti: "1" } })));
    allowed(await prove(sent, proofOf({ pair: otherEc, token: sent, claims: { jti: "1" } })));
  });

  it("is not used by a request that is denied for another reason, and does not use up a rate limit when replayed", async () => {
    const consume = vi.fn(() => ({ allowed: true, states: [] }));
    const { verifier } = dpopService({}, { rateLimiter: { consume } });
    const proof = proofOf({ token: BOUND });
    const request = {
      headers: { authorization: `DPoP ${BOUND}`, dpop: proof },
      method: "GET",
      path: "/vehicles",
    };
    expect(errorOf(await verifier.verify(request, "fleet:admin")).code).toBe("insufficient_scope");
    allowed(await verifier.verify(request, "vehicles:read"));
    errorOf(await verifier.verify(request, "vehicles:read"));
    expect(consume).toHaveBeenCalledTimes(1);
  });
});

describe("replays", () => {
  it("is called with a hash of the key and the jti, the end of the proof and the owner", async () => {
    const use = vi.fn(() => true);
    const { prove } = dpopService({ replays: { use }, maxAge: "10s" });
    allowed(await prove());
    expect(use.mock.calls).toEqual([
      [expect.stringMatching(/^[A-Za-z0-9_-]{43}$/), new Date((NOW + 40) * 1_000), "user-1"],
    ]);
  });

  it.each<[string, () => never]>([
    [
      "throws",
      () => {
        throw new Error("secret");
      },
    ],
    ["rejects", () => Promise.reject(new Error("secret")) as never],
    ["hangs", () => new Promise(() => {}) as never],
    ["returns no boolean", () => "OK" as never],
    ["fulfils with no boolean", () => Promise.resolve(undefined) as never],
  ])("fails with a StoreError if the store %s", async (_, use) => {
    const { prove, events } = dpopService({ replays: { use } }, { storeTimeout: "20ms" });
    const error = await thrownBy(() => prove());
    expect(error).toMatchObject({
      name: "StoreError",
      message: expect.stringContaining("The store of DPoP proofs"),
    });
    expect(String(error)).not.toContain("secret");
    expect(events.map(({ type }) => type)).toEqual(["auth.failed"]);
  });

  it("allows one of 20 concurrent requests with one proof", async () => {
    const { prove } = dpopService();
    const proof = proofOf({ token: BOUND });
    const results = await Promise.all(Array.from({ length: 20 }, () => prove(BOUND, proof)));
    expect(results.filter(({ ok }) => ok)).toHaveLength(1);
  });

  it("is a process warning by default", () => {
    const emitWarning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    try {
      jwtService({ dpop: { origin: ORIGIN } });
      dpopService();
      expect(emitWarning.mock.calls.map(([, options]) => (options as { code: string }).code)).toEqual([
        "KEYBEARER_LOCAL_REPLAYS",
      ]);
    } finally {
      emitWarning.mockRestore();
    }
  });
});

describe("nonceSecret", () => {
  const nonceSecret = "a-secret-of-at-least-thirty-two-bytes";

  it("requires the nonce of a response, which every process accepts for 5 minutes", async () => {
    const [one, other] = [dpopService({ nonceSecret }), dpopService({ nonceSecret })];
    const { code, status, headers } = errorOf(await one.prove());
    expect([code, status, headers["WWW-Authenticate"]]).toEqual([
      "invalid_dpop_proof",
      401,
      `DPoP error="use_dpop_nonce", algs="${ALGS}"`,
    ]);
    const nonce = headers["DPoP-Nonce"];
    allowed(await other.prove(BOUND, proofOf({ token: BOUND, claims: { nonce } })));
    other.clock.set((NOW + 300) * 1_000);
    const late = errorOf(
      await other.prove(BOUND, proofOf({ token: BOUND, claims: { nonce, iat: NOW + 300 } })),
    );
    expect(late.headers["DPoP-Nonce"]).not.toBe(nonce);
    expect([reasons(one), reasons(other)]).toEqual([
      ["dpop_nonce_required"],
      ["auth.allowed", "dpop_nonce_required"],
    ]);
  });

  it("does not answer an invalid proof with a nonce", async () => {
    const { prove } = dpopService({ nonceSecret });
    const { headers } = errorOf(await prove(BOUND, proofOf({ token: BOUND, claims: { htm: "POST" } })));
    expect(headers).toEqual({ "WWW-Authenticate": INVALID_PROOF });
  });
});

describe("a verifier with a resource", () => {
  it("names the metadata of the API in the challenges of both schemes", async () => {
    const metadata = 'resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"';
    const { verifier: tokens, prove } = dpopService({}, { resource: "https://api.example.com" });
    const missing = errorOf(await tokens.verify({ headers: {} }));
    expect(missing.headers["WWW-Authenticate"]).toBe(
      `Bearer realm="api", ${metadata}, DPoP algs="${ALGS}", ${metadata}`,
    );
    const invalid = errorOf(await prove(BOUND, proofOf({ token: BOUND, claims: { htm: "POST" } })));
    expect(invalid.headers["WWW-Authenticate"]).toBe(`${INVALID_PROOF}, ${metadata}`);
  });
});

describe("a request without a credential", () => {
  const verifier = createVerifier({ store: memoryStore(), scopes, format, realm: "fleet" });
  const challengeOf = async (subject: Pick<typeof verifier, "verify">, headers = {}) => {
    const { code, headers: sent } = errorOf(await subject.verify({ headers }));
    return [code, sent["WWW-Authenticate"]];
  };

  it("receives the challenges of both schemes", async () => {
    const { verifier: tokens } = dpopService();
    expect(await challengeOf(tokens)).toEqual([
      "missing_credential",
      `Bearer realm="api", DPoP algs="${ALGS}"`,
    ]);
    for (const order of [anyVerifier(verifier, tokens), anyVerifier(anyVerifier(verifier), tokens)]) {
      const expected = ["missing_credential", `Bearer realm="fleet", DPoP algs="${ALGS}"`];
      expect(await challengeOf(order)).toEqual(expected);
      expect(await challengeOf(order, { authorization: "Basic YTpi" })).toEqual(expected);
    }
    expect(await challengeOf(anyVerifier(tokens, verifier))).toEqual([
      "missing_credential",
      `Bearer realm="api", DPoP algs="${ALGS}"`,
    ]);
    expect(await challengeOf(anyVerifier(verifier, jwtService().verifier))).toEqual([
      "missing_credential",
      'Bearer realm="fleet"',
    ]);
  });

  it("is selected by its scheme where API keys are accepted too", async () => {
    const { verifier: tokens } = dpopService();
    const both = anyVerifier(verifier, tokens);
    const proof = proofOf({ token: BOUND });
    const headers = { authorization: `dpop ${BOUND}`, dpop: proof };
    allowed(await both.verify({ headers, method: "GET", path: "/vehicles" }));
    const key = format.generate("live");
    expect(errorOf(await both.verify({ headers: { authorization: `DPoP ${key}` } })).code).toBe(
      "invalid_key",
    );
    const two = `DPoP ${BOUND}, Bearer ${key}`;
    expect(errorOf(await both.verify({ headers: { authorization: two } })).code).toBe("malformed_credential");
    expect(errorOf(await both.verify({ headers: { authorization: "DPoP" } })).code).toBe(
      "malformed_credential",
    );
  });
});

describe("dpop", () => {
  it.each<[unknown, string]>([
    [undefined, '"dpop" is undefined'],
    [null, "dpop: expected an options object"],
    ["optional", "dpop: expected an options object"],
    [{}, '"dpop.origin" must be a URL'],
    [{ origin: ORIGIN, replay: {} }, 'dpop: unknown option "replay"'],
    [{ origin: ORIGIN, replays: {} }, '"dpop.replays" must have a method use()'],
    [{ origin: ORIGIN, replays: "shared" }, '"dpop.replays" must have a method use()'],
    [{ origin: ORIGIN, replays: undefined }, '"replays" is undefined'],
    [{ origin: ORIGIN, nonceSecret: undefined }, '"nonceSecret" is undefined'],
    [{ origin: ORIGIN, replays: "per-process", maxAge: "6m" }, '"dpop.maxAge"'],
    [{ origin: ORIGIN, replays: "per-process", maxAge: 60 }, '"dpop.maxAge"'],
  ])("rejects %j", (dpop, message) => {
    expect(() => jwtService({ dpop } as never)).toThrow(message);
  });

  it("cannot be combined with another header", () => {
    const dpop = { origin: ORIGIN, replays: "per-process" } as const;
    expect(() => jwtService({ dpop, credential: { header: "X-Token" } })).toThrow(
      'createJwtVerifier: "dpop" requires the header Authorization; omit "credential"',
    );
  });
});
