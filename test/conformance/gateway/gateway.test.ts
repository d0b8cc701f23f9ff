// The attack catalogue of the gateway, through real proxies in front of a backend in Python. Nothing that must not reach the
// backend does, and what must, does.

import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { createLocalJWKSet, jwtVerify } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createKeyManager, createVerifier, StoreError } from "../../../src/index.js";
import { createRateLimiter } from "../../../src/rate-limit/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { format, scopes } from "../../unit/core/fixtures.js";
import {
  isInstalled,
  type ProxyName,
  type RawResponse,
  SETUPS,
  send,
  startWorld,
  type World,
} from "./proxies.js";

const names = Object.keys(SETUPS) as ProxyName[];
const ROUTES = [
  { path: "/public/*", access: "public" },
  { path: "/private/*", access: "deny" },
  { path: "/me", access: "any-key" },
  { path: "/vehicles{/*}?", method: "GET", requires: "vehicles:read" },
  { path: "/vehicles{/*}?", method: ["POST", "PUT"], requires: "vehicles:write" },
  { path: "/admin/*", requires: "fleet:admin" },
] as const;
const IDENTITY = ["key-id", "owner", "scopes", "environment", "assertion"];

const signingKey = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
const store = memoryStore();
let isDown = false;
const findByHash: typeof store.findByHash = (hash) => {
  if (isDown) throw new StoreError("down");
  return store.findByHash(hash);
};
const manager = createKeyManager({ store, scopes, format });
const verifier = createVerifier({
  store: { ...store, findByHash },
  scopes,
  format,
  trustedProxies: ["loopback"],
  missingForwardedHeader: "use-peer",
  rateLimiter: createRateLimiter({}),
});
const options = {
  verifier,
  routes: ROUTES,
  assertion: { issuer: "https://gateway.example", audience: "https://backend.example", signingKey },
};

async function issue(
  granted: readonly (typeof scopes.names)[number][],
  more: {
    rateLimit?: { limit: number; windowSeconds: number };
    ipAllowlist?: string[];
    ownerId?: string;
  } = {},
) {
  const { secret, key } = await manager.create({
    ownerId: "acme-ä",
    scopes: granted,
    environment: "live",
    ...more,
  });
  return { secret, id: key.id };
}

describe.each(names)("%s", (name) => {
  if (!isInstalled(name)) return it.skip(`${name} is not installed`, () => {});
  let world: World;
  let reader: { secret: string; id: string };
  beforeAll(async () => {
    world = await startWorld(name, options);
    reader = await issue(["vehicles:read"]);
  });
  afterAll(() => world.close());

  /** Sends a request with header lines, and returns the response and whether it reached the backend. */
  const ask = async (
    line: string,
    lines: readonly string[] = [],
    body = "",
  ): Promise<RawResponse & { readonly isReached: boolean }> => {
    const all = ["Host: api.example", "Connection: close", ...lines];
    if (body !== "") all.push(`Content-Length: ${body.length}`);
    const before = await world.reached();
    const response = await send(world.port, `${line}\r\n${all.join("\r\n")}\r\n\r\n${body}`);
    const isReached = response.headers.some(([header]) => header === "x-backend");
    expect(await world.reached(), line).toBe(before + (isReached ? 1 : 0));
    return { ...response, isReached };
  };
  const withKey = (secret = reader.secret) => [`Authorization: Bearer ${secret}`];
  const get = (path: string, lines = withKey()) => ask(`GET ${path} HTTP/1.1`, lines);
  const headerOf = ({ headers }: RawResponse, wanted: string) =>
    headers.filter(([header]) => header === wanted).map(([, value]) => value);
  const seenBy = ({ body }: RawResponse) =>
    JSON.parse(body) as { line: string; headers: [string, string][]; body: string };

  it("passes allowed requests on, with identity headers and without the secret", async () => {
    const { secret, id } = await issue(["vehicles:write", "drivers:read"]);
    const response = await ask(
      "POST /vehicles/7?x=%2F..;&y=a%20b HTTP/1.1",
      [...withKey(secret), "Content-Type: text/plain"],
      "hello",
    );
    expect(response.status).toBe(200);
    const seen = seenBy(response);
    expect([seen.line, seen.body]).toEqual(["POST /vehicles/7?x=%2F..;&y=a%20b HTTP/1.1", "hello"]);
    const identity = seen.headers
      .map(([header, value]) => [header.toLowerCase(), value] as const)
      .filter(([header]) => /^x[-_.]auth/.test(header) && header !== "x-auth-assertion");
    expect(identity.sort()).toEqual([
      ["x-auth-environment", "live"],
      ["x-auth-key-id", id],
      ["x-auth-owner", "acme-%C3%A4"],
      ["x-auth-scopes", "vehicles:write drivers:read"],
    ]);
    expect(response.body).not.toContain(secret);
  });

  it("passes on a signed assertion that the backend can verify", async () => {
    if (name === "caddy") return; // its recipe does not copy the header
    const response = await get("/vehicles/1");
    const assertion = seenBy(response).headers.find(([header]) => /^x-auth-assertion$/i.test(header))?.[1];
    const { payload } = await jwtVerify(assertion ?? "", createLocalJWKSet(world.jwks()), {
      issuer: "https://gateway.example",
      audience: "https://backend.example",
    });
    expect(payload).toMatchObject({
      sub: reader.id,
      owner_id: "acme-ä",
      scope: "vehicles:read",
      method: "GET",
      path: "/vehicles/1",
      exp: (payload.iat ?? 0) + 30,
    });
  });

  it("passes on what is public, with unknown identity", async () => {
    const response = await get("/public/page", []);
    expect(response.status).toBe(200);
    const { headers } = seenBy(response);
    for (const part of ["Key-Id", "Owner", "Scopes", "Environment"]) {
      const values = headers.filter(([header]) => header.toLowerCase() === `x-auth-${part.toLowerCase()}`);
      expect(values.map(([, value]) => value)).toEqual(["-"]);
    }
  });

  it("passes on every method and path that a route allows", async () => {
    for (const line of [
      "GET /me HTTP/1.1",
      "DELETE /me HTTP/1.1",
      "HEAD /vehicles HTTP/1.1",
      "GET /vehicles HTTP/1.1",
      "GET /vehicles/ HTTP/1.1",
      "GET /vehicles/a%20b HTTP/1.1",
      "GET /%76ehicles/~a.b,c@d HTTP/1.1",
      "GET /vehicles?q=../../admin HTTP/1.1",
      "GET /vehicles HTTP/1.0",
    ]) {
      const response = await ask(line, withKey());
      expect([line, response.status, response.isReached]).toEqual([line, 200, true]);
    }
  });

  it("denies what no route allows, and what the key may not do", async () => {
    const statuses: [string, number][] = [
      ["GET /admin/x", 403],
      ["POST /vehicles/1", 403],
      ["DELETE /vehicles/1", 403],
      ["GET /private/x", 403],
      ["GET /", 403],
      ["GET /other", 403],
      ["GET /VEHICLES", 403],
      ["OPTIONS /vehicles", 403],
      ["get /vehicles", 403],
    ];
    for (const [line, status] of statuses) {
      const response = await ask(`${line} HTTP/1.1`, withKey());
      expect(response.isReached, line).toBe(false);
      if (line !== "get /vehicles") expect([line, response.status]).toEqual([line, status]);
    }
  });

  it.each([
    "/public/../admin/x",
    "/public/..",
    "/public/%2e%2e/admin/x",
    "/public/%2E%2E%2Fadmin/x",
    "/public/.%2e/admin/x",
    "/public/./x",
    "//admin/x",
    "/public//x",
    "//evil.example/public/x",
    "/public%2fx",
    "/public/%5c..%5cadmin",
    "/public\\..\\admin",
    "/public;a=b/x",
    "/public/x;",
    "/public/%3b",
    "/public/%252e%252e/admin",
    "/public/%00",
    "/public/x%0d%0aX-Auth-Owner:%20evil",
    "/public/%zz",
    "/public/%c0%ae%c0%ae/admin",
    "/public/%ff",
  ])("denies the ambiguous path %s", async (path) => {
    const response = await get(path, withKey());
    expect(response.isReached).toBe(false);
  });

  it("decides by the request itself, whatever headers claim", async () => {
    for (const lines of [
      ["X-Original-Method: GET"],
      ["X-Original-Method: GET", "X-Original-URI: /public/x"],
      ["X-Forwarded-Method: GET", "X-Forwarded-Uri: /public/x"],
      ["X-Forwarded-Method: GET"],
      ["X_Original_Method: GET", "X_Original_URI: /public/x"],
      ["X-Original-Url: /public/x", "X-Rewrite-Url: /public/x"],
      ["X-HTTP-Method-Override: GET"],
      ["X-Auth-Status: 200"],
      ["X-Envoy-Original-Path: /public/x", "X-Envoy-Original-Method: GET"],
    ]) {
      const post = await ask("POST /vehicles/1 HTTP/1.1", [...withKey(), ...lines], "x");
      expect([lines, post.isReached, post.status]).toEqual([lines, false, 403]);
      const admin = await get("/admin/x", [...withKey(), ...lines]);
      expect([lines, admin.isReached]).toEqual([lines, false]);
    }
  });

  it("never passes on identity headers of the client, in any spelling", async () => {
    const spellings = IDENTITY.flatMap((part) => {
      const parts = ["x", "auth", ...part.split("-")];
      const separators = ["-", "_", "."];
      const joined = parts
        .slice(1)
        .reduce(
          (spelled, next) => spelled.flatMap((text) => separators.map((one) => text + one + next)),
          [parts[0] as string],
        );
      return joined.flatMap((text) => [text, text.toUpperCase()]);
    });
    for (const path of ["/vehicles/1", "/public/x"]) {
      const response = await get(path, [...withKey(), ...spellings.map((header) => `${header}: evil`)]);
      if (response.status === 400) continue; // refused as a whole
      expect(response.status).toBe(200);
      expect(response.body).not.toContain("evil");
    }
    // And one by one, because a proxy may refuse the request above for one of them.
    for (const header of spellings) {
      const response = await get("/vehicles/1", [...withKey(), `${header}: evil`, `${header}: evil`]);
      expect([200, 400]).toContain(response.status);
      expect(response.body, header).not.toContain("evil");
    }
  });

  it("denies bad credentials with the status, challenge and body of every guard", async () => {
    const missing = await get("/vehicles", []);
    expect(missing.status).toBe(401);
    expect(headerOf(missing, "www-authenticate")).toEqual([expect.stringMatching(/^Bearer realm=/)]);
    expect(headerOf(missing, "cache-control")).toEqual(["no-store"]);
    expect(headerOf(missing, "content-type")).toEqual(["application/json"]);
    expect(bodyOf(missing)).toEqual({
      message: expect.stringContaining("Authentication required"),
      code: "missing_credential",
      requestId: headerOf(missing, "x-request-id")[0],
    });
    const [unknown, twice, other] = [
      await get("/vehicles", withKey(format.generate("live"))),
      await get("/vehicles", [...withKey(), ...withKey()]),
      await get("/vehicles", ["Authorization: Basic YTpi"]),
    ];
    expect([unknown.status, bodyOf(unknown).code]).toEqual([401, "invalid_key"]);
    expect(headerOf(unknown, "www-authenticate")).toEqual([expect.stringContaining('error="invalid_token"')]);
    expect(twice.isReached).toBe(false);
    expect([400, 401]).toContain(twice.status);
    expect(other.status).toBe(401);
    const scope = await ask("POST /vehicles HTTP/1.1", withKey(), "x");
    expect([scope.status, bodyOf(scope)]).toMatchObject([
      403,
      { code: "insufficient_scope", missingScopes: ["vehicles:write"] },
    ]);
    expect(headerOf(scope, "www-authenticate")).toEqual([expect.stringContaining("insufficient_scope")]);
  });

  it("denies a key over its limit with 429, and counts each request once", async () => {
    const { secret } = await issue(["vehicles:read"], { rateLimit: { limit: 3, windowSeconds: 600 } });
    for (let request = 0; request < 3; request++)
      expect((await get("/me", withKey(secret))).status).toBe(200);
    const response = await get("/me", withKey(secret));
    expect([response.status, bodyOf(response).code]).toEqual([429, "rate_limited"]);
    expect(Number(headerOf(response, "retry-after")[0])).toBeGreaterThan(0);
  });

  it("knows the address of the client behind the proxy", async () => {
    const { secret } = await issue(["vehicles:read"], { ipAllowlist: ["203.0.113.7"] });
    for (const line of [
      "X-Forwarded-For: 203.0.113.7",
      "X-Real-IP: 203.0.113.7",
      "Forwarded: for=203.0.113.7",
    ]) {
      const response = await get("/vehicles", [...withKey(secret), line]);
      expect([line, response.status, bodyOf(response).code]).toEqual([line, 403, "ip_not_allowed"]);
    }
    const here = await issue(["vehicles:read"], { ipAllowlist: ["127.0.0.1"] });
    expect((await get("/vehicles", withKey(here.secret))).status).toBe(200);
  });

  it("denies everything with 503 while the store or the gateway is down", async () => {
    isDown = true;
    const response = await get("/vehicles");
    isDown = false;
    expect([response.status, response.isReached, bodyOf(response).code]).toEqual([503, false, "unavailable"]);
    expect((await get("/vehicles")).status).toBe(200);
    await world.stopGateway();
    for (const path of ["/vehicles", "/public/x"]) {
      const down = await get(path);
      expect([down.isReached, down.status >= 500]).toEqual([false, true]);
    }
  });
});

it("the documentation shows the files that these tests use", () => {
  const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");
  const page = read("docs/gateway.md");
  for (const { file } of Object.values(SETUPS)) expect(page).toContain(read(`examples/gateway/${file}`));
});

function bodyOf({ body }: RawResponse): Record<string, unknown> {
  return JSON.parse(/\{.*\}/s.exec(body)?.[0] ?? "{}");
}
