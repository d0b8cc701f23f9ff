import { createServer, request as httpRequest, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { connect } from "node:net";
import { inspect } from "node:util";
import express from "express";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { afterAll, describe, expect, it, vi } from "vitest";
import { expressAuth, expressHandler } from "../../../src/adapters/express.js";
import { toNodeListener } from "../../../src/adapters/node.js";
import { anyVerifier } from "../../../src/core/verifier/any-verifier.js";
import {
  createKeyManager,
  createVerifier,
  type KeyEvent,
  type KeyRecord,
  type Verifier,
} from "../../../src/index.js";
import { createTokenService, type TokenService } from "../../../src/oauth/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { type FleetScope, format, scopes } from "../../unit/core/fixtures.js";
import { ACCESS_TOKEN, EXCHANGE, ecKey } from "../../unit/oauth/fixtures.js";

const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) server.close().closeAllConnections();
});

async function listen(listener: Parameters<typeof createServer>[1]): Promise<URL> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

/** Creates a token service with the system clock, which can be advanced. */
function fleet(basePath = "") {
  const store = memoryStore();
  const events: KeyEvent[] = [];
  const observers = [(event: KeyEvent) => events.push(event)];
  let ahead = 0;
  const clock = () => new Date(Date.now() + ahead);
  const verifier = createVerifier({ store, scopes, format, observers, clock });
  const manager = createKeyManager({ store, scopes, format });
  const signingKey = ecKey();
  const tokens = createTokenService({
    issuer: "https://api.example.com",
    audience: "https://api.example.com",
    signingKey,
    ttl: "15m",
    basePath,
    verifier,
    store,
    revocations: "per-process",
    keyTtl: "0s",
    onError: () => {},
  });
  return {
    ...{ store, verifier, manager, tokens, events, signingKey },
    /** Advances the clock of the token service. */
    advance(ms: number) {
      ahead += ms;
    },
  };
}

const mounts: Record<string, (parts: ReturnType<typeof fleet>) => Promise<URL>> = {
  "node:http": ({ tokens, verifier }) => {
    const serve = toNodeListener(tokens.handler);
    const app = guarded(verifier, tokens);
    return listen((req, res) => void (req.url?.startsWith("/vehicles") ? app(req, res) : serve(req, res)));
  },
  Express: ({ tokens, verifier }) => {
    const app = guarded(verifier, tokens);
    app.use(expressHandler(tokens.handler));
    return listen(app);
  },
  "Express with a form parser": ({ tokens, verifier }) => {
    const app = guarded(verifier, tokens);
    app.use(express.urlencoded({ extended: false }), expressHandler(tokens.handler));
    return listen(app);
  },
};

function guarded(verifier: Verifier<FleetScope>, tokens: TokenService<FleetScope>) {
  const app = express();
  const auth = expressAuth(anyVerifier(verifier, tokens.verifier));
  app.get("/vehicles", auth("vehicles:read"), (req, res) => {
    res.json({ type: req.auth.type, owner: req.auth.ownerId });
  });
  return app;
}

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

function send(url: URL, method: string, headers: Record<string, string>, body?: string): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const req = httpRequest(url, { method, headers }, (res) => {
      let text = "";
      res.setEncoding("utf8");
      res.on("data", (chunk) => {
        text += chunk;
      });
      res.on("end", () => resolve({ status: res.statusCode ?? 0, headers: res.headers, text }));
    });
    req.on("error", reject);
    req.end(body);
  });
}

/**
 * A client of RFC 6749 without this package: it requests a token (4.4), uses it (RFC 6750, 2.1), and requests another one
 * when it has expired.
 */
class OAuthClient {
  tokens = 0;
  #token: string | undefined;
  #until = 0;
  readonly #endpoint: URL;
  readonly #id: string;
  readonly #secret: string;

  constructor(endpoint: URL, id: string, secret: string) {
    this.#endpoint = endpoint;
    this.#id = id;
    this.#secret = secret;
  }

  async #authorize(): Promise<string> {
    if (this.#token !== undefined && Date.now() < this.#until) return this.#token;
    const credentials = `${encodeURIComponent(this.#id)}:${encodeURIComponent(this.#secret)}`;
    const { status, headers, text } = await send(
      this.#endpoint,
      "POST",
      {
        authorization: `Basic ${Buffer.from(credentials).toString("base64")}`,
        "content-type": "application/x-www-form-urlencoded;charset=UTF-8",
      },
      "grant_type=client_credentials&scope=vehicles%3Aread",
    );
    const response = JSON.parse(text);
    if (status !== 200) throw new Error(response.error);
    // RFC 6749, 5.1
    if (!/^application\/json\b/.test(headers["content-type"] ?? "")) throw new Error("not JSON");
    if (headers["cache-control"] !== "no-store" || headers.pragma !== "no-cache")
      throw new Error("cacheable");
    if (response.token_type.toLowerCase() !== "bearer") throw new Error("not a bearer token");
    this.tokens++;
    this.#until = Date.now() + response.expires_in * 1_000;
    this.#token = response.access_token as string;
    return this.#token;
  }

  async get(url: URL): Promise<Reply> {
    const reply = await send(url, "GET", { authorization: `Bearer ${await this.#authorize()}` });
    if (reply.status !== 401) return reply;
    this.#until = 0;
    return send(url, "GET", { authorization: `Bearer ${await this.#authorize()}` });
  }
}

describe.each(Object.keys(mounts))("the token service over a socket, in %s", (name) => {
  const mount = mounts[name] as (typeof mounts)[string];

  it("serves a client of RFC 6749 until its key is revoked", async () => {
    const parts = fleet();
    const url = await mount(parts);
    const { secret, key } = await parts.manager.create({
      ownerId: "acme",
      environment: "live",
      scopes: ["vehicles:write"],
    });
    const client = new OAuthClient(new URL("/token", url), key.id, secret);
    const vehicles = new URL("/vehicles", url);
    for (let i = 0; i < 3; i++) {
      const { status, text } = await client.get(vehicles);
      expect([status, JSON.parse(text)]).toEqual([200, { type: "jwt", owner: "acme" }]);
    }
    expect(client.tokens).toBe(1);
    parts.advance(900_000); // the token expires before the client expects it
    expect((await client.get(vehicles)).status).toBe(200);
    expect(client.tokens).toBe(2);
    expect((await send(vehicles, "GET", { authorization: `Bearer ${secret}` })).status).toBe(200);

    await parts.manager.revoke(key.id);
    await expect(client.get(vehicles)).rejects.toThrow("invalid_client");
    expect(client.tokens).toBe(2);
  });

  it("publishes keys with which jose verifies tokens, through a rotation", async () => {
    const parts = fleet();
    const url = await mount(parts);
    const { secret } = await parts.manager.create({
      ownerId: "acme",
      environment: "live",
      scopes: ["drivers:read"],
    });
    const keys = createRemoteJWKSet(new URL("/.well-known/jwks.json", url), { cooldownDuration: 0 });
    const check = async () => {
      const { status, text } = await send(
        new URL("/token", url),
        "POST",
        { "content-type": "application/x-www-form-urlencoded" },
        String(
          new URLSearchParams({
            grant_type: EXCHANGE,
            subject_token: secret,
            subject_token_type: ACCESS_TOKEN,
          }),
        ),
      );
      expect(status).toBe(200);
      const { access_token } = JSON.parse(text);
      return jwtVerify(access_token, keys, {
        issuer: "https://api.example.com",
        audience: "https://api.example.com",
        typ: "at+jwt",
        algorithms: ["ES256"],
        requiredClaims: ["sub", "client_id", "iat", "exp", "jti"], // RFC 9068, 2.2
      });
    };
    const before = await check();
    parts.tokens.rotateSigningKey(ecKey());
    const after = await check();
    expect(after.protectedHeader.kid).not.toBe(before.protectedHeader.kid);
  });

  it("rejects two Authorization headers, and a body that is too large", async () => {
    const parts = fleet();
    const url = await mount(parts);
    const { secret } = await parts.manager.create({
      ownerId: "acme",
      environment: "live",
      scopes: ["drivers:read"],
    });
    const form = "grant_type=client_credentials";
    const lines = [
      "POST /token HTTP/1.1",
      `Host: ${url.host}`,
      "Content-Type: application/x-www-form-urlencoded",
      `Content-Length: ${form.length}`,
      `Authorization: Bearer ${secret}`,
      `Authorization: Basic eDp5`,
      "Connection: close",
    ];
    const answer = await new Promise<string>((resolve, reject) => {
      let text = "";
      const socket = connect(Number(url.port), "127.0.0.1", () =>
        socket.write(`${lines.join("\r\n")}\r\n\r\n${form}`),
      );
      socket.setEncoding("utf8").on("data", (chunk) => {
        text += chunk;
      });
      socket.on("end", () => resolve(text)).on("error", reject);
    });
    expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(answer).toContain('"error":"invalid_request"');
    if (name.includes("parser")) return; // the parser has its own limits
    const headers = {
      authorization: `Bearer ${secret}`,
      "content-type": "application/x-www-form-urlencoded",
    };
    const long = await send(new URL("/token", url), "POST", headers, `${form}&x=${"x".repeat(66_000)}`);
    expect([long.status, JSON.parse(long.text).error]).toEqual([413, "invalid_request"]);
  });
});

it("is mounted below a path in Express, and describes it in the metadata of RFC 8414", async () => {
  const parts = fleet("/oauth");
  const app = express();
  app.use("/oauth", expressHandler(parts.tokens.handler));
  const url = await listen(app);
  const { secret } = await parts.manager.create({
    ownerId: "acme",
    environment: "live",
    scopes: ["drivers:read"],
  });
  const found = await send(new URL("/oauth/.well-known/oauth-authorization-server", url), "GET", {});
  const metadata = JSON.parse(found.text);
  expect(metadata).toEqual({
    issuer: "https://api.example.com",
    token_endpoint: "https://api.example.com/oauth/token",
    jwks_uri: "https://api.example.com/oauth/.well-known/jwks.json",
    introspection_endpoint: "https://api.example.com/oauth/introspect",
    revocation_endpoint: "https://api.example.com/oauth/revoke",
    response_types_supported: [],
    grant_types_supported: ["client_credentials", EXCHANGE],
    token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post", "none"],
    introspection_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post", "Bearer"],
    revocation_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post"],
    scopes_supported: ["vehicles:read", "vehicles:write", "drivers:read", "fleet:admin"],
  });
  const { status } = await send(
    new URL(new URL(metadata.token_endpoint).pathname, url),
    "POST",
    { authorization: `Bearer ${secret}`, "content-type": "application/x-www-form-urlencoded" },
    "grant_type=client_credentials",
  );
  expect(status).toBe(200);
});

it.each([
  ["https://api.example.com", "", "https://api.example.com/token"],
  ["https://api.example.com/", "", "https://api.example.com/token"],
  ["https://api.example.com/", "/oauth", "https://api.example.com/oauth/token"],
  ["https://api.example.com/oauth", "/oauth", "https://api.example.com/oauth/token"],
  ["https://api.example.com/oauth", "", "https://api.example.com/oauth/token"],
  ["fleet", "", undefined],
  ["urn:fleet", "", undefined],
  ["https://api.example.com/?x", "", undefined],
  ["https://api.example.com/#x", "", undefined],
])("derives the endpoints of the issuer %s below %j", async (issuer, basePath, endpoint) => {
  const { store, verifier } = fleet();
  const tokens = createTokenService({
    ...{ issuer, basePath, store, verifier, revocations: "per-process" as const },
    ...{ audience: "x", signingKey: ecKey(), ttl: "5m" as const },
  });
  const response = await tokens.metadata(new Request("http://localhost/"));
  expect(response.status).toBe(endpoint === undefined ? 404 : 200);
  expect(((await response.json()) as { token_endpoint?: string }).token_endpoint).toBe(endpoint);
});

it("exposes no secret, hash, token or private key in responses, events, warnings and logs", async () => {
  const printed: unknown[] = [];
  for (const level of ["log", "info", "warn", "error", "debug"] as const) {
    vi.spyOn(console, level).mockImplementation((...args) => void printed.push(args));
  }
  vi.spyOn(process, "emitWarning").mockImplementation((...args) => void printed.push(args));
  const parts = fleet();
  const url = await (mounts["node:http"] as (typeof mounts)[string])(parts);
  const { secret, key } = await parts.manager.create({
    ownerId: "acme",
    environment: "live",
    scopes: ["drivers:read"],
  });
  const record = (await parts.store.findById(key.id)) as KeyRecord;
  const type = { "content-type": "application/x-www-form-urlencoded" };
  const wrong = `${secret.slice(0, -1)}${secret.endsWith("0") ? "1" : "0"}`;
  const grant = "grant_type=client_credentials";
  const token = JSON.parse(
    (await send(new URL("/token", url), "POST", { ...type, authorization: `Bearer ${secret}` }, grant)).text,
  ).access_token;
  const basic = (text: string) => ({
    ...type,
    authorization: `Basic ${Buffer.from(text).toString("base64")}`,
  });
  const replies: Reply[] = [];
  for (const path of ["/token", "/introspect", "/revoke", "/nowhere", `/token?client_secret=${secret}`]) {
    for (const [headers, body] of [
      [{ ...type, authorization: `Bearer ${wrong}` }, grant],
      [{ ...type, authorization: `Bearer ${secret}, Bearer ${secret}` }, grant],
      [{ ...type, authorization: secret }, grant],
      [basic(`${key.id}:${wrong}`), grant],
      [basic(`${wrong}:${secret}`), grant],
      [basic(secret), grant],
      [type, `${grant}&client_id=${secret}&client_secret=${wrong}`],
      [type, `${grant}&scope=${secret}&client_id=${key.id}&client_secret=${secret}`],
      [type, `grant_type=${secret}`],
      [type, `${secret}=1&${secret}=2`],
      [{ ...type, authorization: `Bearer ${secret}` }, `${grant}&audience=${secret}&token=${secret}`],
      [{ "content-type": secret }, grant],
      [{ ...type, "x-request-id": secret }, grant],
    ] as const) {
      replies.push(await send(new URL(path, url), path.includes("nowhere") ? "PUT" : "POST", headers, body));
    }
  }
  replies.push(
    await send(
      new URL("/introspect", url),
      "POST",
      { ...type, authorization: `Bearer ${secret}` },
      `token=${token}`,
    ),
  );
  replies.push(
    await send(
      new URL("/revoke", url),
      "POST",
      { ...type, authorization: `Bearer ${secret}` },
      `token=${token}`,
    ),
  );
  replies.push(await send(new URL("/.well-known/jwks.json", url), "GET", {}));
  const { d = "" } = parts.signingKey.export({ format: "jwk" });
  const all = inspect([replies, parts.events, printed, parts.tokens], {
    depth: 12,
    maxStringLength: null,
    maxArrayLength: null,
  });
  // Clients choose the request id, and the secret has only characters that are allowed in one.
  const without = all.replaceAll(
    new RegExp(`(['"]?(?:x-request-id|requestId)['"]?: *['"]|"requestId":")${secret}`, "g"),
    "$1",
  );
  for (const hidden of [secret, wrong, token, record.hash, d]) expect(without.includes(hidden)).toBe(false);
  expect(replies.filter(({ status }) => status >= 500)).toEqual([]);
  vi.restoreAllMocks();
});

it("responds with 400 to a form that a parser has nested", async () => {
  const { tokens } = fleet();
  const app = express();
  app.use(express.urlencoded({ extended: true }), expressHandler(tokens.handler));
  const type = { "content-type": "application/x-www-form-urlencoded" };
  const url = new URL("/token", await listen(app));
  expect((await send(url, "POST", type, "grant_type=client_credentials&a[b]=c")).status).toBe(400);
});
