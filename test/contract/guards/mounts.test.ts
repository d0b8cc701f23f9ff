import { createServer, type Server } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import Router from "@koa/router";
import express, { type RequestHandler } from "express";
import Fastify from "fastify";
import { Hono } from "hono";
import Koa, { type Middleware } from "koa";
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  type MockInstance,
  test,
  vi,
} from "vitest";
import { expressHandler } from "../../../src/adapters/express.js";
import { fastifyHandler } from "../../../src/adapters/fastify.js";
import { fetchAuth } from "../../../src/adapters/fetch.js";
import { honoHandler } from "../../../src/adapters/hono.js";
import { koaHandler } from "../../../src/adapters/koa.js";
import { type FetchHandler, toNodeListener } from "../../../src/adapters/node.js";
import { secrets, verifierBehind } from "../../unit/adapters/fixtures.js";
import { type App, listen } from "../../unit/adapters/frameworks.js";
import { connect, header, type RawRequest, type RawResponse, toBytes } from "../../unit/adapters/raw.js";
import { bearer } from "./case.js";

const auth = fetchAuth(verifierBehind("none"));
const { reader, dispatcher, local, office } = secrets;

const echo = auth("drivers:write", async (request, { auth: { ownerId } }) =>
  Response.json(
    { ownerId, type: request.headers.get("content-type"), text: await request.text() },
    { status: 201 },
  ),
);
const show = auth("vehicles:read", (request, { auth: { ownerId }, remoteAddress }) => {
  const headers = new Headers({ "X-Url": request.url, "X-Method": request.method });
  headers.append("Set-Cookie", "a=1");
  headers.append("Set-Cookie", "b=2");
  return Response.json({ ownerId, remoteAddress }, { headers });
});

/** Reads only the first chunk of a body. */
async function peek(request: Request): Promise<Response> {
  const reader = request.body?.getReader();
  await reader?.read();
  if (request.headers.get("x-then") === "cancel") await reader?.cancel();
  if (request.headers.get("x-then") === "release") reader?.releaseLock();
  return new Response("too large", { status: 413 });
}

/** The number of requests that reached the handler. */
const reached = { count: 0 };

/** The handler that is mounted in every framework. */
const handler: FetchHandler = (request, connection) => {
  reached.count++;
  const { pathname } = new URL(request.url);
  if (pathname === "/admin/echo") return echo(request, connection);
  if (pathname === "/admin/show") return show(request, connection);
  if (pathname === "/admin/open") return new Response("open");
  if (pathname === "/admin/empty") return new Response(null, { status: 204 });
  if (pathname === "/admin/peek") return peek(request);
  if (pathname === "/admin/throws") throw new Error("handler failed");
  if (pathname === "/admin/rejects") return Promise.reject(new Error("handler failed"));
  if (pathname === "/admin/stream") return new Response(new Blob(["a".repeat(200_000)]).stream());
  return new Response("no such page", { status: 404 });
};

/** A body parser. */
const koaBody: Middleware = async (ctx, next) => {
  if (ctx.get("content-type") === "application/json") {
    const chunks: Buffer[] = [];
    for await (const chunk of ctx.req) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    if (text !== "") Object.assign(ctx.request, { body: JSON.parse(text) });
  }
  return next();
};

function startExpress(...parsers: readonly RequestHandler[]): Promise<App> {
  const app = express();
  app.set("env", "production"); // otherwise Express sends stack traces
  app.use((_req, res, next) => {
    res.set("Vary", "Origin");
    next();
  });
  app.use(...([...parsers, (_req, _res, next) => next()] as RequestHandler[]));
  app.use("/admin", expressHandler(handler));
  app.use("/public", expressHandler(handler));
  app.use((_req, res) => void res.status(404).send("from Express"));
  return listen(createServer(app));
}

function startKoa(...parsers: readonly Middleware[]): Promise<App> {
  const app = new Koa();
  const router = new Router();
  app.silent = true;
  app.use((ctx, next) => {
    ctx.set("Vary", "Origin");
    return next();
  });
  for (const parser of parsers) app.use(parser);
  router.all("/admin{/*rest}", koaHandler(handler));
  router.all("/public{/*rest}", koaHandler(handler));
  app.use(router.routes());
  return listen(createServer(app.callback()));
}

function startHono(): Promise<App> {
  const app = new Hono();
  app.use(async (c, next) => {
    await next();
    c.header("Vary", "Origin");
  });
  app.all("/admin/*", honoHandler(handler));
  app.all("/public/*", honoHandler(handler));
  app.onError((error, c) => {
    console.error(error);
    return c.text("from Hono", 500);
  });
  return listen(createAdaptorServer({ fetch: app.fetch }) as Server);
}

async function startFastify(): Promise<App> {
  const app = Fastify();
  app.addHook("onRequest", async (_request, reply) => void reply.header("Vary", "Origin"));
  await app.register(fastifyHandler(handler), { prefix: "/admin" });
  await app.register(fastifyHandler(handler), { prefix: "/public" });
  app.post("/own", async (request) => ({ own: request.body })); // uses the parsers of the app
  await app.ready();
  const { port, request, close } = await listen(app.server);
  return { port, request, close: async () => void (await Promise.all([close(), app.close()])) };
}

const mounts: readonly { readonly name: string; readonly start: () => Promise<App> }[] = [
  { name: "toNodeListener", start: () => listen(createServer(toNodeListener(handler))) },
  { name: "expressHandler", start: () => startExpress() },
  { name: "expressHandler after express.json()", start: () => startExpress(express.json()) },
  { name: "expressHandler after express.text()", start: () => startExpress(express.text({ type: "*/*" })) },
  { name: "expressHandler after express.raw()", start: () => startExpress(express.raw({ type: "*/*" })) },
  { name: "expressHandler after express.urlencoded()", start: () => startExpress(express.urlencoded()) },
  { name: "koaHandler", start: () => startKoa() },
  { name: "koaHandler after a body parser", start: () => startKoa(koaBody) },
  { name: "fastifyHandler", start: startFastify },
  { name: "honoHandler", start: startHono },
];

const post = (text: string, more: readonly string[] = [], type = "application/json"): RawRequest => ({
  method: "POST",
  target: "/admin/echo",
  headers: [
    bearer(dispatcher),
    `Content-Type: ${type}`,
    `Content-Length: ${Buffer.byteLength(text)}`,
    ...more,
  ],
  body: Buffer.from(text).toString("latin1"),
});

describe.each(mounts)("$name", ({ name, start }) => {
  let app: App;
  let print: MockInstance;
  beforeAll(async () => {
    app = await start();
  });
  afterAll(() => app.close());
  beforeEach(() => {
    print = vi.spyOn(console, "error").mockImplementation(() => {});
  });
  afterEach(() => print.mockRestore());

  const send = async (request: RawRequest): Promise<RawResponse> =>
    (await app.request(request)) as RawResponse;
  const show = (more: RawRequest = {}) =>
    send({ target: "/admin/show?a=1&b=%20", headers: [bearer(reader)], ...more });

  test("GET: the handler receives the full URL", async () => {
    const response = await show();
    expect(response.statusLine).toBe("HTTP/1.1 200 OK");
    expect(header(response, "x-url")).toBe("http://fleet.test/admin/show?a=1&b=%20");
    expect(header(response, "x-method")).toBe("GET");
    expect(JSON.parse(response.body)).toMatchObject({ ownerId: "reader" });
  });

  test("GET with an absolute target", async () => {
    const response = await show({ target: "http://fleet.test/admin/show" });
    if (response.status !== 200) expect([400, 404]).toContain(response.status);
    else expect(header(response, "x-url")).toBe("http://fleet.test/admin/show");
  });

  test("the handler serves the mount path itself", async () => {
    expect((await send({ target: "/admin" })).body).toBe("no such page");
  });

  test("cookies stay separate headers", async () => {
    const { lines } = await show();
    expect(lines.filter((line) => /^set-cookie:/i.test(line)).map((line) => line.split(": ")[1])).toEqual([
      "a=1",
      "b=2",
    ]);
  });

  test("the handler receives the socket address, so allowlists work", async () => {
    expect(JSON.parse((await show({ headers: [bearer(local)] })).body)).toMatchObject({
      ownerId: "local",
      remoteAddress: "::ffff:127.0.0.1",
    });
    expect((await show({ headers: [bearer(office)] })).status).toBe(403);
  });

  test("two Authorization lines are malformed", async () => {
    const response = await show({ headers: [bearer(reader), bearer(reader)] });
    expect(response.status).toBe(401);
    expect(JSON.parse(response.body)).toMatchObject({ code: "malformed_credential" });
  });

  test.runIf(name !== "toNodeListener")("headers of earlier middleware are kept", async () => {
    for (const headers of [[], [bearer(reader)]])
      expect(header(await show({ headers }), "vary")).toBe("Origin");
  });

  test("the large body of a denied request does not block the connection", async () => {
    const body = "x".repeat(1_000_000);
    const headers = ["Content-Type: application/x-fleet", `Content-Length: ${body.length}`];
    const connection = connect(app.port as number);
    connection.write(toBytes({ method: "POST", target: "/admin/echo", headers, body }));
    expect([401, 413]).toContain((await connection.read("POST"))?.status);
    connection.write(toBytes({ target: "/admin/open" }));
    const next = await connection.read();
    connection.close();
    if (next !== undefined) expect(next.body).toBe("open");
  });

  test.each(["cancel", "release"])(
    "the connection stays usable after a partly read body, then %s",
    async (then) => {
      const body = "x".repeat(1_000_000);
      const headers = [
        "Content-Type: application/x-fleet",
        `Content-Length: ${body.length}`,
        `X-Then: ${then}`,
      ];
      const connection = connect(app.port as number);
      connection.write(toBytes({ method: "POST", target: "/admin/peek", headers, body }));
      expect((await connection.read("POST"))?.status).toBe(413);
      connection.write(toBytes({ target: "/admin/open" }));
      const next = await connection.read();
      connection.close();
      if (next !== undefined) expect(next.body).toBe("open");
    },
  );

  test("HEAD has no body", async () => {
    const response = await show({ method: "HEAD" });
    expect([response.status, response.body]).toEqual([200, ""]);
    expect((await show({ method: "HEAD", headers: [] })).status).toBe(401);
    expect((await show({ method: "HEAD", target: "/admin/empty" })).status).toBe(204);
  });

  test("POST: the handler receives the body", async () => {
    const response = await send(post('{"name":"Zoë"}'));
    expect(response.statusLine).toBe("HTTP/1.1 201 Created");
    expect(JSON.parse(response.body)).toEqual({
      ownerId: "dispatcher",
      type: "application/json",
      text: '{"name":"Zoë"}',
    });
  });

  test("POST in chunks: the handler receives the body", async () => {
    const body = '2\r\n{"\r\n5\r\na":1}\r\n0\r\n\r\n';
    const headers = [bearer(dispatcher), "Content-Type: application/json", "Transfer-Encoding: chunked"];
    const response = await send({ method: "POST", target: "/admin/echo", headers, body });
    expect(JSON.parse(response.body)).toMatchObject({ text: '{"a":1}' });
  });

  test.each(["PUT", "PATCH", "DELETE"])("%s: the handler receives the body", async (method) => {
    const response = await send({ ...post("[1,2]"), method });
    expect(JSON.parse(response.body)).toMatchObject({ text: "[1,2]" });
  });

  test("POST without a body", async () => {
    const headers = [bearer(dispatcher), "Content-Length: 0"];
    const response = await send({ method: "POST", target: "/admin/echo", headers });
    expect(JSON.parse(response.body)).toMatchObject({ text: "" });
  });

  test.each(["application/json", "application/x-www-form-urlencoded", "text/plain"])(
    "POST with an empty body of type %s",
    async (type) => {
      expect(JSON.parse((await send(post("", [], type))).body)).toMatchObject({ type, text: "" });
      const headers = [bearer(dispatcher), `Content-Type: ${type}`, "Transfer-Encoding: chunked"];
      const response = await send({ method: "POST", target: "/admin/echo", headers, body: "0\r\n\r\n" });
      expect(JSON.parse(response.body)).toMatchObject({ type, text: "" });
    },
  );

  test("POST with a type without a parser", async () => {
    const response = await send(post("a\tb", [], "application/x-fleet"));
    expect(JSON.parse(response.body)).toMatchObject({ type: "application/x-fleet", text: "a\tb" });
  });

  test("POST with a form", async () => {
    const type = "application/x-www-form-urlencoded";
    const response = await send(post("a=1&b=2", [], type));
    expect(JSON.parse(response.body)).toMatchObject({ type, text: "a=1&b=2" });
  });

  test("GET with a body is served", async () => {
    const headers = [bearer(reader), "Content-Type: application/json", "Content-Length: 2"];
    expect((await show({ headers, body: "{}" })).status).toBe(200);
  });

  test("POST without a key: 401", async () => {
    const { headers = [], ...rest } = post("{}");
    const response = await send({ ...rest, headers: headers.slice(1) });
    expect(response.status).toBe(401);
    expect(JSON.parse(response.body)).toMatchObject({ code: "missing_credential" });
  });

  test("404 and 204 of the handler are sent unchanged", async () => {
    const missing = await send({ target: "/admin/nothing" });
    expect([missing.statusLine, missing.body]).toEqual(["HTTP/1.1 404 Not Found", "no such page"]);
    expect((await send({ target: "/admin/empty" })).statusLine).toBe("HTTP/1.1 204 No Content");
    expect((await send({ target: "/admin/open" })).body).toBe("open");
  });

  test("a long stream is sent completely", async () => {
    expect((await send({ target: "/admin/stream" })).body).toHaveLength(200_000);
  });

  test.each(["/admin/throws", "/admin/rejects"])("%s: 500, and later requests are served", async (target) => {
    const response = await send({ target });
    expect(response.status).toBe(500);
    expect(response.body).not.toMatch(/at .*\.ts/);
    expect((await send({ target: "/admin/open" })).status).toBe(200);
  });

  test.each(["TRACE", "PROPFIND"])("%s is rejected", async (method) => {
    const response = await send({ method, target: "/admin/show" });
    expect([400, 401, 404, 405]).toContain(response.status);
  });

  test.each([
    ["a path in the Host line", { host: "fleet.test/admin/open?", target: "/public/x" }],
    ["a fragment in the Host line", { host: "fleet.test/admin/open#", target: "/public/x" }],
    ["a backslash in the Host line", { host: "fleet.test\\admin\\open?", target: "/public/x" }],
    ["an empty Host line", { host: "", target: "/public/admin/open" }],
  ])("%s does not change the path", async (_what, request) => {
    expect((await send(request)).body).not.toBe("open");
  });

  test.each(["", "a b", "a@b", "[::1", "a:99999", "%"])("Host %j is not a 500", async (host) => {
    const response = await send({ host, target: "/admin/open" });
    expect([200, 400, 404]).toContain(response.status);
  });

  // Routers and their guards see the target as received; a URL resolves dot segments. Hono's router reads the URL, so
  // it and the handler see the same path.
  const resolves = name === "honoHandler";
  test
    .skipIf(resolves)
    .each([
      "/public/../admin/open",
      "/public/x/../../admin/open",
      "/public/%2e%2e/admin/open",
      "/public/.%2E/admin/open",
      "/public/%2E./admin/open",
      "/public/./open",
      "/public/%2e/open",
      "/public/..",
      "/public/x/.",
      "/public/%2e%2E?a=1",
      "/public/..?a=1",
      "/public/x/..\\..\\admin/open",
      "/public/..\\admin\\open",
      "/public/x\\y",
      "/public/%2e%2e\\admin/open",
    ])("%s is a 400 and does not reach the handler", async (target) => {
    const before = reached.count;
    for (const method of ["GET", "POST", "HEAD"]) {
      const response = await send({ method, target, headers: [bearer(reader), "Content-Length: 0"] });
      expect([response.status, response.body]).toEqual([400, ""]);
    }
    expect(reached.count).toBe(before);
  });

  test.runIf(resolves)("dot segments are resolved before routing", async () => {
    const response = await send({ target: "/public/../admin/show", headers: [bearer(reader)] });
    expect([response.status, header(response, "x-url")]).toEqual([200, "http://fleet.test/admin/show"]);
    expect((await send({ target: "/admin/../nowhere" })).status).toBe(404);
  });

  test.skipIf(resolves)("an absolute target with dot segments is a 400 or 404", async () => {
    const before = reached.count;
    for (const path of ["/public/../admin/open", "/public/%2e%2e/admin/open", "/public/..\\admin/open"]) {
      expect([400, 404]).toContain((await send({ target: `http://fleet.test${path}` })).status);
    }
    expect(reached.count).toBe(before);
  });

  test.each([
    "/public/.well-known/x",
    "/public/a..b",
    "/public/..a/b..",
    "/public/...",
    "/public/%2e%2e%2e/x",
    "/public/a%2eb",
    "/public/..;/x",
    "/public/a?x=/../b",
    "/public/a?x=\\y&z=/%2e%2e/",
    "/public/..%2fadmin",
  ])("%s reaches the handler unchanged", async (target) => {
    const before = reached.count;
    const response = await send({ target });
    expect([response.status, response.body]).toEqual([404, "no such page"]);
    expect(reached.count).toBe(before + 1);
  });

  test.runIf(name === "fastifyHandler")("the parsers of the surrounding app are kept", async () => {
    const response = await send({ ...post('{"a":1}'), target: "/own" });
    expect(JSON.parse(response.body)).toEqual({ own: { a: 1 } });
  });
});

describe("a body that other middleware read and discarded is a 500", () => {
  const drain = async (req: AsyncIterable<unknown>) => {
    for await (const _chunk of req);
  };
  const starts: Readonly<Record<string, () => Promise<App>>> = {
    Express: () => startExpress((req, _res, next) => void drain(req).then(() => next(), next)),
    Koa: () => startKoa((ctx, next) => drain(ctx.req).then(next)),
  };

  test.each(Object.entries(starts))("%s", async (_name, start) => {
    const print = vi.spyOn(console, "error").mockImplementation(() => {});
    const app = await start();
    expect((await app.request(post("{}")))?.status).toBe(500);
    expect((await app.request({ target: "/admin/open" }))?.status).toBe(200);
    await app.close();
    print.mockRestore();
  });
});

describe("fastifyHandler at a prefix with an existing route", () => {
  const duplicated = { code: "FST_ERR_DUPLICATED_ROUTE" };

  test.each(["/admin", "/admin/*"])("%s: register and ready reject with Fastify's error", async (at) => {
    const app = Fastify();
    app.get(at, async () => "from the app");
    await expect(app.register(fastifyHandler(handler), { prefix: "/admin" })).rejects.toMatchObject(
      duplicated,
    );
    await expect(app.ready()).rejects.toMatchObject(duplicated);
    await app.close();
  });

  test("ready rejects if register was not awaited", async () => {
    const app = Fastify();
    app.register(fastifyHandler(handler), { prefix: "/admin" });
    app.register(fastifyHandler(handler), { prefix: "/admin" });
    await expect(app.ready()).rejects.toMatchObject(duplicated);
    await app.close();
  });
});
