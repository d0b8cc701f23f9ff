// One framework with four routes that answer the same: open, guarded by keybearer, by a check written by hand, and by
// the peer that people take there. Told which by its first argument; the keys come over the channel to its parent.

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
import { created, format, SCOPE, scopes } from "../service.js";

const BODY = { vehicles: [{ id: 1, name: "Truck" }] };
const TEXT = JSON.stringify(BODY);

const store = memoryStore();
const verifier = createVerifier({ store, scopes, format, environment: "live" });
const owners = new Map<string, KeyRecord>();

/** What somebody would write who needs no more than this. */
function byHand(authorization: string | undefined): KeyRecord | undefined {
  if (authorization === undefined || !authorization.startsWith("Bearer ")) return undefined;
  const record = owners.get(hash("sha256", authorization.slice(7), "hex"));
  return record?.scopes.some((scope) => scope === SCOPE) ? record : undefined;
}

const REFUSED = { message: "Not authorized" };

const SERVERS: Readonly<Record<string, () => Promise<Server>>> = {
  async node() {
    const answer = (_: IncomingMessage, response: ServerResponse) => {
      response.setHeader("Content-Type", "application/json");
      response.end(TEXT);
    };
    const guarded = nodeAuth(verifier)(SCOPE, answer);
    return createServer((request, response) => {
      if (request.url === "/guard") return guarded(request, response);
      if (request.url === "/hand" && byHand(request.headers.authorization) === undefined) {
        response.statusCode = 401;
        return response.end(JSON.stringify(REFUSED));
      }
      return answer(request, response);
    });
  },

  async express() {
    const app = express();
    const auth = expressAuth(verifier);
    passport.use(
      new passportBearer.Strategy((token, done) => done(null, byHand(`Bearer ${token}`) ?? false)),
    );
    const answer = (_: express.Request, response: express.Response) => void response.json(BODY);
    app.get("/open", answer);
    app.get("/guard", auth(SCOPE), answer);
    app.get(
      "/hand",
      (request, response, next) => {
        if (byHand(request.headers.authorization) === undefined) response.status(401).json(REFUSED);
        else next();
      },
      answer,
    );
    app.get("/peer", passport.authenticate("bearer", { session: false }), answer);
    return createServer(app);
  },

  async koa() {
    const app = new Koa();
    const router = new Router();
    const auth = koaAuth(verifier);
    const answer = (context: Koa.Context) => {
      context.body = BODY;
    };
    router.get("/open", answer);
    router.get("/guard", auth(SCOPE), answer);
    router.get(
      "/hand",
      async (context, next) => {
        if (byHand(context.get("Authorization")) !== undefined) return next();
        context.status = 401;
        context.body = REFUSED;
      },
      answer,
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
        if (byHand(c.req.header("Authorization")) === undefined) return c.json(REFUSED, 401);
        await next();
      },
      (c) => c.json(BODY),
    );
    const verifyToken = (token: string) => byHand(`Bearer ${token}`) !== undefined;
    app.get("/peer", bearerAuth({ verifyToken }), (c) => c.json(BODY));
    return createAdaptorServer({ fetch: app.fetch }) as Server;
  },

  async fastify() {
    const app = Fastify();
    const auth = fastifyAuth(verifier);
    await app.register(auth.plugin);
    const answer = async () => BODY;
    app.get("/open", answer);
    app.get("/guard", { onRequest: auth(SCOPE) }, answer);
    app.get(
      "/hand",
      {
        onRequest: (request, reply, done) => {
          if (byHand(request.headers.authorization) === undefined) reply.code(401).send(REFUSED);
          else done();
        },
      },
      answer,
    );
    await app.register(async (scope) => {
      const isKnown = (token: string) => byHand(`Bearer ${token}`) !== undefined;
      await scope.register(fastifyBearerAuth, { keys: [], addHook: true, auth: isKnown });
      scope.get("/peer", answer);
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
    owners.set(record.hash, record);
  }
  const server = await SERVERS[process.argv[2] ?? ""]?.();
  server?.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port }));
});
