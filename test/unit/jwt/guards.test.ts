import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expressAuth } from "../../../src/adapters/express.js";
import { fetchAuth } from "../../../src/adapters/fetch.js";
import { nodeAuth, toNodeListener } from "../../../src/adapters/node.js";
import { anyVerifier } from "../../../src/core/verifier/any-verifier.js";
import { forgeries } from "../../conformance/jwt/forgeries.js";
import { service } from "../core/fixtures.js";
import { claimsWith, jwtService, NOW, token } from "./fixtures.js";

const keys = service();
const down = jwtService({ jwks: "http://127.0.0.1:1/jwks.json" });
const verifiers = {
  jwt: jwtService().verifier,
  any: anyVerifier(keys.verifier, jwtService().verifier),
  down: down.verifier,
};
const seen: unknown[] = [];
const onError = (error: unknown) => void seen.push(error);

const creators: Readonly<Record<string, (name: keyof typeof verifiers) => Server>> = {
  express(name) {
    const app = express();
    const auth = expressAuth(verifiers[name], { onError });
    app.get(
      "/",
      auth("vehicles:read"),
      (req, res) => void res.json({ auth: req.auth, sub: req.auth.claims?.sub }),
    );
    app.get("/write", auth("vehicles:write"), (_req, res) => void res.json({}));
    app.get("/optional", auth({ optional: true }), (req, res) => void res.json({ id: req.auth?.id ?? null }));
    return createServer(app);
  },
  fetch(name) {
    const auth = fetchAuth(verifiers[name], { onError });
    const read = auth("vehicles:read", (_request, { auth: principal }) =>
      Response.json({ auth: principal, sub: principal.claims?.sub }),
    );
    const write = auth("vehicles:write", () => Response.json({}));
    const optional = auth({ optional: true }, (_request, { auth: principal }) =>
      Response.json({ id: principal?.id ?? null }),
    );
    const routes: Record<string, typeof read> = { "/write": write, "/optional": optional };
    return createServer(
      toNodeListener((request, connection) =>
        (routes[new URL(request.url).pathname] ?? read)(request, connection),
      ),
    );
  },
  node(name) {
    const auth = nodeAuth(verifiers[name], { onError });
    const read = auth(
      "vehicles:read",
      (req, res) => void res.end(JSON.stringify({ auth: req.auth, sub: req.auth.claims?.sub })),
    );
    const write = auth("vehicles:write", (_req, res) => void res.end("{}"));
    const optional = auth(
      { optional: true },
      (req, res) => void res.end(JSON.stringify({ id: req.auth?.id ?? null })),
    );
    const routes: Record<string, typeof read> = { "/write": write, "/optional": optional };
    return createServer((req, res) => void (routes[req.url ?? ""] ?? read)(req, res));
  },
};

describe.each(Object.keys(creators))("createJwtVerifier with the %s guard", (framework) => {
  const servers = {} as Record<keyof typeof verifiers, Server>;
  beforeAll(async () => {
    for (const name of ["jwt", "any", "down"] as const) {
      const server = (creators[framework] as (typeof creators)[string])(name);
      servers[name] = server;
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    }
  });
  afterAll(() => {
    for (const server of Object.values(servers)) server.close().closeAllConnections();
  });

  const get = async (name: keyof typeof verifiers, sent?: string, path = "/") => {
    const { port } = servers[name].address() as AddressInfo;
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      headers: sent === undefined ? {} : { authorization: `Bearer ${sent}`, "x-request-id": "id-1" },
    });
    return {
      status: response.status,
      headers: response.headers,
      body: (await response.json()) as Record<string, unknown>,
    };
  };

  it("allows a token, and omits the claims from JSON", async () => {
    const { status, body } = await get("jwt", token(claimsWith({ email: "a@b.c" })));
    expect(status).toBe(200);
    expect(body).toEqual({
      auth: {
        type: "jwt",
        id: "user-1",
        ownerId: "user-1",
        scopes: ["vehicles:read", "drivers:read"],
        requestId: "id-1",
      },
      sub: "user-1",
    });
  });

  it("responds to a denial with status, code and challenge", async () => {
    const challenge = async (name: keyof typeof verifiers, sent?: string, path?: string) => {
      const { status, headers, body } = await get(name, sent, path);
      return [status, body.code, headers.get("www-authenticate")];
    };
    expect(await challenge("jwt")).toEqual([401, "missing_credential", 'Bearer realm="api"']);
    expect(await challenge("jwt", token(claimsWith({ exp: NOW })))).toEqual([
      401,
      "invalid_key",
      'Bearer realm="api", error="invalid_token"',
    ]);
    expect(await challenge("jwt", token(), "/write")).toEqual([
      403,
      "insufficient_scope",
      'Bearer realm="api", error="insufficient_scope", scope="vehicles:write"',
    ]);
    expect(await challenge("down", token())).toEqual([503, "unavailable", null]);
    expect(`${seen.at(-1)}`).toContain("The JSON Web Key Set");
  });

  it("allows an optional route without a token, but not with an invalid one", async () => {
    expect((await get("jwt", undefined, "/optional")).body).toEqual({ id: null });
    expect((await get("jwt", token(), "/optional")).body).toEqual({ id: "user-1" });
    expect((await get("jwt", `${token()}x`, "/optional")).status).toBe(401);
  });

  it("accepts keys and tokens on one route with anyVerifier", async () => {
    const { secret, key } = await keys.manager.create({
      ownerId: "acme",
      scopes: ["vehicles:read"],
      environment: "live",
    });
    expect((await get("any", secret)).body).toMatchObject({ auth: { type: "api_key", id: key.id } });
    expect((await get("any", token())).body).toMatchObject({ auth: { type: "jwt", id: "user-1" } });
    expect((await get("any")).body.message).toContain("a valid API key");
  });

  it("responds with 401 to forged tokens", async () => {
    const sendable = forgeries.filter(({ token: sent }) => /^[\x21-\x7e]{1,8200}$/.test(sent));
    for (const { name, token: sent } of sendable.filter((_, index) => index % 3 === 0)) {
      expect((await get("any", sent)).status, name).toBe(401);
    }
  });
});
