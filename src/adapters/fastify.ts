import type { FastifyPluginAsync, FastifyPluginCallback, FastifyReply, FastifyRequest } from "fastify";
import type { FetchHandler } from "../http/handler.js";
import {
  createGuard,
  type GuardArguments,
  type GuardOptions,
  type Principal,
  type Verifier,
} from "../kit.js";
import { respond } from "./node-bridge.js";
import { fromIncoming } from "./node-request.js";

declare module "fastify" {
  interface FastifyRequest {
    /** Who the request is, behind a guard. On an optional route without a credential it is `undefined`. */
    auth: Principal;
  }
}

/**
 * An `onRequest` hook of every Fastify app: over HTTP/2, with any logger and type provider. It names none of Fastify's
 * type parameters, so that it takes no part in what a route infers from its schema.
 */
export type FastifyAuthHook = (
  request: Pick<FastifyRequest, "id" | "originalUrl" | "auth"> & { readonly raw: object },
  reply: Pick<FastifyReply, "sent"> & { readonly raw: object },
) => Promise<unknown>;

/** Guards Fastify routes; made by {@link fastifyAuth}. */
export interface FastifyAuth<S extends string> {
  (...args: GuardArguments<S>): FastifyAuthHook;
  /** Declares `request.auth`; register it once. */
  readonly plugin: FastifyPluginCallback;
}

/**
 * Makes guards for Fastify: `auth(requirement)` is an `onRequest` hook that sets `request.auth`. It runs
 * before the body is read, so that nobody uploads without a key.
 *
 * @throws TypeError for a verifier that is none, unknown options, and requirements that cannot be met.
 *
 * @example
 * const auth = fastifyAuth(verifier);
 * await app.register(auth.plugin);
 * app.get("/vehicles", { onRequest: auth("vehicles:read") }, (request) => ({ owner: request.auth.ownerId }));
 */
export function fastifyAuth<S extends string>(verifier: Verifier<S>, options?: GuardOptions): FastifyAuth<S> {
  const guard = createGuard(verifier, options);
  const auth = (...args: GuardArguments<S>): FastifyAuthHook => {
    const check = guard(...args);
    return async (request, anyReply) => {
      const reply = anyReply as FastifyReply;
      const outcome = await check({
        ...fromIncoming(request.raw as FastifyRequest["raw"], request.originalUrl),
        requestId: String(request.id),
      });
      if (outcome.pass) {
        request.auth = outcome.principal as Principal;
        reply.headers(outcome.headers);
        return;
      }
      const { status, headers, body } = outcome.denial;
      // As bytes, because Fastify adds a charset to the type of JSON texts.
      reply.code(status).headers(headers).send(Buffer.from(body));
      return reply;
    };
  };
  return Object.assign(auth, { plugin });
}

const plugin: FastifyPluginCallback = Object.assign(
  ((app, _options, done) => {
    if (!app.hasRequestDecorator("auth")) app.decorateRequest("auth");
    done();
  }) satisfies FastifyPluginCallback,
  {
    // What fastify-plugin sets: the decorator belongs to the app that registers it, not to a scope of its own.
    [Symbol.for("skip-override")]: true,
    [Symbol.for("fastify.display-name")]: "keybearer",
  },
);

/**
 * Makes a plugin of a fetch handler. It takes every request to the prefix that it is registered with, and below
 * it, and sees the URL that the client asked for, prefix included. Set error handlers before: what `register` has
 * waited for keeps those that were there. Where the app has a route at that prefix already, `register`, or `ready`,
 * rejects with Fastify's error.
 *
 * @example
 * await app.register(fastifyHandler(handler), { prefix: "/admin" });
 */
export function fastifyHandler(handler: FetchHandler): FastifyPluginAsync {
  // Fastify lets what a plugin with a callback throws through as an uncaught exception.
  return async (app) => {
    // The handler reads the body itself.
    app.removeAllContentTypeParsers();
    app.addContentTypeParser("*", (_request, _payload, parsed) => parsed(null));
    // The prefix itself is no path below it. Without a prefix, the root is the host's.
    for (const path of app.prefix === "" ? ["/*"] : ["/", "/*"]) {
      app.all(path, (request, reply) => {
        const asked = { url: request.originalUrl, requestId: String(request.id) };
        return respond(handler, request.raw, reply.raw, asked);
      });
    }
  };
}
