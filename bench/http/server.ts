// A server in one framework, named by the first argument, with routes that send the same response: open, guarded by
// keybearer, by two hand-written checks, and by another library. The parent process sends the keys.

import { hash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import fastifyBearerAuth from "@fastify/bearer-auth";
import { createAdaptorServer } from "@hono/node-server";
import Router from "@koa/router";
import express from "express";
import Fastify from "fastify";
import { Hono } from "hono";
import { bearerAuth } from "hono/bearer-auth";
import Koa from "koa";
import passport from "passport";
import passportBearer from "passport-http-bearer";
import { expressAuth } from "../../dist/adapters/express.js";
import { fastifyAuth } from "../../dist/adapters/fastify.js";
import { honoAuth } from "../../dist/adapters/hono.js";
import { koaAuth } from "../../dist/adapters/koa.js";
import { nodeAuth } from "../../dist/adapters/node.js";
import { createVerifier, type KeyRecord } from "../../dist/index.js";
import { memoryStore } from "../../dist/stores/memory.js";
import { handWrittenCheck } from "../hand-written-check.js";
import { created, format, SCOPE, scopes } from "../service.js";

const BODY = { vehicles: [{ id: 1, name: "Truck" }] };
const TEXT = JSON.stringify(BODY);

const store = memoryStore();
const verifier = createVerifier({ store, scopes, format, environment: "live" });
const records = new Map<string, KeyRecord>();

/** The least that a service could check: no checksum, expiry or revocation. */
function check(authorization: string | undefined): KeyRecord | undefined {
  if (authorization === undefined || !authorization.startsWith("Bearer ")) return undefined;
  const record = records.get(hash("sha256", authorization.slice(7), "hex"));
  return record?.scopes.some((scope) => scope === SCOPE) ? record : undefined;
}

/** The same as in the other sections. */
async function isAllowed(authorization: string | undefined): Promise<boolean> {
  return (await handWrittenCheck(authorization, format, records, SCOPE)) !== undefined;
}

const DENIED = { message: "Not authorized" };

const SERVERS: Readonly<Record<string, () => Promise<Server>>> = {
  async node() {
    const handler = (_: IncomingMessage, response: ServerResponse) => {
      response.setHeader("Content-Type", "application/json");
      response.end(TEXT);
    };
    const guarded = nodeAuth(verifier)(SCOPE, handler);
    const deny = (response: ServerResponse) => {
      response.statusCode = 401;
      response.end(JSON.stringify(DENIED));
    };
    const checked = async (request: IncomingMessage, response: ServerResponse) => {
      if (!(await isAllowed(request.headers.authorization))) return deny(response);
      return handler(request, response);
    };
    return createServer((request, response) => {
      if (request.url === "/guard") return guarded(request, response);
      if (request.url === "/hand") return checked(request, response);
      if (request.url === "/least" && check(request.headers.authorization) === undefined)
        return deny(response);
      return handler(request, response);
    });
  },

  async express() {
    const app = express();
    const auth = expressAuth(verifier);
    passport.use(new passportBearer.Strategy((token, done) => done(null, check(`Bearer ${token}`) ?? false)));
    const handler = (_: express.Request, response: express.Response) => void response.json(BODY);
    app.get("/open", handler);
    app.get("/guard", auth(SCOPE), handler);
    app.get(
      "/hand",
      async (request, response, next) => {
        if (!(await isAllowed(request.headers.authorization))) response.status(401).json(DENIED);
        else next();
      },
      handler,
    );
    app.get(
      "/least",
      (request, response, next) => {
        if (check(request.headers.authorization) === undefined) response.status(401).json(DENIED);
        else next();
      },
      handler,
    );
    app.get("/peer", passport.authenticate("bearer", { session: false }), handler);
    return createServer(app);
  },

  async koa() {
    const app = new Koa();
    const router = new Router();
    const auth = koaAuth(verifier);
    const handler = (context: Koa.Context) => {
      context.body = BODY;
    };
    router.get("/open", handler);
    router.get("/guard", auth(SCOPE), handler);
    router.get(
      "/hand",
      async (context, next) => {
        if (await isAllowed(context.get("Authorization"))) return next();
        context.status = 401;
        context.body = DENIED;
      },
      handler,
    );
    router.get(
      "/least",
      async (context, next) => {
        if (check(context.get("Authorization")) !== undefined) return next();
        context.status = 401;
        context.body = DENIED;
      },
      handler,
    );
    app.use(router.routes());
    return createServer(app.callback());
  },

  async hono() {
    const app = new Hono();
    const auth = honoAuth(verifier);
    app.get("/open", (c) => c.json(BODY));
    app.get("/guard", auth(SCOPE), (c) => c.json(BODY));
    app.get(
      "/hand",
      async (c, next) => {
        if (!(await isAllowed(c.req.header("Authorization")))) return c.json(DENIED, 401);
        await next();
      },
      (c) => c.json(BODY),
    );
    app.get(
      "/least",
      async (c, next) => {
        if (check(c.req.header("Authorization")) === undefined) return c.json(DENIED, 401);
        await next();
      },
      (c) => c.json(BODY),
    );
    const verifyToken = (token: string) => check(`Bearer ${token}`) !== undefined;
    app.get("/peer", bearerAuth({ verifyToken }), (c) => c.json(BODY));
    return createAdaptorServer({ fetch: app.fetch }) as Server;
  },

  async fastify() {
    const app = Fastify();
    const auth = fastifyAuth(verifier);
    await app.register(auth.plugin);
    const handler = async () => BODY;
    app.get("/open", handler);
    app.get("/guard", { onRequest: auth(SCOPE) }, handler);
    app.get(
      "/hand",
      {
        onRequest: async (request, reply) => {
          if (!(await isAllowed(request.headers.authorization))) return reply.code(401).send(DENIED);
        },
      },
      handler,
    );
    app.get(
      "/least",
      {
        onRequest: (request, reply, done) => {
          if (check(request.headers.authorization) === undefined) reply.code(401).send(DENIED);
          else done();
        },
      },
      handler,
    );
    await app.register(async (scope) => {
      const isKnown = (token: string) => check(`Bearer ${token}`) !== undefined;
      await scope.register(fastifyBearerAuth, { keys: [], addHook: true, auth: isKnown });
      scope.get("/peer", handler);
    });
    await app.ready();
    return app.server;
  },
};

process.on("message", async (message: { keys?: readonly KeyRecord[]; cpu?: true }) => {
  if (message.cpu) {
    const { user, system } = process.cpuUsage();
    process.send?.({ cpu: user + system });
    return;
  }
  for (const sent of message.keys ?? []) {
    const [createdAt, updatedAt] = [new Date(sent.createdAt), new Date(sent.updatedAt)];
    const record: KeyRecord = { ...sent, createdAt, updatedAt };
    await store.insert(record, created(record));
    records.set(record.hash, record);
  }
  const server = await SERVERS[process.argv[2] ?? ""]?.();
  server?.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port }));
});
