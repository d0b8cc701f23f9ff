import { createServer, type Server } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import express from "express";
import Fastify from "fastify";
import { type Handler, Hono } from "hono";
import { basicAuth } from "hono/basic-auth";
import { some } from "hono/combine";
import { cors } from "hono/cors";
import { requestId } from "hono/request-id";
import { afterEach, beforeEach, describe, expect, type MockInstance, test, vi } from "vitest";
import { expressAuth, expressHandler } from "../../../src/adapters/express.js";
import { fastifyAuth, fastifyHandler } from "../../../src/adapters/fastify.js";
import { fetchAuth } from "../../../src/adapters/fetch.js";
import { honoAuth, honoHandler } from "../../../src/adapters/hono.js";
import type { FetchHandler } from "../../../src/adapters/node.js";
import { bearer } from "../../contract/guards/case.js";
import { managementApi } from "../management/fixtures.js";
import { exchanger } from "../oauth/fixtures.js";
import { secrets, verifierBehind } from "./fixtures.js";
import { type App, listen, setups } from "./frameworks.js";
import { header, type RawRequest, type RawResponse } from "./raw.js";
import { PROTECTED } from "./routes.js";

const verifier = verifierBehind("none");
const { reader, scopeless } = secrets;
let app: App | undefined;
afterEach(() => app?.close());

const ask = async (request: RawRequest = {}): Promise<RawResponse> =>
  (await (app as App).request(request)) as RawResponse;

const CORS = {
  "Access-Control-Allow-Origin": "https://app.test",
  "Access-Control-Allow-Credentials": "true",
  "Access-Control-Expose-Headers": "X-Request-Id",
  Vary: "Origin",
  "Strict-Transport-Security": "max-age=1",
};

const REFUSED: readonly (readonly [string, RawRequest, number])[] = [
  ["a 401", {}, 401],
  ["a 401 to HEAD", { method: "HEAD" }, 401],
  ["a 403", { headers: [bearer(scopeless)] }, 403],
  ["a 429", { headers: [bearer(secrets.exhausted)] }, 429],
];

describe.each(setups)("$name", ({ name, start }) => {
  test.each(REFUSED)("headers of earlier middleware survive on %s", async (_what, request, status) => {
    app = await start({ verifier, earlier: CORS });
    const answer = await ask(request);
    expect(answer.status).toBe(status);
    for (const [field, value] of Object.entries(CORS)) expect(header(answer, field)).toBe(value);
  });

  test("headers of earlier middleware survive on a 200", async () => {
    app = await start({ verifier, earlier: CORS });
    const answer = await ask({ headers: [bearer(secrets.metered)] });
    expect(answer.status).toBe(200);
    for (const [field, value] of Object.entries(CORS)) expect(header(answer, field)).toBe(value);
    expect(header(answer, "ratelimit")).toBe('"key";r=99;t=30');
  });

  test("what earlier middleware says of the cache, type and challenge does not hold for a refusal", async () => {
    app = await start({
      verifier,
      earlier: {
        "Cache-Control": "public, max-age=3600",
        "Content-Type": "text/html",
        "WWW-Authenticate": 'Basic realm="x"',
        "X-Request-Id": "earlier",
      },
    });
    const answer = await ask();
    expect(header(answer, "cache-control")).toBe("no-store");
    expect(header(answer, "content-type")).toBe("application/json");
    expect(header(answer, "www-authenticate")).toBe('Bearer realm="fleet"');
    expect(header(answer, "x-request-id")).toBe("case-0001");
  });

  describe("errors of the handler", () => {
    let print: MockInstance;
    beforeEach(() => {
      print = vi.spyOn(console, "error").mockImplementation(() => {}); // frameworks print them
    });
    afterEach(() => print.mockRestore());

    test.each(["/throws", "/rejects"])("%s: the framework's 500, not the guard's 503", async (target) => {
      const onError = vi.fn();
      app = await start({ verifier, guard: { onError } });
      const answer = await ask({ target, headers: [bearer(reader)] });
      expect(answer.status).toBe(500);
      expect(answer.body).not.toContain("unavailable");
      expect(answer.body).not.toContain(PROTECTED);
      expect(header(answer, "retry-after")).toBeUndefined();
      expect(onError).not.toHaveBeenCalled();
      expect((await ask({ headers: [bearer(reader)] })).status).toBe(200);
      expect((await ask({ target })).status).toBe(401);
    });
  });

  test("a refusal names no framework", async () => {
    app = await start({ verifier });
    const { lines, body } = await ask();
    expect([...lines, body].join("\n")).not.toMatch(/express|koa|hono|fastify|x-powered-by|^server:/im);
    expect(name).not.toBe("");
  });
});

describe("CORS middleware of Hono", () => {
  test("lets refusals through to scripts", async () => {
    const hono = new Hono();
    hono.use(cors({ origin: "https://app.test", credentials: true }));
    hono.get("/vehicles", honoAuth(verifier)("vehicles:read"), (c) => c.text(PROTECTED));
    app = await listen(createAdaptorServer({ fetch: hono.fetch }) as Server);
    const answer = await ask({ headers: ["Origin: https://app.test"] });
    expect(answer.status).toBe(401);
    expect(header(answer, "access-control-allow-origin")).toBe("https://app.test");
    expect(header(answer, "access-control-allow-credentials")).toBe("true");
  });

  test("headers on c.res do not make a refusal cacheable", async () => {
    const hono = new Hono();
    hono.use(async (c, next) => {
      c.res.headers.set("Cache-Control", "public, max-age=3600");
      await next();
    });
    hono.get("/vehicles", honoAuth(verifier)("vehicles:read"), (c) => c.text(PROTECTED));
    app = await listen(createAdaptorServer({ fetch: hono.fetch }) as Server);
    expect(header(await ask(), "cache-control")).toBe("no-store");
  });
});

describe("a limit is told with a response that Hono did not make", () => {
  const auth = honoAuth(verifier)("vehicles:read");
  const served: readonly (readonly [string, Handler])[] = [
    ["of the handler's own", () => new Response(PROTECTED)],
    [
      "that sends elsewhere, whose headers cannot be changed",
      () => Response.redirect("https://fleet.test/", 302),
    ],
    ["of a mounted fetch handler", honoHandler(() => new Response(PROTECTED))],
    ["of app.onError", () => Promise.reject(new Error("of the handler"))],
  ];
  const ask = async (handler: Handler) => {
    const hono = new Hono().get("/vehicles", auth, handler);
    hono.onError(() => new Response("sorry", { status: 500 }));
    return hono.request("/vehicles", { headers: { Authorization: `Bearer ${secrets.metered}` } });
  };

  test.each(served)("%s", async (_what, handler) => {
    expect((await ask(handler)).headers.get("ratelimit")).toBe('"key";r=99;t=30');
  });

  test("what the handler says of its own limit holds", async () => {
    const own = () => new Response(PROTECTED, { headers: { RateLimit: '"own";r=1;t=1' } });
    expect((await ask(own)).headers.get("ratelimit")).toBe('"own";r=1;t=1');
  });
});

describe("the answer to an upgrade, which nobody can copy, is left as the runtime made it", () => {
  const upgrade = Object.defineProperty(new Response(null), "status", { value: 101 });
  const headers = { Authorization: `Bearer ${secrets.metered}` };

  test("by Hono's guard", async () => {
    const hono = new Hono().get("/vehicles", honoAuth(verifier)("vehicles:read"), () => upgrade);
    expect(await hono.request("/vehicles", { headers })).toBe(upgrade);
  });

  test("by that of fetch handlers", async () => {
    const handler = fetchAuth(verifier)("vehicles:read", () => upgrade);
    expect(await handler(new Request("http://fleet.test/vehicles", { headers }))).toBe(upgrade);
  });
});

describe("in some() of hono/combine, last, Hono's guard", () => {
  const basic = basicAuth({ username: "ann", password: "secret" });
  const hono = new Hono().get("/", some(basic, honoAuth(verifier)("vehicles:read")), (c) => c.text("in"));

  test.each([
    ["leaves what another lets in", `Basic ${btoa("ann:secret")}`, 200],
    ["lets a key in", `Bearer ${reader}`, 200],
    ["refuses the others", `Basic ${btoa("ann:guess")}`, 401],
    ["refuses a key without the scope", `Bearer ${scopeless}`, 403],
  ])("%s", async (_what, Authorization, status) => {
    expect((await hono.request("/", { headers: { Authorization } })).status).toBe(status);
  });
});

describe("the framework's own request id", () => {
  const ids = async (request: RawRequest = {}) => {
    const answer = await ask(request);
    return [header(answer, "x-request-id"), JSON.parse(answer.body).requestId];
  };

  test("Fastify's, whatever the client sends", async () => {
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

  test("that of hono/request-id", async () => {
    const hono = new Hono();
    hono.use(requestId({ generator: () => "made-by-hono", headerName: "" }));
    hono.get("/vehicles", honoAuth(verifier)("vehicles:read"), (c) => c.text(PROTECTED));
    app = await listen(createAdaptorServer({ fetch: hono.fetch }) as Server);
    expect(await ids()).toEqual(["made-by-hono", "made-by-hono"]);
  });

  test.each([
    ["a text", "log-7", "log-7"],
    ["a number", 7, "7"],
    ["an object", { id: 7 }, "case-0001"],
    ["a text with a line break", "a\r\nSet-Cookie: x=y", "case-0001"],
    ["an empty text", "", "case-0001"],
  ])("that of a request logger in front of Express, %s", async (_what, id, wanted) => {
    const server = express();
    server.use((req, _res, next) => {
      Object.assign(req, { id });
      next();
    });
    server.get("/vehicles", expressAuth(verifier)("vehicles:read"), (_req, res) => void res.send(PROTECTED));
    app = await listen(createServer(server));
    expect(await ids()).toEqual([wanted, wanted]);
  });

  // As told by the management API, by each way of a token service, and by a guarded handler.
  const mounted: readonly (readonly [string, FetchHandler])[] = [
    ["the management API", managementApi().handler],
    ["an endpoint of a token service", exchanger().tokens.token],
    ["a token service that has no such path", exchanger().tokens.handler],
    ["a guarded fetch handler", fetchAuth(verifier)("vehicles:read", () => new Response(PROTECTED))],
  ];

  describe.each(mounted)("is that of %s behind the framework too", (_what, handler) => {
    test("Fastify's", async () => {
      const fastify = Fastify();
      await fastify.register(fastifyHandler(handler));
      await fastify.ready();
      app = await listen(fastify.server);
      expect(await ids()).toEqual(["req-1", "req-1"]);
      await fastify.close();
    });

    test("that of hono/request-id", async () => {
      const hono = new Hono().use(requestId({ generator: () => "made-by-hono", headerName: "" }));
      hono.all("*", honoHandler(handler));
      app = await listen(createAdaptorServer({ fetch: hono.fetch }) as Server);
      expect(await ids()).toEqual(["made-by-hono", "made-by-hono"]);
    });

    test("that of a request logger in front of Express", async () => {
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

  test.each(setups)("without any, each refusal of $name has a fresh one", async ({ name, start }) => {
    app = await start({ verifier });
    if (name === "Fastify") return; // has one
    const seen = [await ids({ requestId: null }), await ids({ requestId: null })];
    for (const [sent, told] of seen) expect(sent).toBe(told);
    expect(seen[0]).not.toEqual(seen[1]);
  });
});
