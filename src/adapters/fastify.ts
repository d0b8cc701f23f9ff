import type { FastifyPluginAsync, FastifyPluginCallback, FastifyReply, FastifyRequest } from "fastify";
import type { FetchHandler } from "../http/handler.js";
import { isPromiseLike, mapAwaitable } from "../internal/awaitable.js";
import {
  createGuard,
  type GuardArguments,
  type GuardFactory,
  type GuardOptions,
  type Principal,
  type RegisteredScope,
  type Verifier,
} from "../kit.js";
import { IncomingRequest } from "./node-request.js";
import { serveFetch } from "./serve-fetch.js";
import { rejectUncalled } from "./uncalled-guard.js";

declare module "fastify" {
  interface FastifyRequest {
    /** The verified principal, behind a guard. `undefined` on an optional route without a credential. */
    auth: Principal<RegisteredScope>;
  }
}

/**
 * An `onRequest` hook for every Fastify app: over HTTP/2, with any logger and type provider. It uses none of Fastify's
 * type parameters, so it does not affect the types that a route infers from its schema.
 */
export type FastifyAuthHook = (
  request: Pick<FastifyRequest, "id" | "originalUrl" | "auth"> & { readonly raw: object },
  reply: Pick<FastifyReply, "sent"> & { readonly raw: object },
  done: (error?: Error) => void,
) => void;

/** Creates `onRequest` hooks for Fastify routes; returned by {@link fastifyAuth}. */
export interface FastifyAuth<S extends string> extends GuardFactory<S, FastifyAuthHook> {
  /** Declares `request.auth`. Register it once. */
  readonly plugin: FastifyPluginCallback;
}

/**
 * Creates guards for Fastify: `auth(requirement)` is an `onRequest` hook that sets `request.auth`. It runs before the
 * body is read.
 *
 * @throws TypeError if the verifier, an option or the requirement is invalid.
 *
 * @example
 * const auth = fastifyAuth(verifier);
 * await app.register(auth.plugin);
 * app.get("/vehicles", { onRequest: auth("vehicles:read") }, (request) => ({ owner: request.auth.ownerId }));
 */
export function fastifyAuth<S extends string>(verifier: Verifier<S>, options?: GuardOptions): FastifyAuth<S> {
  const guard = createGuard(verifier, options);
  const createHook = (...args: GuardArguments<S>): FastifyAuthHook => {
    const check = guard(...args);
    return (request, anyReply, done) => {
      const reply = anyReply as FastifyReply;
      const { originalUrl, id, raw } = request;
      const checked = check(new IncomingRequest(raw as FastifyRequest["raw"], originalUrl, String(id)));
      const result = mapAwaitable(checked, (outcome) => {
        if (outcome.pass) {
          request.auth = outcome.principal as unknown as Principal<RegisteredScope>;
          reply.headers(outcome.headers);
          return done();
        }
        const { status, headers, body } = outcome.denial;
        reply.code(status).headers(headers).send(Buffer.from(body)); // for a string Fastify adds a charset
      });
      if (isPromiseLike(result)) result.then(undefined, done); // Fastify does not wait for it
    };
  };
  const message = "fastifyAuth: pass auth() as the hook, not auth; register auth.plugin, not auth";
  // addHook() and register() read `constructor` to recognize async functions.
  return Object.assign(rejectUncalled(createHook, message, ["constructor"]), { plugin }) as FastifyAuth<S>;
}

const plugin: FastifyPluginCallback = Object.assign(
  ((app, _options, done) => {
    if (!app.hasRequestDecorator("auth")) app.decorateRequest("auth");
    done();
  }) satisfies FastifyPluginCallback,
  {
    // As fastify-plugin does: decorate the app that registers the plugin, not a child scope.
    [Symbol.for("skip-override")]: true,
    [Symbol.for("fastify.display-name")]: "keybearer",
  },
);

/**
 * Creates a plugin from a fetch handler. It serves every request at and below its prefix; the handler receives the full
 * URL that the client requested, prefix included. Set error handlers before an awaited `register`, because Fastify
 * applies later ones only to later plugins. If the app already has a route there, `register` or `ready` rejects.
 *
 * @example
 * await app.register(fastifyHandler(handler), { prefix: "/admin" });
 */
export function fastifyHandler(handler: FetchHandler): FastifyPluginAsync {
  // Async, because Fastify does not catch what a plugin with a callback throws.
  return async (app) => {
    // The handler reads the body itself.
    app.removeAllContentTypeParsers();
    app.addContentTypeParser("*", (_request, _payload, parsed) => parsed(null));
    // "/*" does not match the prefix itself. Without a prefix, "/" belongs to the host.
    for (const path of app.prefix === "" ? ["/*"] : ["/", "/*"]) {
      app.all(path, ({ originalUrl: url, id, raw }, reply) =>
        serveFetch(handler, raw, reply.raw, { url, requestId: String(id) }),
      );
    }
  };
}
