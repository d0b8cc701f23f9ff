import { createServer, type RequestListener, type Server } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import Router from "@koa/router";
import express, { type RequestHandler } from "express";
import Fastify from "fastify";
import { Hono, type MiddlewareHandler } from "hono";
import Koa, { type Middleware } from "koa";
import { afterEach, describe, expect, test, vi } from "vitest";
import { expressAuth } from "../../../src/adapters/express.js";
import { fastifyAuth } from "../../../src/adapters/fastify.js";
import { fetchAuth } from "../../../src/adapters/fetch.js";
import { honoAuth } from "../../../src/adapters/hono.js";
import { koaAuth } from "../../../src/adapters/koa.js";
import { nodeAuth } from "../../../src/adapters/node.js";
import { bearer } from "../../contract/guards/case.js";
import { secrets, verifierBehind } from "./fixtures.js";
import { type App, listen } from "./frameworks.js";
import { PROTECTED } from "./routes.js";

// TypeScript rejects `app.use(auth)`; these are the errors in JavaScript.
const verifier = verifierBehind("none");
const expressMessage = "expressAuth: pass auth() to app.use(), not auth";
const koaMessage = "koaAuth: pass auth() to app.use(), not auth";
const honoMessage = "honoAuth: pass auth() to app.use(), not auth";
const fastifyMessage = "fastifyAuth: pass auth() as the hook, not auth; register auth.plugin, not auth";

let app: App | undefined;
afterEach(async () => {
  await app?.close();
  app = undefined;
});

/** Sends a request with a valid key and one without a key; both must fail, with the error reported. */
async function expectEveryRequestToFail(errors: readonly unknown[], message: string): Promise<void> {
  for (const headers of [[bearer(secrets.reader)], []]) {
    const response = await app?.request({ headers });
    expect(response?.status).toBe(500);
    expect(response?.body).not.toContain(PROTECTED);
  }
  expect(errors).toEqual([expect.any(TypeError), expect.any(TypeError)]);
  expect(errors.map((error) => (error as Error).message)).toEqual([message, message]);
}

describe("Express", () => {
  const auth = expressAuth(verifier) as unknown as RequestHandler;

  test("app.use(auth) throws at start-up", () => {
    expect(() => express().use(auth)).toThrow(new TypeError(expressMessage));
    expect(() => express().use("/vehicles", auth)).toThrow(new TypeError(expressMessage));
    expect(() => express().use([express.json(), auth])).toThrow(new TypeError(expressMessage));
  });

  test.each<[string, () => express.Express]>([
    [
      "app.get(path, auth, handler)",
      () => express().get("/vehicles", auth, (_, res) => void res.send(PROTECTED)),
    ],
    [
      "router.use(auth)",
      () =>
        express().use(
          express
            .Router()
            .use(auth)
            .get("/vehicles", (_, res) => void res.send(PROTECTED)),
        ),
    ],
  ])("%s fails every request", async (_, create) => {
    const errors: unknown[] = [];
    const onError: express.ErrorRequestHandler = (error, _req, res, _next) => {
      errors.push(error);
      res.status(500).end();
    };
    app = await listen(createServer(create().use(onError)));
    await expectEveryRequestToFail(errors, expressMessage);
  });
});

describe("Koa", () => {
  const auth = koaAuth(verifier) as unknown as Middleware;

  test("app.use(auth) and router.use(auth) throw at start-up", () => {
    expect(() => new Koa().use(auth)).toThrow(new TypeError(koaMessage));
    expect(() => new Router().use(auth)).toThrow(new TypeError(koaMessage));
  });

  test("router.get(path, auth, handler) fails every request", async () => {
    const errors: unknown[] = [];
    const koa = new Koa().on("error", (error) => errors.push(error));
    const router = new Router().get("/vehicles", auth, (ctx) => {
      ctx.body = PROTECTED;
    });
    app = await listen(createServer(koa.use(router.routes()).callback()));
    await expectEveryRequestToFail(errors, koaMessage);
  });
});

describe("Hono", () => {
  const auth = honoAuth(verifier) as unknown as MiddlewareHandler;

  test.each<[string, () => Hono]>([
    ["app.use(auth)", () => new Hono().use(auth).get("/vehicles", (c) => c.text(PROTECTED)) as Hono],
    [
      "app.get(path, auth, handler)",
      () => new Hono().get("/vehicles", auth, (c) => c.text(PROTECTED)) as Hono,
    ],
  ])("%s fails every request", async (_, create) => {
    const errors: unknown[] = [];
    const hono = create().onError((error, c) => {
      errors.push(error);
      return c.text("failed", 500);
    });
    app = await listen(createAdaptorServer({ fetch: hono.fetch }) as Server);
    await expectEveryRequestToFail(errors, honoMessage);
  });
});

describe("Fastify", () => {
  // biome-ignore lint/suspicious/noExplicitAny: what JavaScript can pass
  const auth = fastifyAuth(verifier) as any;
  const handler = async () => PROTECTED;

  test("addHook(name, auth), register(auth) and an array of hooks throw at start-up", async () => {
    expect(() => Fastify().addHook("onRequest", auth)).toThrow(new TypeError(fastifyMessage));
    expect(() => Fastify().get("/vehicles", { onRequest: [auth] }, handler)).toThrow(
      new TypeError(fastifyMessage),
    );
    await expect(Fastify().register(auth).ready()).rejects.toThrow(new TypeError(fastifyMessage));
  });

  test("a route with { onRequest: auth } fails every request", async () => {
    const errors: unknown[] = [];
    const fastify = Fastify();
    fastify.setErrorHandler((error, _request, reply) => {
      errors.push(error);
      return reply.code(500).send();
    });
    fastify.get("/vehicles", { onRequest: auth }, handler);
    await fastify.ready();
    app = await listen(fastify.server);
    await expectEveryRequestToFail(errors, fastifyMessage);
    await fastify.close();
  });
});

test("createServer(auth) of node:http throws for every request", async () => {
  const auth = nodeAuth(verifier) as unknown as RequestListener;
  const errors: unknown[] = [];
  app = await listen(
    createServer((req, res) => {
      try {
        auth(req, res);
      } catch (error) {
        errors.push(error);
        res.writeHead(500).end();
      }
    }),
  );
  await expectEveryRequestToFail(
    errors,
    "nodeAuth: the last argument must be a listener; pass auth(listener) to createServer(), not auth",
  );
});

test.each([
  ["the request", []],
  ["the request and its context", [{ params: {} }]],
  ["the request and a function", [() => new Response(PROTECTED)]],
])("a fetch handler that is auth itself throws when called with %s", (_, rest) => {
  const auth = fetchAuth(verifier) as unknown as (request: Request, ...rest: unknown[]) => unknown;
  const message = "fetchAuth: the last argument must be a handler; serve auth(handler), not auth";
  expect(() => auth(new Request("http://localhost/vehicles"), ...rest)).toThrow(new TypeError(message));
});

test("inspecting auth does not throw", async () => {
  const { inspect } = await import("node:util");
  const creators = [expressAuth, koaAuth, honoAuth, fastifyAuth, fetchAuth, nodeAuth].map((make) =>
    make(verifier),
  );
  const print = vi.fn((value: unknown) => inspect(value, { showHidden: true, depth: 4 }));
  for (const auth of creators) print(auth);
  expect(print).toHaveReturnedTimes(creators.length);
});
