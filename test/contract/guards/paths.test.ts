import { createServer } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import express from "express";
import express4 from "express4";
import Fastify from "fastify";
import Fastify4 from "fastify4";
import { Hono } from "hono";
import Koa from "koa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expressAuth } from "../../../src/adapters/express.js";
import { fastifyAuth } from "../../../src/adapters/fastify.js";
import { fetchAuth } from "../../../src/adapters/fetch.js";
import { honoAuth } from "../../../src/adapters/hono.js";
import { koaAuth } from "../../../src/adapters/koa.js";
import { nodeAuth, toNodeListener } from "../../../src/adapters/node.js";
import {
  createKeyManager,
  createVerifier,
  keyFormat,
  type Observer,
  type Verifier,
} from "../../../src/index.js";
import { createRateLimiter } from "../../../src/rate-limit/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { type App, listen } from "../../unit/adapters/frameworks.js";
import { scopes } from "../../unit/core/fixtures.js";

type Guarded = Verifier<(typeof scopes)["names"][number]>;

/** Starts a service whose guard sees every request. */
const starts: Readonly<Record<string, (verifier: Guarded) => Promise<App>>> = {
  "Express 5": (verifier) => {
    const app = express();
    app.use("/mounted", expressAuth(verifier)(), (_req, res) => void res.end("ok"));
    app.use(expressAuth(verifier)(), (_req, res) => void res.end("ok"));
    return listen(createServer(app));
  },
  "Express 4": (verifier) => {
    const app = express4();
    app.use("/mounted", expressAuth(verifier)() as never, (_req: unknown, res: { end(text: string): void }) =>
      res.end("ok"),
    );
    app.use(expressAuth(verifier)() as never, (_req: unknown, res: { end(text: string): void }) =>
      res.end("ok"),
    );
    return listen(createServer(app as never));
  },
  Koa: (verifier) => {
    const app = new Koa();
    app.use(koaAuth(verifier)());
    app.use((ctx) => {
      ctx.body = "ok";
    });
    return listen(createServer(app.callback()));
  },
  Hono: (verifier) => {
    const app = new Hono();
    app.use(honoAuth(verifier)());
    app.all("*", (c) => c.text("ok"));
    return listen(createAdaptorServer(app) as ReturnType<typeof createServer>);
  },
  "Fastify 5": (verifier) => startFastify(Fastify(), verifier),
  "Fastify 4": (verifier) => startFastify(Fastify4() as never, verifier),
  "node:http": (verifier) => listen(createServer(nodeAuth(verifier)((_req, res) => void res.end("ok")))),
  fetch: (verifier) => listen(createServer(toNodeListener(fetchAuth(verifier)(() => new Response("ok"))))),
};

async function startFastify(app: ReturnType<typeof Fastify>, verifier: Guarded): Promise<App> {
  const auth = fastifyAuth(verifier);
  await app.register(auth.plugin);
  app.addHook("onRequest", auth());
  app.setNotFoundHandler((_request: unknown, reply: { send(body: string): unknown }) => reply.send("ok"));
  await app.ready();
  app.server.removeAllListeners("upgrade");
  return listen(app.server);
}

// Targets that a framework rejects with 400 before any guard, because it cannot make a URL of them.
const unserved: Readonly<Record<string, readonly string[]>> = {
  "Fastify 5": ["GET http://fleet.test/vehicles?a=http://b/c#d"],
  Hono: ["GET HTTPS://user:word@fleet.test:8443/vehicles", "OPTIONS *"],
  fetch: ["OPTIONS *"],
};

// Method and target, and the path.
const targets: readonly (readonly [string, string])[] = [
  ["GET /vehicles", "/vehicles"],
  ["GET /vehicles?path=/other", "/vehicles"],
  ["GET /vehicles?a?b#c", "/vehicles"],
  ["GET /vehicles#a?b", "/vehicles"],
  ["GET /mounted/vehicles?a", "/mounted/vehicles"],
  ["GET /?a", "/"],
  ["GET http://fleet.test/vehicles", "/vehicles"],
  ["GET http://fleet.test/vehicles?a=http://b/c#d", "/vehicles"],
  ["GET HTTPS://user:word@fleet.test:8443/vehicles", "/vehicles"],
  ["GET http://[::1]:80/vehicles", "/vehicles"],
  ["GET http://fleet.test/mounted/vehicles", "/mounted/vehicles"],
  ["GET http://fleet.test", "/"],
  ["GET http://fleet.test?/vehicles", "/"],
  ["GET http://fleet.test//vehicles", "//vehicles"],
  ["GET //vehicles", "//vehicles"],
  ["GET //fleet.test/vehicles?a", "//fleet.test/vehicles"],
  ["GET ///vehicles", "///vehicles"],
  ["GET /http://fleet.test/vehicles", "/http://fleet.test/vehicles"],
  ["GET /%76ehicles%3Fa%2F", "/%76ehicles%3Fa%2F"],
  ["GET /vehicles%20a%C3%A9", "/vehicles%20a%C3%A9"],
  ["OPTIONS *", "*"],
];

describe.each(Object.entries(starts))("the path in %s", (name, start) => {
  const format = keyFormat({ prefix: "ezt", environments: ["live"] });
  const seen: (string | undefined)[] = [];
  const observer: Observer = (event) => {
    if ("path" in event) seen.push(event.path);
  };
  const rateLimiter = createRateLimiter({
    windows: [{ name: "all", per: "key", limit: 1, window: "1m" }],
    cost: ({ path }) => {
      seen.push(path);
      return 0;
    },
  });
  const store = memoryStore();
  let app: App;
  let secret: string;
  beforeAll(async () => {
    const keys = createKeyManager({ store, scopes, format });
    ({ secret } = await keys.create({ ownerId: "acme", scopes: [] }));
    app = await start(createVerifier({ store, scopes, format, observers: [observer], rateLimiter }));
  });
  afterAll(() => app.close());

  test.each(targets)("of %s is %s", async (line, path) => {
    const [method = "", target = ""] = line.split(" ");
    for (const [credential, count] of [
      [secret, 2],
      ["ezt_live_x", 1],
    ] as const) {
      seen.length = 0;
      const response = await app.request({
        method,
        target,
        headers: [`Authorization: Bearer ${credential}`],
      });
      if (unserved[name]?.includes(line)) expect([response?.status, seen]).toEqual([400, []]);
      else await expect.poll(() => seen).toEqual(Array(count).fill(path)); // events are emitted after the response
    }
  });
});
