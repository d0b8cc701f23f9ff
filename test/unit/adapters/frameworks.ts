import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from "node:http";
import type { AddressInfo } from "node:net";
import { inspect } from "node:util";
import { createAdaptorServer } from "@hono/node-server";
import Router from "@koa/router";
import express, { type RequestHandler } from "express";
import express4 from "express4";
import Fastify, { type FastifyReply, type FastifyRequest } from "fastify";
import Fastify4 from "fastify4";
import { Hono } from "hono";
import { logger } from "hono/logger";
import { Hono as Hono4 } from "hono4";
import Koa, { type Middleware } from "koa";
import Koa2 from "koa2";
import { expressAuth, expressHandler } from "../../../src/adapters/express.js";
import { fastifyAuth, fastifyHandler } from "../../../src/adapters/fastify.js";
import { type AuthenticatedHandler, fetchAuth, type GuardedHandler } from "../../../src/adapters/fetch.js";
import { type HonoMiddleware, honoAuth, honoHandler } from "../../../src/adapters/hono.js";
import { koaAuth, koaHandler } from "../../../src/adapters/koa.js";
import {
  type FetchHandler,
  type GuardedListener,
  nodeAuth,
  toNodeListener,
} from "../../../src/adapters/node.js";
import type { GuardOptions, Principal, Verifier } from "../../../src/index.js";
import type { FleetScope } from "./fixtures.js";
import { nest, startNestOnExpress, startNestOnFastify } from "./nest.js";
import { fromFetchResponse, type RawRequest, type RawResponse, send, toFetchRequest } from "./raw.js";
import { type Route, routes } from "./routes.js";

export interface AppOptions {
  readonly verifier: Verifier<FleetScope>;
  readonly guard?: GuardOptions;
  /** Headers that earlier middleware sets on every response. */
  readonly earlier?: Readonly<Record<string, string>>;
  /** A fetch handler mounted at `/manage`. */
  readonly mount?: FetchHandler | undefined;
  /** Receives log lines about requests, principals and responses. */
  readonly log?: ((line: string) => void) | undefined;
}

/** A running service. */
export interface App {
  /** `undefined` without a socket. */
  readonly port: number | undefined;
  request(request: RawRequest): Promise<RawResponse | undefined>;
  close(): Promise<void>;
}

/** One framework with its guard. */
export interface Setup {
  readonly name: string;
  /** Whether requests reach it over a socket. */
  readonly wire: boolean;
  start(options: AppOptions): Promise<App>;
}

const ALL = { depth: Number.POSITIVE_INFINITY, showHidden: true };

/** Listens on every address, for clients over IPv4, IPv6 and IPv4-mapped addresses. */
export async function listen(
  server: Server,
  log?: AppOptions["log"],
): Promise<App & { readonly port: number }> {
  if (log !== undefined) {
    server.on("request", (req: IncomingMessage & { auth?: unknown }, res: ServerResponse) => {
      const { method, url } = req;
      res.on("close", () => log(inspect([method, url, res.statusCode, res.getHeaders(), req.auth], ALL)));
    });
  }
  await new Promise<void>((resolve) => server.listen(0, "::", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    request: (request) => send(port, request),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export type Auth = Principal<FleetScope> | undefined;

/** Calls `auth` with the arguments of a route, which its types accept only one by one. */
export function guardOf<G>(auth: () => G, args: Route["guard"]): G {
  return (auth as (...args: readonly unknown[]) => G)(...args);
}

const JSON_TYPE = { "Content-Type": "application/json" };

/** Finds the route with exactly this path; HEAD uses the route of GET. */
function routeOf<T>(
  guarded: readonly (readonly [Route, T])[],
  method: string | undefined,
  path: string,
): T | undefined {
  const wanted = method === "HEAD" ? "GET" : method;
  return guarded.find(([route]) => route.method === wanted && route.path === path)?.[1];
}

// Every framework trusts proxies and matches paths loosely; neither may affect the guards.

const startExpress = startExpressOf(express);
const startKoa = startKoaOf(Koa);
const startHono = startHonoOf(Hono);
const startFastify = startFastifyOf(Fastify, {
  routerOptions: { caseSensitive: false, ignoreTrailingSlash: true, ignoreDuplicateSlashes: true },
});

function startExpressOf(createApp: () => ReturnType<typeof express>) {
  return async ({ verifier, guard, earlier = {}, mount, log }: AppOptions): Promise<App> => {
    const app = createApp();
    const auth = expressAuth(verifier, guard);
    app.set("trust proxy", true);
    app.set("env", "production"); // otherwise Express sends stack traces
    app.use((_req, res, next) => {
      res.set(earlier);
      next();
    });
    for (const { method, path, guard: args, handle } of routes) {
      const handler: RequestHandler = (req, res, next) => {
        const replace = (value: unknown) => Object.assign(req, { auth: value });
        // Express 4 does not wait for promises.
        Promise.resolve(handle({ auth: req.auth as Auth, replace })).then(
          (body) => res.type("json").send(body),
          next,
        );
      };
      app[method.toLowerCase() as "get"](path, guardOf(auth, args), handler);
    }
    if (mount) app.use("/manage", expressHandler(mount));
    return listen(createServer(app), log);
  };
}

function startKoaOf(App: new () => Koa) {
  return async ({ verifier, guard, earlier = {}, mount, log }: AppOptions): Promise<App> => {
    const app = new App();
    const router = new Router();
    const auth = koaAuth(verifier, guard);
    app.proxy = true;
    app.silent = true;
    app.use(async (ctx, next) => {
      ctx.set(earlier);
      await next();
      log?.(inspect(ctx.state.auth, ALL));
    });
    for (const { method, path, guard: args, handle } of routes) {
      const handler: Middleware = async (ctx) => {
        const replace = (value: unknown) => Object.assign(ctx.state, { auth: value });
        ctx.type = "json";
        ctx.body = await handle({ auth: ctx.state.auth as Auth, replace });
      };
      router.register(path, [method], [guardOf(auth, args), handler] as Parameters<
        typeof router.register
      >[2]);
    }
    if (mount) router.all("/manage{/*rest}", koaHandler(mount));
    app.use(router.routes());
    app.use(router.allowedMethods());
    return listen(createServer(app.callback()), log);
  };
}

function honoApp(
  App: typeof Hono,
  { verifier, guard, earlier = {}, mount, log }: AppOptions,
  remoteAddress?: string,
) {
  const app = new App<{ Variables: { auth: Auth } }>({ strict: false });
  const auth = honoAuth(verifier, { ...guard, ...(remoteAddress && { remoteAddress: () => remoteAddress }) });
  if (log) app.use(logger(log));
  app.use(async (c, next) => {
    for (const [name, value] of Object.entries(earlier)) c.header(name, value);
    await next();
    log?.(inspect([c.var.auth, [...c.res.headers]], ALL));
  });
  for (const { method, path, guard: args, handle } of routes) {
    app.on(method, path, guardOf<HonoMiddleware<Principal<FleetScope>>>(auth, args), async (c) => {
      const replace = (value: unknown) => c.set("auth", value as Principal<FleetScope>);
      return c.body(await handle({ auth: c.var.auth, replace }), 200, JSON_TYPE);
    });
  }
  if (mount) app.all("/manage/*", honoHandler(mount));
  return app;
}

function startHonoOf(App: typeof Hono) {
  return (options: AppOptions): Promise<App> =>
    listen(createAdaptorServer({ fetch: honoApp(App, options).fetch }) as Server, options.log);
}

async function startHonoFetch(options: AppOptions): Promise<App> {
  const app = honoApp(Hono, options, "127.0.0.1");
  return {
    port: undefined,
    async request(request) {
      const response = await app.fetch(toFetchRequest(request));
      return fromFetchResponse(response, STATUS_CODES[response.status] ?? "");
    },
    close: async () => {},
  };
}

function startFastifyOf(createApp: typeof Fastify, routerOptions: object) {
  return async ({ verifier, guard, earlier = {}, mount, log }: AppOptions): Promise<App> => {
    const app = createApp({
      ...(log && { logger: { level: "trace", stream: { write: log } } }),
      trustProxy: true,
      genReqId: (req) => String(req.headers["x-request-id"]),
      ...routerOptions,
    });
    const auth = fastifyAuth(verifier, guard);
    await app.register(auth.plugin);
    app.addHook("onRequest", async (_request, reply) => void reply.headers(earlier));
    for (const { method, path, guard: args, handle } of routes) {
      const handler = async (request: FastifyRequest, reply: FastifyReply) => {
        const replace = (value: unknown) => Object.assign(request, { auth: value });
        request.log.trace({ auth: request.auth }, inspect(request.auth, ALL));
        const body = await handle({ auth: request.auth as Auth, replace });
        return reply.type("application/json").send(body);
      };
      app.route({ method, url: path, onRequest: guardOf(auth, args), handler });
    }
    if (mount) await app.register(fastifyHandler(mount), { prefix: "/manage" });
    await app.ready();
    const { request, port, close } = await listen(app.server, log);
    return { request, port, close: async () => void (await Promise.all([close(), app.close()])) };
  };
}

async function startFetch({ verifier, guard, earlier = {}, mount, log }: AppOptions): Promise<App> {
  const auth = fetchAuth(verifier, guard);
  const guarded = routes.map(({ handle, ...route }) => {
    const handler: AuthenticatedHandler<Auth> = async (_request, context) => {
      const replace = (value: unknown) => Object.assign(context, { auth: value });
      return new Response(await handle({ auth: context.auth, replace }), { headers: JSON_TYPE });
    };
    const make = auth as (...args: readonly unknown[]) => GuardedHandler;
    return [{ handle, ...route }, make(...route.guard, handler)] as const;
  });
  const listener = toNodeListener((request, connection) => {
    const { pathname } = new URL(request.url);
    const handler = pathname.startsWith("/manage/") ? mount : routeOf(guarded, request.method, pathname);
    return handler?.(request, connection) ?? new Response("Not Found", { status: 404 });
  });
  return listen(createServer(behind(earlier, listener)), log);
}

async function startNode({ verifier, guard, earlier = {}, mount, log }: AppOptions): Promise<App> {
  const auth = nodeAuth(verifier, guard);
  const guarded = routes.map(({ handle, ...route }) => {
    const listener = async (req: { auth: Auth }, res: Parameters<RequestListener>[1]) => {
      const body = await handle({ auth: req.auth, replace: (value) => Object.assign(req, { auth: value }) });
      res.writeHead(200, JSON_TYPE).end(body);
    };
    const make = auth as (...args: readonly unknown[]) => GuardedListener;
    return [{ handle, ...route }, make(...route.guard, listener)] as const;
  });
  const mounted = mount && toNodeListener(mount);
  const listener: RequestListener = (req, res) => {
    if (mounted && req.url?.startsWith("/manage/")) return void mounted(req, res);
    const handler = routeOf(guarded, req.method, (req.url ?? "").replace(/\?.*$/, ""));
    if (handler === undefined) return void res.writeHead(404).end("Not Found");
    // node:http does not handle errors of listeners.
    handler(req, res).catch(() => res.writeHead(500).end("Internal Server Error"));
  };
  return listen(createServer(behind(earlier, listener)), log);
}

function behind(earlier: Readonly<Record<string, string>>, listener: RequestListener): RequestListener {
  return (req, res) => {
    for (const [name, value] of Object.entries(earlier)) res.setHeader(name, value);
    return listener(req, res);
  };
}

/** Every guard, with Hono in two runtimes. */
export const setups: readonly Setup[] = [
  { name: "Express", wire: true, start: startExpress },
  { name: "Koa", wire: true, start: startKoa },
  { name: "Hono on Node", wire: true, start: startHono },
  { name: "Fastify", wire: true, start: startFastify },
  { name: "fetch on Node", wire: true, start: startFetch },
  { name: "node:http", wire: true, start: startNode },
  { name: "NestJS on Express", wire: true, start: startNestOnExpress(nest) },
  { name: "NestJS on Fastify", wire: true, start: startNestOnFastify(nest) },
  { name: "Hono as a fetch app", wire: false, start: startHonoFetch },
];

/** The oldest supported version of each framework. Their types are those of the newest. */
export const oldestSetups: readonly Setup[] = [
  { name: "Express 4.18", wire: true, start: startExpressOf(express4 as unknown as typeof express) },
  { name: "Koa 2.15", wire: true, start: startKoaOf(Koa2 as unknown as typeof Koa) },
  { name: "Hono 4.0", wire: true, start: startHonoOf(Hono4 as unknown as typeof Hono) },
  {
    name: "Fastify 4.28",
    wire: true,
    start: startFastifyOf(Fastify4 as unknown as typeof Fastify, {
      caseSensitive: false,
      ignoreTrailingSlash: true,
      ignoreDuplicateSlashes: true,
      useSemicolonDelimiter: false,
    }),
  },
];
