import { decodeJwt } from "jose";
import { describe, expect, it, vi } from "vitest";
import type { ApiKey, ManagedKeyStore } from "../../../src/index.js";
import { createJwtVerifier } from "../../../src/jwt/index.js";
import { createManagementApi } from "../../../src/management/index.js";
import type { TokenServiceOptions } from "../../../src/oauth/index.js";
import { failedAuthLimiter } from "../../../src/rate-limit/index.js";
import { allowed, bearer, errorOf, type FleetScope, scopes, service, thrownBy } from "../core/fixtures.js";
import { jktOf, type ProofParts, proofOf } from "../jwt/dpop/fixtures.js";
import { ec, otherEc } from "../jwt/fixtures.js";
import {
  ACCESS_TOKEN,
  AUDIENCE,
  EXCHANGE,
  exchanger,
  ISSUER,
  post,
  type Reply,
  read,
  tokenProof,
} from "./fixtures.js";

type Dpop = NonNullable<TokenServiceOptions<FleetScope>["dpop"]>;
const LOCAL = { replays: "per-process" } as const;
const jkt = await jktOf(ec.publicKey);

/** Creates a token service with one key; `request` requests a token, by default with a proof. */
async function binding(dpop: Dpop = LOCAL, more: Partial<TokenServiceOptions<FleetScope>> = {}) {
  const lookups: string[] = [];
  const store: Pick<ManagedKeyStore, "findByHash" | "findById"> = {
    findByHash(hash) {
      lookups.push("findByHash");
      return base.store.findByHash(hash);
    },
    findById(id) {
      lookups.push("findById");
      return base.store.findById(id);
    },
  };
  const base = exchanger({ dpop, store, ...more }, { store });
  const { key, secret } = await base.issue();
  const request = (proof?: ProofParts | null, form: Record<string, string> = {}): Promise<Reply> =>
    post(base.tokens, "/token", {
      form: { grant_type: "client_credentials", ...form },
      bearer: secret,
      headers: proof === null ? {} : { dpop: tokenProof(proof) },
    });
  const use = (token: string, scheme: string, parts: ProofParts = {}) =>
    base.tokens.verifier.verify({
      headers: { authorization: `${scheme} ${token}`, dpop: proofOf({ token, ...parts }) },
      method: "GET",
      path: "/vehicles",
    });
  return { ...base, key, secret, request, use, lookups };
}

describe("a request for a token with a proof", () => {
  it("returns a token that is bound to the key of the proof", async () => {
    const { request, use, key } = await binding();
    const { status, body } = await request();
    expect([status, body.token_type]).toEqual([200, "DPoP"]);
    const token = body.access_token as string;
    expect(decodeJwt(token).cnf).toEqual({ jkt });
    expect(allowed(await use(token, "DPoP")).id).toBe(key.id);
    expect(errorOf(await use(token, "Bearer")).code).toBe("invalid_key");
    expect(errorOf(await use(token, "DPoP", { pair: otherEc })).code).toBe("invalid_dpop_proof");
  });

  it("exchanges a subject token for a bound token", async () => {
    const { tokens, secret } = await binding();
    const form = { grant_type: EXCHANGE, subject_token: secret, subject_token_type: ACCESS_TOKEN };
    const { body } = await post(tokens, "/token", { form, headers: { dpop: tokenProof() } });
    expect([body.token_type, body.issued_token_type]).toEqual(["DPoP", ACCESS_TOKEN]);
  });

  it.each<[string, ProofParts]>([
    ["another method", { claims: { htm: "GET" } }],
    ["another path", { claims: { htu: `${ISSUER}/vehicles` } }],
    ["another host", { claims: { htu: "https://evil.example/token" } }],
    ["the signature of another key", { signer: otherEc.privateKey }],
    ["a private jwk", { header: { jwk: ec.privateKey.export({ format: "jwk" }) } }],
  ])("is a 400 invalid_dpop_proof without a lookup if the proof has %s", async (_, parts) => {
    const { request, lookups } = await binding();
    const { status, body, headers } = await request(parts);
    expect([status, body.error, body.code]).toEqual([400, "invalid_dpop_proof", "invalid_dpop_proof"]);
    expect([headers.get("www-authenticate"), headers.get("dpop-nonce")]).toEqual([null, null]);
    expect(lookups).toEqual([]);
  });

  it("is a 400 invalid_dpop_proof if the proof was used", async () => {
    const { tokens, secret } = await binding();
    const sent = {
      bearer: secret,
      headers: { dpop: tokenProof() },
      form: { grant_type: "client_credentials" },
    };
    expect((await post(tokens, "/token", sent)).status).toBe(200);
    expect((await post(tokens, "/token", sent)).body.error).toBe("invalid_dpop_proof");
  });

  it("does not use the proof if no token is issued", async () => {
    const { tokens, secret } = await binding();
    const sent = (scope: string) => ({
      bearer: secret,
      headers: { dpop },
      form: { grant_type: "client_credentials", scope },
    });
    const dpop = tokenProof();
    expect((await post(tokens, "/token", sent("fleet:admin"))).body.error).toBe("invalid_scope");
    expect((await post(tokens, "/token", sent("vehicles:read"))).status).toBe(200);
  });

  it("is a 400 use_dpop_nonce with a nonce, which the next proof has", async () => {
    const { request, use } = await binding({
      ...LOCAL,
      nonceSecret: "a-secret-of-at-least-thirty-two-bytes",
    });
    const { status, body, headers } = await request();
    expect([status, body.error]).toEqual([400, "use_dpop_nonce"]);
    expect(headers.get("cache-control")).toBe("no-store");
    const nonce = headers.get("dpop-nonce");
    const issued = await request({ claims: { nonce } });
    expect(issued.status).toBe(200);
    allowed(await use(issued.body.access_token as string, "DPoP", { claims: { nonce } }));
  });

  it("is a 503 if the store of proofs fails", async () => {
    const onError = vi.fn();
    const { request } = await binding({ replays: { use: () => Promise.reject(new Error()) } }, { onError });
    expect((await request()).status).toBe(503);
    expect(onError).toHaveBeenCalledOnce();
  });

  it("returns a bearer token if the service has no dpop", async () => {
    const { tokens, issue } = exchanger();
    const { secret } = await issue();
    const { body } = await post(tokens, "/token", {
      form: { grant_type: "client_credentials" },
      bearer: secret,
      headers: { dpop: tokenProof() },
    });
    expect(body.token_type).toBe("Bearer");
    expect(decodeJwt(body.access_token as string)).not.toHaveProperty("cnf");
  });
});

describe("a request for a token without a proof", () => {
  it.each<[string, Dpop]>([
    ["optional", LOCAL],
    ["false", { ...LOCAL, required: false }],
  ])("returns a bearer token if proofs are %s", async (_, dpop) => {
    const { request, tokens } = await binding(dpop);
    const { body } = await request(null);
    expect(body.token_type).toBe("Bearer");
    allowed(await tokens.verifier.verify(bearer(body.access_token as string)));
  });

  it("is a 400 invalid_dpop_proof if proofs are required", async () => {
    const { request } = await binding({ ...LOCAL, required: true });
    const { status, body } = await request(null);
    expect([status, body.error]).toEqual([400, "invalid_dpop_proof"]);
    expect((await request()).status).toBe(200);
  });

  it("is denied for the keys that the host selects", async () => {
    const { request, tokens, issue } = await binding({
      ...LOCAL,
      required: ({ metadata }) => metadata?.bound === true,
    });
    expect((await request(null)).status).toBe(200);
    const { secret } = await issue({ metadata: { bound: true } });
    const sent = { bearer: secret, form: { grant_type: "client_credentials" } };
    expect((await post(tokens, "/token", sent)).body.error).toBe("invalid_dpop_proof");
    expect(errorOf((await tokens.exchange({ request: bearer(secret) })) as never).code).toBe(
      "invalid_dpop_proof",
    );
  });

  it.each<[string, (key: ApiKey) => boolean]>([
    ["a scope", (key) => scopes.holds(key.scopes, "vehicles:write")],
    ["the owner", (key) => key.ownerId === "acme"],
  ])("is denied for a key and what it makes, if proofs are required by %s", async (_, required) => {
    const { manager, verifier, tokens, secret, key } = await binding({ ...LOCAL, required });
    const api = createManagementApi({
      keys: manager,
      verifier,
      requires: { write: "vehicles:write" },
      idempotency: "per-process",
    });
    const call = async (method: string, path: string, body: object) => {
      const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
      const request = new Request(`http://localhost/api-keys${path}`, {
        method,
        headers,
        body: JSON.stringify(body),
      });
      return read(await api(request));
    };
    const child = await call("POST", "", { scopes: ["vehicles:write"], metadata: { bound: false } });
    const changed = await call("PATCH", `/${key.id}`, { metadata: { bound: false } });
    const successor = await call("POST", `/${key.id}/rotate`, {});
    expect([child.status, changed.status, successor.status]).toEqual([201, 200, 201]);
    for (const bearer of [secret, child.body.secret as string, successor.body.secret as string]) {
      const { status, body } = await post(tokens, "/token", {
        bearer,
        form: { grant_type: "client_credentials", scope: "vehicles:read" },
      });
      expect([status, body.error]).toEqual([400, "invalid_dpop_proof"]);
    }
  });

  it.each<[string, () => unknown]>([
    ["undefined", () => undefined],
    ["a promise", async () => false],
    ["a string", () => "false"],
    [
      "an exception",
      () => {
        throw new Error("secret");
      },
    ],
  ])("fails if the host's callback returns %s", async (_, required) => {
    const { request, tokens, secret } = await binding(
      { ...LOCAL, required: required as never },
      { onError() {} },
    );
    expect((await request(null)).status).toBe(503);
    expect(await thrownBy(() => tokens.exchange({ request: bearer(secret) }))).toMatchObject({
      name: "StoreError",
      message: expect.stringContaining('The callback "dpop.required"'),
    });
  });
});

describe("exchange", () => {
  it("binds the token to the proof in the request, and says how to send it", async () => {
    const { tokens, secret } = await binding();
    const proof = tokenProof({ claims: { htu: `${ISSUER}/login` } });
    const request = { ...bearer(secret), method: "POST", path: "/login" };
    const headers = { authorization: `Bearer ${secret}`, dpop: proof };
    expect(await tokens.exchange({ request: { ...request, headers } })).toMatchObject({ tokenType: "DPoP" });
    expect(await tokens.exchange({ request })).toMatchObject({ tokenType: "Bearer" });
    const elsewhere = { ...request, headers, path: "/other" };
    const { code, headers: sent } = errorOf((await tokens.exchange({ request: elsewhere })) as never);
    expect([code, sent["WWW-Authenticate"]]).toEqual([
      "invalid_dpop_proof",
      expect.stringMatching(/^DPoP error="invalid_dpop_proof", algs="ES256 /),
    ]);
  });
});

describe("a bound token", () => {
  it("is described and revoked without a proof", async () => {
    const { tokens, request, secret, use } = await binding();
    const token = (await request()).body.access_token as string;
    const sent = { bearer: secret, form: { token } };
    expect((await post(tokens, "/introspect", sent)).body).toMatchObject({
      active: true,
      token_type: "DPoP",
      cnf: { jkt },
    });
    expect((await post(tokens, "/revoke", sent)).status).toBe(200);
    expect((await post(tokens, "/introspect", sent)).body).toEqual({ active: false });
    expect(errorOf(await use(token, "DPoP")).code).toBe("invalid_key");
  });

  it("cannot be used at the endpoints of its service", async () => {
    const { tokens, request } = await binding();
    const token = (await request()).body.access_token as string;
    const reply = await post(tokens, "/token", { bearer: token, form: { grant_type: "client_credentials" } });
    expect(reply.body.error).toBe("invalid_client");
  });

  it("is denied as Bearer by a service with the published keys and without dpop", async () => {
    const { tokens, request, clock } = await binding();
    const token = (await request()).body.access_token as string;
    const options = { issuer: ISSUER, audience: AUDIENCE, algorithms: ["ES256"], clock: clock.now, scopes };
    const verifier = createJwtVerifier({ ...options, jwks: tokens.jwks() });
    expect(errorOf(await verifier.verify(bearer(token))).code).toBe("invalid_key");
  });

  it("is denied without a lookup of its key if the proof is invalid", async () => {
    const { request, use, lookups } = await binding();
    const token = (await request()).body.access_token as string;
    lookups.length = 0;
    errorOf(await use(token, "Bearer"));
    errorOf(await use(token, "DPoP", { claims: { htm: "POST" } }));
    expect(lookups).toEqual([]);
    allowed(await use(token, "DPoP"));
    expect(lookups).toEqual(["findById"]);
  });

  it("counts invalid proofs, and not a missing nonce, as failures of the address", async () => {
    const base = service();
    const verifier = failedAuthLimiter(base.verifier, { failures: 2 });
    const nonceSecret = "a-secret-of-at-least-thirty-two-bytes";
    const { tokens, request } = await binding({ ...LOCAL, nonceSecret }, { verifier, store: base.store });
    const { secret } = await base.manager.create({ ownerId: "acme", environment: "live", scopes: [] });
    const first = await request();
    const nonce = first.headers.get("dpop-nonce");
    const { body } = await post(tokens, "/token", {
      form: { grant_type: "client_credentials" },
      bearer: secret,
      headers: { dpop: tokenProof({ claims: { nonce } }) },
    });
    const token = body.access_token as string;
    const use = async (claims: object) =>
      tokens.verifier.verify({
        headers: { authorization: `DPoP ${token}`, dpop: proofOf({ token, claims }) },
        method: "GET",
        path: "/vehicles",
        remoteAddress: "203.0.113.7",
      });
    for (let count = 0; count < 4; count++) expect(errorOf(await use({})).code).toBe("invalid_dpop_proof");
    for (let count = 0; count < 2; count++) {
      expect(errorOf(await use({ nonce, htm: "POST" })).code).toBe("invalid_dpop_proof");
    }
    expect(errorOf(await use({ nonce })).code).toBe("rate_limited");
  });
});

describe("metadata", () => {
  it("lists the algorithms of proofs, if there are proofs", async () => {
    const metadataOf = async ({ tokens }: Pick<Awaited<ReturnType<typeof binding>>, "tokens">) =>
      (await post(tokens, "/.well-known/oauth-authorization-server", { method: "GET" })).body;
    expect(await metadataOf(await binding())).toMatchObject({
      dpop_signing_alg_values_supported: ["ES256", "ES384", "EdDSA", "Ed25519", "PS256", "RS256"],
    });
    expect(await metadataOf(exchanger() as never)).not.toHaveProperty("dpop_signing_alg_values_supported");
  });
});

describe("dpop", () => {
  it.each<[unknown, string]>([
    ["always", '"dpop" must be "optional", "required" or an object'],
    ["", '"dpop" must be "optional", "required" or an object'],
    [undefined, '"dpop" is undefined'],
    [null, "dpop: expected an options object"],
    [true, "dpop: expected an options object"],
    [{ ...LOCAL, required: undefined }, '"required" is undefined'],
    [{ ...LOCAL, required: "yes" }, '"dpop.required" must be a function'],
    [{ ...LOCAL, origin: undefined }, '"origin" is undefined'],
    [{ ...LOCAL, requires: true }, 'unknown option "requires"'],
  ])("rejects %j", (dpop, message) => {
    expect(() => exchanger({ dpop: dpop as never })).toThrow(message);
  });

  it("requires an origin if the issuer is not a URL", () => {
    expect(() => exchanger({ issuer: "fleet", dpop: LOCAL })).toThrow('"dpop.origin" must be a URL');
    expect(() => exchanger({ issuer: "urn:fleet", dpop: LOCAL })).toThrow('"dpop.origin" must be a URL');
    exchanger({ issuer: "fleet", dpop: { ...LOCAL, origin: ISSUER } });
  });

  it.each(["optional", "required"] as const)("%j warns that proofs are not shared", (dpop) => {
    const emitWarning = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    try {
      exchanger({ dpop });
      expect(emitWarning).toHaveBeenCalledWith(
        expect.stringContaining("createTokenService: a DPoP proof can be used once in each process"),
        expect.objectContaining({ code: "KEYBEARER_LOCAL_REPLAYS" }),
      );
    } finally {
      emitWarning.mockRestore();
    }
  });
});
