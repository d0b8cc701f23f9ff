import { createServer, type IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import express from "express";
import { expect, test } from "vitest";
import { expressAuth } from "../../../src/adapters/express.js";
import { fastifyAuth } from "../../../src/adapters/fastify.js";
import { fetchAuth } from "../../../src/adapters/fetch.js";
import { honoAuth } from "../../../src/adapters/hono.js";
import { koaAuth } from "../../../src/adapters/koa.js";
import { nodeAuth } from "../../../src/adapters/node.js";
import { hashSecret } from "../../../src/index.js";
import { bearer } from "../../contract/guards/case.js";
import { secrets, verifierOver } from "./fixtures.js";
import { listen } from "./frameworks.js";

// A store that returns records without a promise, like memoryStore and sqliteStore.
const hash = hashSecret(secrets.reader);
const record = { id: "key_1", hash, ownerId: "reader", scopes: ["vehicles:read"] };
const verifier = verifierOver({ findByHash: (wanted) => (wanted === hash ? record : undefined) });

const authorization = `Bearer ${secrets.reader}`;
const req = Object.assign(Object.create(null), {
  method: "GET",
  url: "/vehicles",
  headers: { authorization },
  rawHeaders: ["Authorization", authorization],
  socket: new Socket(),
}) as IncomingMessage;

const guards: Readonly<Record<string, (next: () => void) => unknown>> = {
  Express: (next) => expressAuth(verifier)()(req, new ServerResponse(req), next),
  Koa: (next) => {
    const ctx = { req, originalUrl: "/vehicles", state: {}, set: () => {} };
    return koaAuth(verifier)()(ctx as never, next as never);
  },
  Hono: (next) => {
    const request = new Request("http://localhost/vehicles", { headers: { authorization } });
    const c = {
      req: { method: "GET", path: "/vehicles", raw: request },
      get: () => undefined,
      set: () => {},
      header: () => {},
    };
    return honoAuth(verifier)()(c as never, async () => next());
  },
  Fastify: (next) => {
    const request = { id: "req-1", originalUrl: "/vehicles", raw: req };
    const reply = { sent: false, raw: {}, headers: () => {} };
    return fastifyAuth(verifier)()(request as never, reply as never, next);
  },
  fetch: (next) => {
    const handler = fetchAuth(verifier)(() => {
      next();
      return new Response();
    });
    return handler(new Request("http://localhost/vehicles", { headers: { authorization } }));
  },
  "node:http": (next) => nodeAuth(verifier)(() => next())(req, new ServerResponse(req)),
};

test.each(Object.entries(guards))("%s: a synchronous outcome needs no promise", async (_name, run) => {
  let calls = 0;
  const result = run(() => calls++);
  expect(calls).toBe(1);
  await result;
  expect(calls).toBe(1);
});

test("an exception of a later handler reaches Express after a synchronous outcome", async () => {
  const app = express();
  app.get("/vehicles", expressAuth(verifier)(), () => {
    throw new RangeError("handler failed");
  });
  const errors: unknown[] = [];
  const onError: express.ErrorRequestHandler = (error, _req, res, _next) => {
    errors.push(error);
    res.status(500).end();
  };
  const { request, close } = await listen(createServer(app.use(onError)));
  expect((await request({ headers: [bearer(secrets.reader)] }))?.status).toBe(500);
  await close();
  expect(errors).toEqual([new RangeError("handler failed")]);
});
