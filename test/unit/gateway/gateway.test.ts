import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createForwardAuth, type ForwardAuthOptions } from "../../../src/gateway/index.js";
import { normalizePath } from "../../../src/gateway/paths.js";
import { service } from "../core/fixtures.js";

const PEER = { remoteAddress: "10.0.0.2" };
const TOKEN = "gateway-token-0123456789";

async function gateway(options: Partial<ForwardAuthOptions> = {}) {
  const { manager, verifier } = service();
  const { secret, key } = await manager.create({
    ownerId: "-",
    scopes: ["vehicles:read"],
    environment: "live",
  });
  const authz = createForwardAuth({
    verifier,
    proxy: "nginx",
    peers: ["10.0.0.0/8"],
    routes: [{ path: "/vehicles/*", method: "GET", requires: "vehicles:read" }],
    ...options,
  } as ForwardAuthOptions);
  const ask = (
    headers: Record<string, string>,
    { connection = PEER as object, url = "http://gateway/", method = "GET" } = {},
  ) =>
    authz(
      new Request(url, { method, headers: { authorization: `Bearer ${secret}`, ...headers } }),
      connection,
    );
  return { ask, key, secret };
}

const NGINX = { "X-Original-Method": "GET", "X-Original-URI": "/vehicles/1?a=b" };

describe("normalizePath", () => {
  it.each([
    ["/", "/"],
    ["/a/", "/a/"],
    ["/a?x=//..;", "/a"],
    ["/%61%2D%7e", "/a-~"],
    ["/a%20b%c3%a4", "/a%20b%C3%A4"],
    ["/a,b=c@d:e!$&'()*+", "/a,b=c@d:e!$&'()*+"],
    ["/...", "/..."],
  ])("of %s is %s", (target, path) => {
    expect(normalizePath(target)).toBe(path);
  });

  it.each([
    "",
    "a",
    "*",
    "http://a/b",
    "//",
    "/a//b",
    "/.",
    "/a/..",
    "/a/%2e",
    "/a%2Fb",
    "/a\\b",
    "/a%5c",
    "/a;b",
    "/a%3B",
    "/%25",
    "/%",
    "/%a",
    "/%zz",
    "/%ff",
    "/%00",
    "/a b",
    "/a\tb",
    "/ä",
    "/a#b",
    '/a"b',
    "/a[b",
    "/a|b",
    `/${"a".repeat(8_192)}`,
  ])("rejects %j", (target) => {
    expect(normalizePath(target)).toBeUndefined();
  });

  it("returns paths that it does not change again, and that a URL parser does not change", () => {
    fc.assert(
      fc.property(fc.webPath(), (target) => {
        const path = normalizePath(target);
        if (path === undefined) return;
        expect(normalizePath(path)).toBe(path);
        expect(new URL(path, "http://a").pathname).toBe(path);
      }),
    );
  });
});

describe("each proxy", () => {
  const TRAEFIK = { "X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/vehicles/1?a=b" };
  const envoy = { url: "http://gateway/authz/vehicles/1?a=b" };
  it.each([
    ["nginx", NGINX, {}, TRAEFIK],
    ["haproxy", NGINX, {}, TRAEFIK],
    ["caddy", TRAEFIK, {}, NGINX],
    // As in Traefik's documentation of ForwardAuth.
    ["traefik", { ...TRAEFIK, "X-Forwarded-Proto": "https", "X-Forwarded-Host": "api.example" }, {}, NGINX],
    // As in Envoy's documentation of the HTTP service of ext_authz, with `path_prefix: /authz`.
    ["envoy", {}, envoy, TRAEFIK],
  ] as const)("%s: its own headers count, and no others", async (proxy, own, request, foreign) => {
    const { ask } = await gateway({ proxy, ...(proxy === "envoy" && { pathPrefix: "/authz" }) });
    const denied = {
      "X-Original-Method": "POST",
      "X-Forwarded-Method": "POST",
      "X-Original-URI": "/a",
      "X-Forwarded-Uri": "/a",
    };
    const kept = Object.fromEntries(Object.entries(denied).filter(([name]) => !(name in own)));
    expect((await ask({ ...kept, ...own }, request)).status).toBe(200);
    const post = { ...request, method: "POST" };
    expect((await ask({ ...foreign }, proxy === "envoy" ? { ...post, url: envoy.url } : post)).status).toBe(
      403,
    );
    expect((await ask({}, { url: "http://gateway/vehicles/1" })).status).toBe(403);
  });

  it.each(["X-Original-Method", "X-Original-URI"])("denies a request with two %s", async (name) => {
    const { ask } = await gateway();
    const rawHeaders = [name, NGINX[name as keyof typeof NGINX], name.toLowerCase(), "GET"];
    const response = await ask(NGINX, { connection: { ...PEER, rawHeaders } });
    expect(response.status).toBe(403);
    expect((await ask({ ...NGINX, "X-Original-Method": "GET, POST" })).status).toBe(403);
    expect((await ask({ ...NGINX, "X-Original-URI": "/vehicles/1, /vehicles/2" })).status).toBe(403);
  });
});

describe("the peer", () => {
  it("must be in the networks, and must send the token", async () => {
    const codeOf = (response: Response) => JSON.parse(response.headers.get("x-auth-body") ?? "{}").code;
    const { ask } = await gateway();
    for (const remoteAddress of ["192.0.2.1", undefined, "unknown"]) {
      expect(codeOf(await ask(NGINX, { connection: { remoteAddress } }))).toBe("unknown_proxy");
    }
    const { ask: withToken } = await gateway({ token: TOKEN });
    expect(codeOf(await withToken(NGINX))).toBe("unknown_proxy");
    expect(codeOf(await withToken({ ...NGINX, "X-Gateway-Token": `${TOKEN}0` }))).toBe("unknown_proxy");
    expect((await withToken({ ...NGINX, "X-Gateway-Token": TOKEN })).status).toBe(200);
    const { ask: tokenOnly } = await gateway({ token: TOKEN, peers: undefined } as never);
    expect((await tokenOnly({ ...NGINX, "X-Gateway-Token": TOKEN }, { connection: {} })).status).toBe(200);
  });
});

describe("identity headers", () => {
  it("encode values, and tell an unknown value from a dash", async () => {
    const { ask, key } = await gateway();
    const { headers, status } = await ask(NGINX);
    expect([
      status,
      ...["Key-Id", "Owner", "Scopes", "Environment"].map((name) => headers.get(`x-auth-${name}`)),
    ]).toEqual([200, key.id, "%2D", "vehicles:read", "live"]);
  });
});

describe("nginx", () => {
  it("receives 401 or 403, and the response in headers", async () => {
    const { ask } = await gateway();
    const missing = await ask({ ...NGINX, authorization: "Basic YTpi" });
    expect([missing.status, missing.headers.get("x-auth-status"), await missing.text()]).toEqual([
      401,
      "401",
      "",
    ]);
    expect(missing.headers.get("www-authenticate")).toMatch(/^Bearer /);
    expect(JSON.parse(missing.headers.get("x-auth-body") ?? "").code).toBe("missing_credential");
    const other = await ask({ ...NGINX, "X-Original-URI": "/other" });
    expect([other.status, other.headers.get("x-auth-status")]).toEqual([403, "403"]);
  });

  it("receives 503 if an assertion cannot be signed", async () => {
    const errors: unknown[] = [];
    const clock = () => new Date(Number.NaN);
    const { ask } = await gateway({ clock, onError: (error) => errors.push(error) });
    expect((await ask(NGINX)).status).toBe(200);
    const assertion = { issuer: "https://a.example", audience: "b", signingKey: SIGNING_KEY };
    const { ask: signed } = await gateway({
      assertion,
      clock: () => {
        throw new Error("no clock");
      },
      onError: (error) => errors.push(error),
    });
    const response = await signed(NGINX);
    expect([response.status, response.headers.get("x-auth-status"), errors.length]).toEqual([403, "503", 1]);
  });
});

const SIGNING_KEY = {
  kty: "OKP",
  crv: "Ed25519",
  d: "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
  x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
};

describe("createForwardAuth", () => {
  const { verifier } = service();
  const valid = {
    verifier,
    proxy: "nginx",
    peers: ["10.0.0.0/8"],
    routes: [{ path: "/*", access: "any-key" }],
  };
  it.each([
    [{ other: 1 }, 'unknown option "other"'],
    [{ proxy: "apache" }, '"proxy" must be one of "nginx"'],
    [{ routes: [] }, '"routes" must be a non-empty array'],
    [{ routes: [{ path: "/a" }] }, 'routes[0] must have either "requires" or "access"'],
    [{ routes: [{ path: "/a", access: "deny", requires: "vehicles:read" }] }, "either"],
    [{ routes: [{ path: "/a", access: "all" }] }, '"access" must be "any-key", "public" or "deny"'],
    [{ routes: [{ path: "a", access: "deny" }] }, '"path" must begin with a slash'],
    [{ routes: [{ path: "/(", access: "deny" }] }, "not a pattern of URLPattern"],
    [{ routes: [{ path: "/a", method: "get", access: "deny" }] }, '"method" must be a method in upper case'],
    [{ routes: [{ path: "/a", requires: "vehicles:rea" }] }, "vehicles:rea"],
    [{ routes: [{ path: "/a", access: "deny", scope: "a" }] }, 'unknown option "scope"'],
    [{ peers: [] }, '"peers" must be a non-empty array of networks'],
    [{ peers: ["10.0.0.1/8"] }, '"peers"'],
    [{ token: "short" }, '"token" must have at least 16'],
    [{ pathPrefix: "/authz" }, '"pathPrefix" has an effect for "envoy" only'],
    [{ proxy: "envoy", pathPrefix: "/authz/" }, '"pathPrefix" must be a path'],
    [{ assertion: { issuer: "", audience: "b", signingKey: SIGNING_KEY } }, '"issuer"'],
    [{ assertion: { issuer: "a", audience: "b", signingKey: SIGNING_KEY, ttl: "1h" } }, '"ttl"'],
  ])("rejects %j", (options, message) => {
    expect(() => createForwardAuth({ ...valid, ...options } as never)).toThrow(message);
  });

  it("needs peers or a token", () => {
    const { peers: _, ...rest } = valid;
    expect(() => createForwardAuth(rest as never)).toThrow('"peers" or "token" is required');
  });
});
