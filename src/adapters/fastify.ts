import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from "fastify";
import { isPromiseLike, mapAwaitable } from "../internal/awaitable.js";
import {
  createGuard,
  type GuardArguments,
  type GuardFactory,
  type GuardOptions,
  type HttpDenial,
  type Principal,
  type RegisteredScope,
  type Verifier,
} from "../kit.js";
import { DeniedError } from "./fastify-denial.js";
import { IncomingRequest } from "./node-request.js";
import { rejectUncalled } from "./uncalled-guard.js";

export { fastifyHandler } from "./fastify-handler.js";
export { DeniedError };

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
  /**
   * Creates hooks that pass a denial on, as a {@link DeniedError}, instead of sending it: for `@fastify/auth`, which tries
   * another strategy then. Takes the arguments of every guard.
   *
   * @example
   * { onRequest: app.auth([auth.check("vehicles:read"), session]) }
   */
  readonly check: GuardFactory<S, FastifyAuthHook>;
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
  const createHook = (deny: Deny, args: GuardArguments<S>): FastifyAuthHook => {
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
        deny(outcome.denial, reply, done);
      });
      if (isPromiseLike(result)) result.then(undefined, done); // Fastify does not wait for it
    };
  };
  const message = "fastifyAuth: pass auth() as the hook, not auth; register auth.plugin, not auth";
  // addHook() and register() read `constructor` to recognize async functions.
  const createSender = (...args: GuardArguments<S>) => createHook(send, args);
  return Object.assign(rejectUncalled(createSender, message, ["constructor"]), {
    plugin,
    check: (...args: GuardArguments<S>) => createHook(passOn, args),
  }) as FastifyAuth<S>;
}

type Deny = (denial: HttpDenial, reply: FastifyReply, done: (error: Error) => void) => void;

const send: Deny = ({ status, headers, body }, reply) => {
  reply.code(status).headers(headers).send(Buffer.from(body)); // for a string Fastify adds a charset
};

const passOn: Deny = (denial, _reply, done) => done(new DeniedError(denial));

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
