import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import * as client from "openid-client";
import { afterEach, describe, expect, it } from "vitest";
import { expressAuth, expressHandler } from "../../../src/adapters/express.js";
import { anyVerifier } from "../../../src/index.js";
import type { TokenDpopOptions } from "../../../src/oauth/index.js";
import { type RawRequest, send } from "../../unit/adapters/raw.js";
import type { FleetScope } from "../../unit/core/fixtures.js";
import { athOf, type ProofParts, proofOf } from "../../unit/jwt/dpop/fixtures.js";
import { ec, otherEc } from "../../unit/jwt/fixtures.js";
import { type Exchanger, exchanger } from "../../unit/oauth/fixtures.js";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

const LOCAL = { replays: "per-process" } as const;
const nonceSecret = "a-secret-of-at-least-thirty-two-bytes";

/** Starts an Express service with API keys, a token service and guarded routes. */
async function serve(dpop: TokenDpopOptions) {
  const server = createServer((req, res) => app(req, res));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const issuer = `http://127.0.0.1:${port}`;
  const base: Exchanger = exchanger({ issuer, audience: issuer, dpop }, { clock: () => new Date() });
  const { verifier, tokens } = base;
  const app = express();
  const auth = expressAuth(anyVerifier<FleetScope>(verifier, tokens.verifier));
  const router = express.Router();
  router.all("/:id", auth("vehicles:read"), (req, res) => void res.json({ owner: req.auth.ownerId }));
  app.use("/fleet/vehicles", router);
  app.use(expressHandler(tokens.handler));
  const { key, secret } = await base.issue();
  return { ...base, issuer, port, key, secret };
}

describe.each<[string, TokenDpopOptions]>([
  ["without nonces", LOCAL],
  ["with nonces", { ...LOCAL, nonceSecret }],
  ["with required proofs", { ...LOCAL, required: true }],
])("openid-client, %s", (_, dpop) => {
  it.each(["ES256", "Ed25519", "PS256", "RS256"])("uses bound tokens with %s", async (alg) => {
    const { issuer, key, secret } = await serve(dpop);
    const config = await client.discovery(new URL(issuer), key.id, secret, client.ClientSecretBasic(secret), {
      algorithm: "oauth2",
      execute: [client.allowInsecureRequests],
    });
    expect(config.serverMetadata().dpop_signing_alg_values_supported).toContain(alg);
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair(alg));
    const grant = await client.clientCredentialsGrant(config, { scope: "vehicles:read" }, { DPoP });
    expect(grant.token_type).toBe("dpop");

    const url = new URL(`${issuer}/fleet/vehicles/7?page=2`);
    const fetchWith = (handle: client.DPoPHandle | undefined, method = "GET") =>
      client.fetchProtectedResource(
        config,
        grant.access_token,
        url,
        method,
        undefined,
        undefined,
        handle === undefined ? {} : { DPoP: handle },
      );
    for (const method of ["GET", "POST", "GET"]) {
      expect(await (await fetchWith(DPoP, method)).json()).toEqual({ owner: "acme" });
    }
    await expect(fetchWith(undefined)).rejects.toMatchObject({ status: 401 }); // as Bearer
    const thief = client.getDPoPHandle(config, await client.randomDPoPKeyPair(alg));
    await expect(fetchWith(thief)).rejects.toMatchObject({ status: 401 });
    expect(await client.tokenIntrospection(config, grant.access_token)).toMatchObject({
      active: true,
      token_type: "DPoP",
      cnf: { jkt: await DPoP.calculateThumbprint() },
    });
  });
});

describe("over a socket", () => {
  const PATH = "/fleet/vehicles/7";

  /** Starts a service, and returns functions that send raw requests to it. */
  async function attack(dpop: TokenDpopOptions = LOCAL) {
    const base = await serve(dpop);
    const { issuer, port, secret } = base;
    const now = () => Math.floor(Date.now() / 1_000);
    const proof = ({ claims, ...parts }: ProofParts = {}) =>
      proofOf({ ...parts, claims: { iat: now(), htu: `${issuer}${PATH}`, ...claims } });
    const get = async (headers: readonly string[], more: RawRequest = {}) => {
      const response = await send(port, { target: PATH, headers, host: `127.0.0.1:${port}`, ...more });
      if (response === undefined) throw new Error("no response");
      const challenges = response.lines.filter((line) => /^www-authenticate:/i.test(line));
      return {
        challenge: challenges.join("\n").replace(/^[^:]*: /, ""),
        ...response,
      };
    };
    const request = {
      headers: {
        authorization: `Bearer ${secret}`,
        dpop: proof({ claims: { htm: "POST", htu: `${issuer}/token` } }),
      },
    };
    const issued = await base.tokens.exchange({ request: { ...request, method: "POST", path: "/token" } });
    if (!issued.ok) throw issued.error;
    return { ...base, get, proof, token: issued.accessToken };
  }

  it("lists both schemes to a request without a credential", async () => {
    const { get } = await attack();
    const { status, challenge } = await get([]);
    expect([status, challenge]).toEqual([
      401,
      'Bearer realm="api", DPoP algs="ES256 ES384 EdDSA Ed25519 PS256 RS256"',
    ]);
  });

  it("denies two DPoP headers, and each of them alone is valid", async () => {
    const { get, proof, token } = await attack();
    const authorization = `Authorization: DPoP ${token}`;
    const [one, two] = [`DPoP: ${proof({ token })}`, `dpop: ${proof({ token })}`];
    for (const headers of [
      [authorization, one, two],
      [authorization, one, one],
      [authorization, one, "DPoP:"],
      [authorization, `${one}, ${two.slice(6)}`],
    ]) {
      const { status, challenge, body } = await get(headers);
      expect([status, challenge, JSON.parse(body).code]).toEqual([
        401,
        'DPoP error="invalid_dpop_proof", algs="ES256 ES384 EdDSA Ed25519 PS256 RS256"',
        "invalid_dpop_proof",
      ]);
    }
    expect((await get([authorization, one])).status).toBe(200);
    expect((await get([authorization, two])).status).toBe(200);
    expect((await get([authorization, two])).status).toBe(401);
  });

  it("denies two credentials, whatever their schemes and their order", async () => {
    const { get, proof, token, secret } = await attack();
    const dpop = `DPoP: ${proof({ token })}`;
    const [bound, key] = [`Authorization: DPoP ${token}`, `Authorization: Bearer ${secret}`];
    for (const headers of [[bound, key], [key, bound], [bound, bound], [`${bound}, Bearer ${secret}`]]) {
      const { status, body } = await get([...headers, dpop]);
      expect([status, JSON.parse(body).code]).toEqual([401, "malformed_credential"]);
    }
    expect((await get([bound, dpop])).status).toBe(200);
  });

  const ATTACKS: Readonly<Record<string, ProofParts | ((issuer: string, secret: string) => ProofParts)>> = {
    "the proof of another method": { claims: { htm: "POST" } },
    "the proof of another path": (issuer) => ({ claims: { htu: `${issuer}/fleet/vehicles/8` } }),
    "the proof of the path below the mount": (issuer) => ({ claims: { htu: `${issuer}/7` } }),
    "the proof of another service": { claims: { htu: `https://partner.example${PATH}` } },
    "the proof for the API key": (_, secret) => ({ claims: { ath: athOf(secret) } }),
    "the proof of a token request": { claims: { ath: undefined } },
    "an old proof": { claims: { iat: Math.floor(Date.now() / 1_000) - 61 } },
    "a proof of the future": { claims: { iat: Math.floor(Date.now() / 1_000) + 600 } },
    "the key of a thief": { pair: otherEc },
    "the key of the client and the signature of a thief": { signer: otherEc.privateKey },
    "the algorithm none": { header: { alg: "none" } },
    "HS256 with the public key": {
      alg: "HS256",
      signer: JSON.stringify(ec.publicKey.export({ format: "jwk" })),
    },
    "a private key in the header": { header: { jwk: ec.privateKey.export({ format: "jwk" }) } },
    "a proof of more than 8 KiB": { claims: { padding: "x".repeat(7_000) } },
  };
  it.each(Object.entries(ATTACKS))("denies %s", async (_, attackOf) => {
    const { get, proof, token, issuer, secret } = await attack();
    const parts = typeof attackOf === "function" ? attackOf(issuer, secret) : attackOf;
    const headers = [`Authorization: DPoP ${token}`, `DPoP: ${proof({ token, ...parts })}`];
    const { status, body, challenge } = await get(headers);
    expect([status, JSON.parse(body).code]).toEqual([401, "invalid_dpop_proof"]);
    expect(challenge).toContain('DPoP error="invalid_dpop_proof"');
    expect(body).not.toContain("7000");
  });

  it("denies a target that the router and the client read differently", async () => {
    const { get, proof, token, issuer } = await attack();
    const authorization = `Authorization: DPoP ${token}`;
    for (const target of [
      "/Fleet/Vehicles/7",
      `${PATH}/`,
      "/fleet/vehicles/7%2F",
      "/fleet/vehicles/%2E%2E",
    ]) {
      const parts = {
        token,
        claims: { htu: `${issuer}${target.includes("%2E") ? "/fleet/vehicles/.." : PATH}` },
      };
      const { status, body } = await get([authorization, `DPoP: ${proof(parts)}`], { target });
      expect([target, status, JSON.parse(body).code]).toEqual([target, 401, "invalid_dpop_proof"]);
    }
    const { status } = await get([authorization, `DPoP: ${proof({ token })}`], { target: `${PATH}?a=b` });
    expect(status).toBe(200);
  });

  it("sends a nonce that the next proof has, in the header of a 401", async () => {
    const { issuer, port, secret } = await serve({ ...LOCAL, nonceSecret });
    const iat = Math.floor(Date.now() / 1_000);
    const request = (claims: object) =>
      fetch(`${issuer}/token`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${secret}`,
          dpop: proofOf({ claims: { iat, htm: "POST", htu: `${issuer}/token`, ...claims } }),
        },
        body: new URLSearchParams({ grant_type: "client_credentials" }),
      });
    const first = await request({});
    expect([first.status, ((await first.json()) as { error: string }).error]).toEqual([
      400,
      "use_dpop_nonce",
    ]);
    const nonce = first.headers.get("dpop-nonce");
    const { access_token: token } = (await (await request({ nonce })).json()) as { access_token: string };
    const use = (claims: object) =>
      send(port, {
        target: PATH,
        headers: [
          `Authorization: DPoP ${token}`,
          `DPoP: ${proofOf({ token, claims: { iat, htu: `${issuer}${PATH}`, ...claims } })}`,
        ],
      });
    const denied = await use({});
    expect(denied?.status).toBe(401);
    expect(denied?.lines.join("\n")).toMatch(/^dpop-nonce: [\w.-]+$/im);
    expect(denied?.lines.join("\n")).toMatch(/^www-authenticate: DPoP error="use_dpop_nonce", algs="/im);
    expect((await use({ nonce }))?.status).toBe(200);
  });
});
