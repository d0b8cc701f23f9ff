import type { FastifyPluginAsync } from "fastify";
import type { FetchHandler } from "../http/handler.js";
import { serveFetch } from "./serve-fetch.js";

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
