import { createServer } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import Router from "@koa/router";
import express, { type RequestHandler as ExpressMiddleware } from "express";
import Fastify from "fastify";
import { Hono } from "hono";
import Koa, { type Middleware } from "koa";
import { describe, expect, test } from "vitest";
import { expressHandler } from "../../../src/adapters/express.js";
import { fastifyHandler } from "../../../src/adapters/fastify.js";
import { koaHandler } from "../../../src/adapters/koa.js";
import { toNodeListener } from "../../../src/adapters/node.js";
import type { RequestHandler } from "../../../src/management/index.js";
import { type App, listen } from "../../unit/adapters/frameworks.js";
import type { RawRequest } from "../../unit/adapters/raw.js";
import { type Api, managementApi } from "../../unit/management/fixtures.js";

function startExpress(handler: RequestHandler, ...parsers: ExpressMiddleware[]): Promise<App> {
  const app = express();
  app.disable("x-powered-by");
  app.set("env", "test");
  for (const parser of parsers) app.use(parser);
  app.use("/admin", expressHandler(handler));
  return listen(createServer(app));
}

function startKoa(handler: RequestHandler, ...parsers: Middleware[]): Promise<App> {
  const app = new Koa();
  const router = new Router();
  app.silent = true;
  for (const parser of parsers) app.use(parser);
  router.all("/admin/{*rest}", koaHandler(handler));
  app.use(router.routes());
  return listen(createServer(app.callback()));
}

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

function startHono(handler: RequestHandler): Promise<App> {
  const app = new Hono<{
    Bindings: { incoming: { rawHeaders: string[]; socket: { remoteAddress: string } } };
  }>();
  app.all("/admin/*", (c) => {
    const { rawHeaders, socket } = c.env.incoming;
    return handler(c.req.raw, { rawHeaders, remoteAddress: socket.remoteAddress });
  });
  return listen(createAdaptorServer(app) as ReturnType<typeof createServer>);
}

async function startFastify(handler: RequestHandler): Promise<App> {
  const app = Fastify({ genReqId: (req) => String(req.headers["x-request-id"]) }); // so that responses have the same id
  await app.register(fastifyHandler(handler), { prefix: "/admin" });
  await app.ready();
  const { port, request, close } = await listen(app.server);
  return { port, request, close: async () => void (await Promise.all([close(), app.close()])) };
}

const mounts: Readonly<Record<string, (handler: RequestHandler) => Promise<App>>> = {
  toNodeListener: (handler) => listen(createServer(toNodeListener(handler))),
  Express: startExpress,
  "Express after express.json()": (handler) => startExpress(handler, express.json()),
  "Express after express.json() and urlencoded()": (handler) =>
    startExpress(handler, express.json(), express.urlencoded()),
  Koa: startKoa,
  "Koa after a body parser": (handler) => startKoa(handler, koaBody),
  Hono: startHono,
  Fastify: startFastify,
};

const ann = "Authorization: Bearer jwt-ann";
const withBody = (method: string, target: string, json: unknown, ...more: string[]): RawRequest => {
  const bytes = Buffer.from(typeof json === "string" ? json : JSON.stringify(json));
  const body = bytes.toString("latin1"); // one character is one byte
  const length = `Content-Length: ${bytes.length}`;
  return { method, target, headers: [ann, "Content-Type: application/json", length, ...more], body };
};

/**
 * Requests of a typical client; `key` is the id of an existing key. There is no path that cannot be decoded, because
 * Fastify's router rejects it before any handler.
 */
const conversation = (key: string, secret: string): readonly RawRequest[] => [
  { target: "/admin/api-keys", headers: [ann] },
  { method: "HEAD", target: "/admin/api-keys", headers: [ann] },
  { target: "/admin/api-keys" },
  { target: "/admin/api-keys", headers: [ann, ann] },
  { target: "/admin/api-keys?limit=0", headers: [ann] },
  { target: "/admin/me", headers: [`Authorization: Bearer ${secret}`] },
  { target: "/admin/openapi.json" },
  withBody("POST", "/admin/api-keys", { scopes: ["vehicles:read"], environment: "live", name: "ü" }),
  withBody("POST", "/admin/api-keys", { scopes: ["x"], name: 7, ownerId: "evil" }),
  withBody("POST", "/admin/api-keys", '{"environment":"live","scopes":[],"__proto__":{"ownerId":"evil"}}'),
  { method: "POST", target: "/admin/api-keys", headers: [ann, "Content-Length: 0"] },
  withBody("PATCH", `/admin/api-keys/${key}`, { name: "new" }),
  { method: "POST", target: `/admin/api-keys/${key}/disable`, headers: [ann, "Content-Length: 0"] },
  { method: "POST", target: `/admin/api-keys/${key}/enable`, headers: [ann] },
  // Empty bodies with a type, as many clients send them
  withBody("POST", "/admin/api-keys", ""),
  withBody("POST", `/admin/api-keys/${key}/disable`, ""),
  {
    method: "POST",
    target: `/admin/api-keys/${key}/enable`,
    headers: [ann, "Content-Type: application/json", "Transfer-Encoding: chunked"],
    body: "0\r\n\r\n",
  },
  {
    method: "POST",
    target: `/admin/api-keys/${key}/rotate`,
    headers: [ann, "Content-Type: application/json", "Transfer-Encoding: chunked"],
    body: '10\r\n{"overlap":"1h"}\r\n0\r\n\r\n',
  },
  { target: `/admin/api-keys/${key}/audit`, headers: [ann] },
  { method: "DELETE", target: `/admin/api-keys/${key}`, headers: [ann] },
  withBody("DELETE", `/admin/api-keys/${key}`, { reason: "late" }),
  { target: "/admin/api-keys/%00", headers: [ann] },
  { target: "/admin/api-keys/", headers: [ann] },
  { method: "OPTIONS", target: "/admin/api-keys", headers: [ann] },
  { method: "PUT", target: "/admin/me", headers: [ann] },
];

/** Headers of the connection, and the date. */
const HOP = /^(date|connection|keep-alive|transfer-encoding):/i;
/** Values that differ between runs. */
const RANDOM = /key_[0-9a-f]{32}|ezt_live_[0-9A-Za-z]+|[0-9a-f]{12}-[0-9a-f]{12}-[0-9a-f-]{18}/g;

async function transcript(start: (handler: RequestHandler) => Promise<App>): Promise<readonly string[]> {
  const api: Api = managementApi({ basePath: "/admin" });
  const { key, secret } = await api.issue({ name: "first" });
  const app = await start(api.handler);
  try {
    const entries: string[] = [];
    for (const request of conversation(key.id, secret)) {
      const response = await app.request(request);
      const headers = (response?.lines ?? [])
        .filter((line) => !HOP.test(line))
        .map((line) => line.toLowerCase());
      const text = [response?.statusLine, ...headers.sort(), response?.body].join("\n");
      entries.push(`${request.method ?? "GET"} ${request.target}\n${text}`.replace(RANDOM, "…"));
    }
    expect(api.errors).toEqual([]);
    return entries;
  } finally {
    await app.close();
  }
}

describe("over a socket", async () => {
  const expected = await transcript(mounts.toNodeListener as (handler: RequestHandler) => Promise<App>);

  test("toNodeListener responds with the expected statuses", () => {
    expect(expected.map((text) => Number(/HTTP\/1\.1 (\d+)/.exec(text)?.[1]))).toEqual([
      200, 200, 401, 401, 400, 200, 200, 201, 400, 400, 415, 200, 200, 200, 400, 200, 200, 201, 200, 200, 200,
      404, 404, 405, 405,
    ]);
  });

  test.each(Object.keys(mounts))("%s responds with the same bytes", async (name) => {
    const start = mounts[name] as (handler: RequestHandler) => Promise<App>;
    expect(await transcript(start)).toEqual(expected);
  });
});
