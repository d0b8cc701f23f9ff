import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { exportJWK, SignJWT } from "jose";
import { describe, expect, it, onTestFinished } from "vitest";
import { CONFIG, done, freshPlace, run } from "../command.js";
import { administrator, call, serve } from "./service.js";

describe("the optional parts of keybearer serve", { timeout: 60_000 }, () => {
  it("lets the subjects of an OIDC issuer manage the keys of their owner, and administrators those of the operator", async () => {
    const { issuer, sign } = await startIssuer();
    const oidc = {
      issuer,
      audience: "keys",
      administrators: ["root"],
      scopes: ["keybearer:write", "vehicles:read"],
    };
    const place = freshPlace(undefined, { ...CONFIG, serve: { oidc } });
    const service = await serve(place, ["--host", "0.0.0.0", "--port", "0"]);
    expect(service.token).toBeUndefined();
    const at = { url: service.url.replace("0.0.0.0", "127.0.0.1") };
    const create = async (claims: object, scopes: readonly string[]) =>
      call(at, "POST", "/v1/api-keys", await sign(claims), { scopes, environment: "live" });
    const acme = await create({ sub: "u1", org_id: "acme" }, ["vehicles:read"]);
    expect(acme).toMatchObject({ status: 201, body: { key: { ownerId: "acme" } } });
    expect((await create({ sub: "u1", org_id: "acme" }, ["keybearer:admin"])).status).toBe(403);
    expect((await create({ sub: "u1", org_id: "operator" }, ["vehicles:read"])).status).toBe(401);
    expect((await create({ sub: "u1" }, ["vehicles:read"])).status).toBe(401);
    const root = await create({ sub: "root", org_id: "acme" }, ["keybearer:admin"]);
    expect(root).toMatchObject({ status: 201, body: { key: { ownerId: "operator" } } });
    expect((await call(at, "POST", "/v1/api-keys", await sign({ sub: "root" }, "other"), {})).status).toBe(
      401,
    );
  });

  it("serves the key page to people with a link, tokens with a JWKS, and a receiver of leak reports", async () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const pem = privateKey.export({ type: "pkcs8", format: "pem" }) as string;
    const settings = {
      publicUrl: "http://127.0.0.1:8080/keys/",
      tokens: { issuer: "http://127.0.0.1:8080/oauth", audience: "api", keyVariable: "TOKEN_KEY" },
      leaks: { github: false, trufflehog: { credentialVariable: "TRUFFLEHOG" } },
    };
    const place = freshPlace(undefined, { ...CONFIG, environments: ["live"], serve: settings });
    const env = { TOKEN_KEY: pem, TRUFFLEHOG: "0123456789abcdef" };
    expect(await run(place, ["serve"], { env: { ...env, TOKEN_KEY: "" } })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('TOKEN_KEY of "serve.tokens.keyVariable" is not set'),
    });
    const admin = await administrator(place);
    const service = await serve(place, ["--port", "0"], env);

    const link = await call(service, "POST", "/portal-links", admin, { actor: "ann" });
    expect(link.body.url).toMatch(/^http:\/\/127\.0\.0\.1:8080\/keys\/#/);
    expect((await call(service, "GET", "/keys/")).headers.get("content-security-policy")).toBeTruthy();
    const bound = { scopes: ["keybearer:admin"], expiresAt: "2999-01-01T00:00:00Z" };
    const limited = await call(service, "POST", "/v1/api-keys", admin, bound);
    expect(await call(service, "POST", "/portal-links", limited.body.secret, { actor: "ann" })).toMatchObject(
      {
        status: 403,
        body: { code: "exceeds_own_key" },
      },
    );

    expect((await call(service, "GET", "/oauth/.well-known/jwks.json")).body.keys).toHaveLength(1);
    const token = await fetch(`${service.url}/oauth/token`, {
      method: "POST",
      headers: { authorization: `Bearer ${admin}` },
      body: new URLSearchParams({ grant_type: "client_credentials" }),
    });
    expect(token.status).toBe(200);
    const { access_token } = (await token.json()) as { access_token: string };
    // Tokens are for other services: they do not manage keys here.
    expect((await call(service, "GET", "/v1/api-keys", access_token)).status).toBe(401);

    expect((await call(service, "POST", "/leaks", undefined, {})).status).toBe(401);
    const { stdout, stderr } = service.output();
    for (const one of [admin, access_token, pem]) expect(stdout + stderr).not.toContain(one);
  });

  it("verifies without a credential on a loopback address if asked to", async () => {
    const place = freshPlace(undefined, { ...CONFIG, serve: { openVerify: true } });
    const admin = await administrator(place);
    const service = await serve(place);
    expect((await call(service, "POST", "/verify", undefined, { secret: admin })).body.allowed).toBe(true);
  });
});

/** Starts an OIDC issuer on a free port. */
async function startIssuer() {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const jwk = { ...(await exportJWK(publicKey)), kid: "k1", alg: "ES256" };
  let issuer = "";
  const server = createServer((req, res) => {
    const isMetadata = req.url === "/.well-known/openid-configuration";
    res.setHeader("content-type", "application/json");
    res.end(JSON.stringify(isMetadata ? { issuer, jwks_uri: `${issuer}/jwks` } : { keys: [jwk] }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  issuer = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  const sign = (claims: object, audience = "keys") =>
    new SignJWT({ ...claims })
      .setProtectedHeader({ alg: "ES256", kid: "k1" })
      .setIssuer(issuer)
      .setAudience(audience)
      .setExpirationTime("5m")
      .sign(privateKey);
  return { issuer, sign };
}

describe("the gateway of keybearer serve", { timeout: 60_000 }, () => {
  const gateway = {
    proxy: "nginx",
    peers: ["127.0.0.1"],
    routes: [{ path: "/vehicles{/*}?", method: "GET", requires: "vehicles:read" }],
  };

  it("answers the proxy at /authz", async () => {
    const place = freshPlace(undefined, { ...CONFIG, serve: { gateway } });
    await done(place, ["migrate"]);
    const secret = (await done(place, ["create", "--owner", "acme", "--scope", "vehicles:read"])).trim();
    const service = await serve(place);
    const ask = (method: string) =>
      fetch(`${service.url}/authz`, {
        headers: {
          authorization: `Bearer ${secret}`,
          "x-original-method": method,
          "x-original-uri": "/vehicles/1",
        },
      });
    const allowed = await ask("GET");
    expect([allowed.status, allowed.headers.get("x-auth-owner")]).toEqual([200, "acme"]);
    expect((await ask("POST")).status).toBe(403);
  });

  it("does not start with a route of an undefined scope, or a token that is not set", async () => {
    const routes = [{ path: "/*", requires: "vehicles:rea" }];
    for (const [serveSettings, message] of [
      [{ gateway: { ...gateway, routes } }, "vehicles:rea"],
      [{ gateway: { ...gateway, tokenVariable: "NOT_SET" } }, "NOT_SET"],
      [{ gateway: { ...gateway, proxy: "apache" } }, "serve.gateway.proxy"],
    ] as const) {
      const place = freshPlace(undefined, { ...CONFIG, serve: serveSettings });
      await administrator(place);
      const { code, stderr } = await run(place, ["serve", "--port", "0"]);
      expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
    }
  });
});
