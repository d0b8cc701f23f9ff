import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import * as client from "openid-client";
import { afterEach, describe, expect, it } from "vitest";
import { toNodeListener } from "../../../src/adapters/node.js";
import { createJwtVerifier } from "../../../src/jwt/index.js";
import { allowed, bearer, errorOf, scopes } from "../../unit/core/fixtures.js";
import { ACCESS_TOKEN, EXCHANGE, exchanger } from "../../unit/oauth/fixtures.js";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

/** Starts a token service at the issuer `http://127.0.0.1:…<path>`. */
async function serve(path: string, basePath: string) {
  const server = createServer((req, res) => void listener(req, res));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`;
  const base = exchanger({ issuer, audience: issuer, basePath }, { clock: () => new Date() });
  const listener = toNodeListener(base.tokens.handler);
  const discover = (id: string, secret: string | undefined, auth?: client.ClientAuth) =>
    client.discovery(new URL(issuer), id, secret, auth, {
      algorithm: "oauth2",
      execute: [client.allowInsecureRequests],
    });
  return { ...base, issuer, discover };
}

const ISSUERS: readonly (readonly [path: string, basePath: string])[] = [
  ["", ""],
  ["/", ""],
  ["/oauth", "/oauth"],
  ["/oauth/", "/oauth"],
  ["/tenants/acme", "/tenants/acme"],
];

describe.each(ISSUERS)("openid-client, with an issuer at %j and the endpoints below %j", (path, basePath) => {
  it("discovers the service, and requests, exchanges, introspects and revokes tokens", async () => {
    const { tokens, issue, discover } = await serve(path, basePath);
    const { secret, key } = await issue();
    for (const auth of [client.ClientSecretBasic(secret), client.ClientSecretPost(secret)]) {
      const config = await discover(key.id, secret, auth);
      const { access_token, token_type } = await client.clientCredentialsGrant(config, {
        scope: "vehicles:read",
      });
      expect(token_type).toBe("bearer");
      expect(allowed(await tokens.verifier.verify(bearer(access_token))).id).toBe(key.id);

      const subject = { subject_token: secret, subject_token_type: ACCESS_TOKEN };
      const exchanged = await client.genericGrantRequest(config, EXCHANGE, subject);
      expect(exchanged.issued_token_type).toBe(ACCESS_TOKEN);

      expect((await client.tokenIntrospection(config, exchanged.access_token)).active).toBe(true);
      await client.tokenRevocation(config, exchanged.access_token);
      expect((await client.tokenIntrospection(config, exchanged.access_token)).active).toBe(false);
      await client.tokenRevocation(config, "an-unknown-opaque-token");
      await expect(client.tokenRevocation(config, secret)).rejects.toMatchObject({
        error: "unsupported_token_type",
      });
    }
  });

  it("exchanges a key without client authentication, which the metadata lists as none", async () => {
    const { tokens, issue, discover } = await serve(path, basePath);
    const { secret, key } = await issue();
    const config = await discover(key.id, undefined, client.None());
    expect(config.serverMetadata().token_endpoint_auth_methods_supported).toContain("none");
    const subject = { subject_token: secret, subject_token_type: ACCESS_TOKEN };
    const { access_token } = await client.genericGrantRequest(config, EXCHANGE, subject);
    expect(allowed(await tokens.verifier.verify(bearer(access_token))).id).toBe(key.id);
  });

  it("is verified by a service that discovers the keys", async () => {
    const { issuer, issue, tokens } = await serve(path, basePath);
    const options = { audience: issuer, algorithms: ["ES256"], scopes, discover: true } as const;
    const verifier = createJwtVerifier({ issuer, ...options });
    const { secret } = await issue();
    const exchanged = await tokens.exchange({ request: bearer(secret) });
    if (!exchanged.ok) throw exchanged.error;
    const { accessToken } = exchanged;
    allowed(await verifier.verify(bearer(accessToken), "vehicles:read"));
    expect(errorOf(await verifier.verify(bearer(`${accessToken.slice(0, -4)}AAAA`))).code).toBe(
      "invalid_key",
    );
  });
});
