import { createServer, type IncomingMessage } from "node:http";
import { inspect } from "node:util";
import { Controller, Header, HttpCode, Module, Req, RequestMapping, RequestMethod } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { ExpressAdapter } from "@nestjs/platform-express";
import { FastifyAdapter, type NestFastifyApplication } from "@nestjs/platform-fastify";
import express from "express";
import { expressHandler } from "../../../src/adapters/express.js";
import { fastifyHandler } from "../../../src/adapters/fastify.js";
import { nestAuth } from "../../../src/adapters/nestjs.js";
import { type App, type AppOptions, type Auth, guardOf, listen } from "./frameworks.js";
import { routes } from "./routes.js";

/** The packages of one version of NestJS, and the adapter with that version. */
export const nest = { Controller, Header, HttpCode, Module, Req, RequestMapping, NestFactory, nestAuth };
export type Nest = typeof nest;

/** Creates a module with the routes, as a service would with decorators. */
function moduleOf({ verifier, guard, log }: AppOptions, nest: Nest) {
  const { RequireScopes, Auth, module } = nest.nestAuth(verifier, guard);
  class Routes {}
  for (const [index, { method, path, guard: args, handle }] of routes.entries()) {
    const name = `route${index}`;
    const value = (auth: Auth, request: object) => {
      log?.(inspect(auth, { depth: Number.POSITIVE_INFINITY, showHidden: true }));
      return handle({ auth, replace: (replacement) => Object.assign(request, { auth: replacement }) });
    };
    const descriptor = { value, writable: true, configurable: true };
    Object.defineProperty(Routes.prototype, name, descriptor);
    nest.RequestMapping({ method: RequestMethod[method], path })(Routes.prototype, name, descriptor);
    nest.HttpCode(200)(Routes.prototype, name, descriptor);
    nest.Header("Content-Type", "application/json")(Routes.prototype, name, descriptor);
    guardOf(RequireScopes, args)(Routes.prototype, name, descriptor);
    Auth()(Routes.prototype, name, 0);
    nest.Req()(Routes.prototype, name, 1);
  }
  nest.Controller()(Routes);
  class AppModule {}
  nest.Module({ imports: [module], controllers: [Routes] })(AppModule);
  return AppModule;
}

// NestJS reads bodies before it calls guards, so parsers are off: the cases send bodies that are never read.
const OPTIONS = { logger: false, abortOnError: false, bodyParser: false } as const;

export const startNestOnExpress =
  (versions: Nest, Adapter: typeof ExpressAdapter = ExpressAdapter) =>
  async (options: AppOptions): Promise<App> => {
    const server = express();
    server.set("trust proxy", true);
    server.use((_req, res, next) => {
      res.set(options.earlier ?? {});
      next();
    });
    if (options.mount) server.use("/manage", expressHandler(options.mount));
    const app = await versions.NestFactory.create(moduleOf(options, versions), new Adapter(server), OPTIONS);
    await app.init();
    return listen(createServer(server), options.log);
  };

export const startNestOnFastify =
  (versions: Nest, Adapter: typeof FastifyAdapter = FastifyAdapter) =>
  async (options: AppOptions): Promise<App> => {
    const adapter = new Adapter({
      trustProxy: true,
      genReqId: (req: IncomingMessage) => String(req.headers["x-request-id"]),
      routerOptions: { caseSensitive: false, ignoreTrailingSlash: true, ignoreDuplicateSlashes: true },
    });
    const app = await versions.NestFactory.create<NestFastifyApplication>(
      moduleOf(options, versions),
      adapter,
      OPTIONS,
    );
    const fastify = app.getHttpAdapter().getInstance();
    fastify.addHook("onRequest", async (_request, reply) => void reply.headers(options.earlier ?? {}));
    fastify.removeAllContentTypeParsers();
    fastify.addContentTypeParser("*", (_request, _payload, parsed) => parsed(null));
    if (options.mount) await fastify.register(fastifyHandler(options.mount) as never, { prefix: "/manage" }); // another Fastify
    await app.init();
    await fastify.ready();
    const { request, port, close } = await listen(fastify.server, options.log);
    return { request, port, close: async () => void (await Promise.all([close(), app.close()])) };
  };
