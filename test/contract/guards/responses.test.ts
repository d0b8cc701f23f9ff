import { createServer, type Server } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import express from "express";
import Fastify from "fastify";
import { type Handler, Hono } from "hono";
import { basicAuth } from "hono/basic-auth";
import { some } from "hono/combine";
import { cors } from "hono/cors";
import { requestId } from "hono/request-id";
import { pinoHttp } from "pino-http";
import { afterEach, beforeEach, describe, expect, type MockInstance, test, vi } from "vitest";
import { expressAuth, expressHandler } from "../../../src/adapters/express.js";
import { fastifyAuth, fastifyHandler } from "../../../src/adapters/fastify.js";
import { fetchAuth } from "../../../src/adapters/fetch.js";
import { honoAuth, honoHandler } from "../../../src/adapters/hono.js";
import type { FetchHandler } from "../../../src/adapters/node.js";
import { secrets, verifierBehind } from "../../unit/adapters/fixtures.js";
import { type App, listen, setups } from "../../unit/adapters/frameworks.js";
import { header, type RawRequest, type RawResponse } from "../../unit/adapters/raw.js";
import { PROTECTED } from "../../unit/adapters/routes.js";
import { managementApi } from "../../unit/management/fixtures.js";
import { exchanger } from "../../unit/oauth/fixtures.js";
import { bearer } from "./case.js";

const verifier = verifierBehind("none");
const { reader, scopeless } = secrets;
let app: App | undefined;
afterEach(() => app?.close());

const send = async (request: RawRequest = {}): Promise<RawResponse> =>
  (await (app as App).request(request)) as RawResponse;

const CORS = {
  "Access-Control-Allow-Origin": "https://app.test",
  "Access-Control-Allow-Credentials": "true",
  "Access-Control-Expose-Headers": "X-Request-Id",
  Vary: "Origin",
  "Strict-Transport-Security": "max-age=1",
};

const DENIED: readonly (readonly [string, RawRequest, number])[] = [
  ["a 401", {}, 401],
  ["a 401 to HEAD", { method: "HEAD" }, 401],
  ["a 403", { headers: [bearer(scopeless)] }, 403],
  ["a 429", { headers: [bearer(secrets.exhausted)] }, 429],
];

describe.each(setups)("$name", ({ name, start }) => {
  test.each(DENIED)("headers of earlier middleware are kept on %s", async (_what, request, status) => {
    app = await start({ verifier, earlier: CORS });
    const response = await send(request);
    expect(response.status).toBe(status);
    for (const [field, value] of Object.entries(CORS)) expect(header(response, field)).toBe(value);
  });

  test("headers of earlier middleware are kept on a 200", async () => {
    app = await start({ verifier, earlier: CORS });
    const response = await send({ headers: [bearer(secrets.metered)] });
    expect(response.status).toBe(200);
    for (const [field, value] of Object.entries(CORS)) expect(header(response, field)).toBe(value);
    expect(header(response, "ratelimit")).toBe('"key";r=99;t=30');
  });

  test("a denial overrides caching, type, challenge and request id of earlier middleware", async () => {
    app = await start({
      verifier,
      earlier: {
        "Cache-Control": "public, max-age=3600",
        "Content-Type": "text/html",
        "WWW-Authenticate": 'Basic realm="x"',
        "X-Request-Id": "earlier",
      },
    });
    const response = await send();
    expect(header(response, "cache-control")).toBe("no-store");
    expect(header(response, "content-type")).toBe("application/json");
    expect(header(response, "www-authenticate")).toBe('Bearer realm="fleet"');
    expect(header(response, "x-request-id")).toBe("case-0001");
  });

  describe("errors of the handler", () => {
    let print: MockInstance;
    beforeEach(() => {
      print = vi.spyOn(console, "error").mockImplementation(() => {}); // frameworks print errors
    });
    afterEach(() => print.mockRestore());

    test.each(["/throws", "/rejects"])("%s is the framework's 500, not the guard's 503", async (target) => {
      const onError = vi.fn();
      app = await start({ verifier, guard: { onError } });
      const response = await send({ target, headers: [bearer(reader)] });
      expect(response.status).toBe(500);
      expect(response.body).not.toContain("unavailable");
      expect(response.body).not.toContain(PROTECTED);
      expect(header(response, "retry-after")).toBeUndefined();
      expect(onError).not.toHaveBeenCalled();
      expect((await send({ headers: [bearer(reader)] })).status).toBe(200);
      expect((await send({ target })).status).toBe(401);
    });
  });

  test("a denial does not name the framework", async () => {
    app = await start({ verifier });
    const { lines, body } = await send();
    expect([...lines, body].join("\n")).not.toMatch(/express|koa|hono|fastify|x-powered-by|^server:/im);
    expect(name).not.toBe("");
  });
});

describe("CORS middleware of Hono", () => {
  test("CORS headers are kept on denials", async () => {
    const hono = new Hono();
    hono.use(cors({ origin: "https://app.test", credentials: true }));
    hono.get("/vehicles", honoAuth(verifier)("vehicles:read"), (c) => c.text(PROTECTED));
    app = await listen(createAdaptorServer({ fetch: hono.fetch }) as Server);
    const response = await send({ headers: ["Origin: https://app.test"] });
    expect(response.status).toBe(401);
    expect(header(response, "access-control-allow-origin")).toBe("https://app.test");
    expect(header(response, "access-control-allow-credentials")).toBe("true");
  });

  test("headers on c.res do not make a denial cacheable", async () => {
    const hono = new Hono();
    hono.use(async (c, next) => {
      c.res.headers.set("Cache-Control", "public, max-age=3600");
      await next();
    });
    hono.get("/vehicles", honoAuth(verifier)("vehicles:read"), (c) => c.text(PROTECTED));
    app = await listen(createAdaptorServer({ fetch: hono.fetch }) as Server);
    expect(header(await send(), "cache-control")).toBe("no-store");
  });
});

describe("rate limit headers are added to responses that Hono did not create", () => {
  const auth = honoAuth(verifier)("vehicles:read");
  const served: readonly (readonly [string, Handler])[] = [
    ["a Response of the handler", () => new Response(PROTECTED)],
    ["a redirect with immutable headers", () => Response.redirect("https://fleet.test/", 302)],
    ["a mounted fetch handler", honoHandler(() => new Response(PROTECTED))],
    ["app.onError", () => Promise.reject(new Error("handler failed"))],
  ];
  const send = async (handler: Handler) => {
    const hono = new Hono().get("/vehicles", auth, handler);
    hono.onError(() => new Response("sorry", { status: 500 }));
    return hono.request("/vehicles", { headers: { Authorization: `Bearer ${secrets.metered}` } });
  };

  test.each(served)("%s", async (_what, handler) => {
    expect((await send(handler)).headers.get("ratelimit")).toBe('"key";r=99;t=30');
  });

  test("the handler's own RateLimit header is kept", async () => {
    const own = () => new Response(PROTECTED, { headers: { RateLimit: '"own";r=1;t=1' } });
    expect((await send(own)).headers.get("ratelimit")).toBe('"own";r=1;t=1');
  });
});

describe("a 101 response is returned unchanged", () => {
  const upgrade = Object.defineProperty(new Response(null), "status", { value: 101 });
  const headers = { Authorization: `Bearer ${secrets.metered}` };

  test("by honoAuth", async () => {
    const hono = new Hono().get("/vehicles", honoAuth(verifier)("vehicles:read"), () => upgrade);
    expect(await hono.request("/vehicles", { headers })).toBe(upgrade);
  });

  test("by fetchAuth", async () => {
    const handler = fetchAuth(verifier)("vehicles:read", () => upgrade);
    expect(await handler(new Request("http://fleet.test/vehicles", { headers }))).toBe(upgrade);
  });
});

describe("honoAuth as the last alternative of some() in hono/combine", () => {
  const basic = basicAuth({ username: "ann", password: "secret" });
  const hono = new Hono().get("/", some(basic, honoAuth(verifier)("vehicles:read")), (c) => c.text("in"));

  test.each([
    ["is not called if another alternative allows the request", `Basic ${btoa("ann:secret")}`, 200],
    ["allows a key", `Bearer ${reader}`, 200],
    ["denies other credentials", `Basic ${btoa("ann:guess")}`, 401],
    ["denies a key without the scope", `Bearer ${scopeless}`, 403],
  ])("%s", async (_what, Authorization, status) => {
    expect((await hono.request("/", { headers: { Authorization } })).status).toBe(status);
  });
});

describe("the framework's request id is used", () => {
  const ids = async (request: RawRequest = {}) => {
    const response = await send(request);
    return [header(response, "x-request-id"), JSON.parse(response.body).requestId];
  };

  test("request.id of Fastify, also if the client sends one", async () => {
    const fastify = Fastify();
    const auth = fastifyAuth(verifier);
    await fastify.register(auth.plugin);
    fastify.get("/vehicles", { onRequest: auth("vehicles:read") }, () => PROTECTED);
    await fastify.ready();
    app = await listen(fastify.server);
    expect(await ids()).toEqual(["req-1", "req-1"]);
    expect(await ids({ requestId: null })).toEqual(["req-2", "req-2"]);
    await fastify.close();
  });

  test("of hono/request-id", async () => {
    const hono = new Hono();
    hono.use(requestId({ generator: () => "made-by-hono", headerName: "" }));
    hono.get("/vehicles", honoAuth(verifier)("vehicles:read"), (c) => c.text(PROTECTED));
    app = await listen(createAdaptorServer({ fetch: hono.fetch }) as Server);
    expect(await ids()).toEqual(["made-by-hono", "made-by-hono"]);
  });

  test.each([
    ["a string", "log-7", "log-7"],
    ["a number", 7, "7"],
    ["an object", { id: 7 }, "case-0001"],
    ["a string with a line break", "a\r\nSet-Cookie: x=y", "case-0001"],
    ["an empty string", "", "case-0001"],
  ])("req.id of a request logger before Express, %s", async (_what, id, wanted) => {
    const server = express();
    server.use((req, _res, next) => {
      Object.assign(req, { id });
      next();
    });
    server.get("/vehicles", expressAuth(verifier)("vehicles:read"), (_req, res) => void res.send(PROTECTED));
    app = await listen(createServer(server));
    expect(await ids()).toEqual([wanted, wanted]);
  });

  test("of pino-http before Express, which redacts the credential", async () => {
    const lines: string[] = [];
    const server = express();
    const write = (line: string) => void lines.push(line);
    server.use(pinoHttp({ redact: ["req.headers.authorization"] }, { write }));
    server.get("/vehicles", expressAuth(verifier)("vehicles:read"), (_req, res) => void res.send(PROTECTED));
    app = await listen(createServer(server));
    const seen = await ids({ headers: [bearer(scopeless)] });
    await vi.waitFor(() => expect(lines).toHaveLength(1));
    const { id } = JSON.parse(lines[0] ?? "").req;
    expect(seen).toEqual([String(id), String(id)]);
    expect(lines[0]).toContain("[Redacted]");
    expect(lines[0]).not.toContain(scopeless);
  });

  const mounted: readonly (readonly [string, FetchHandler])[] = [
    ["the management API", managementApi().handler],
    ["an endpoint of the token service", exchanger().tokens.token],
    ["the token service at an unknown path", exchanger().tokens.handler],
    ["a guarded fetch handler", fetchAuth(verifier)("vehicles:read", () => new Response(PROTECTED))],
  ];

  describe.each(mounted)("by %s", (_what, handler) => {
    test("request.id of Fastify", async () => {
      const fastify = Fastify();
      await fastify.register(fastifyHandler(handler));
      await fastify.ready();
      app = await listen(fastify.server);
      expect(await ids()).toEqual(["req-1", "req-1"]);
      await fastify.close();
    });

    test("of hono/request-id", async () => {
      const hono = new Hono().use(requestId({ generator: () => "made-by-hono", headerName: "" }));
      hono.all("*", honoHandler(handler));
      app = await listen(createAdaptorServer({ fetch: hono.fetch }) as Server);
      expect(await ids()).toEqual(["made-by-hono", "made-by-hono"]);
    });

    test("req.id of a request logger before Express", async () => {
      const server = express();
      server.use((req, _res, next) => {
        Object.assign(req, { id: 7 });
        next();
      });
      server.use(expressHandler(handler));
      app = await listen(createServer(server));
      expect(await ids()).toEqual(["7", "7"]);
    });
  });

  test.each(setups)("$name: a denial has a fresh id if the request has none", async ({ name, start }) => {
    app = await start({ verifier });
    if (name.includes("Fastify")) return; // always has one
    const seen = [await ids({ requestId: null }), await ids({ requestId: null })];
    for (const [header, body] of seen) expect(header).toBe(body);
    expect(seen[0]).not.toEqual(seen[1]);
  });
});
