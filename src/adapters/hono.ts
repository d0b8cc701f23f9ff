import type { Context, Handler, MiddlewareHandler } from "hono";
import type { FetchHandler } from "../http/handler.js";
import { checkOptions } from "../internal/validate.js";
import {
  createGuard,
  type EnforcedRoute,
  type GuardOptions,
  type Principal,
  type Requirement,
  type RouteOptions,
  type Verifier,
} from "../kit.js";
import { connections, type HonoConnectionOptions } from "./hono-connection.js";

export type { HonoConnectionOptions };

/** Options of {@link honoAuth}. */
export interface HonoGuardOptions extends GuardOptions, HonoConnectionOptions {}

/** Hono middleware that sets the variable `auth`. */
export type HonoMiddleware<P> = MiddlewareHandler<{ Variables: { auth: P } }>;

/** Guards Hono routes; made by {@link honoAuth}. */
export interface HonoAuth<S extends string> {
  (): HonoMiddleware<Principal<S>>;
  (requirement: Requirement<S>, options?: EnforcedRoute<S>): HonoMiddleware<Principal<S>>;
  (options: EnforcedRoute<S>): HonoMiddleware<Principal<S>>;
  (options: RouteOptions<S> & { readonly optional: true }): HonoMiddleware<Principal<S> | undefined>;
  (
    requirement: Requirement<S>,
    options: RouteOptions<S> & { readonly optional: true },
  ): HonoMiddleware<Principal<S> | undefined>;
}

/**
 * Makes guards for Hono: `auth(requirement)` is middleware that sets `c.var.auth`.
 *
 * @throws TypeError for a verifier that is none, unknown options, and requirements that cannot be met.
 *
 * @example
 * const auth = honoAuth(verifier);
 * app.get("/vehicles", auth("vehicles:read"), (c) => c.json({ owner: c.var.auth.ownerId }));
 */
export function honoAuth<S extends string>(
  verifier: Verifier<S>,
  { remoteAddress, ...options }: HonoGuardOptions = {},
): HonoAuth<S> {
  const connectionOf = connections("honoAuth", remoteAddress);
  const guard = createGuard(verifier, options);
  return ((...args: Parameters<typeof guard>) => {
    const check = guard(...args);
    const middleware: HonoMiddleware<Principal<S> | undefined> = async (c, next) => {
      const request = {
        headers: c.req.raw.headers,
        method: c.req.method,
        path: c.req.path,
      };
      const outcome = await check(Object.assign(connectionOf(c), request)); // not copied, which would ask for it
      if (!outcome.pass) {
        const { status, headers, body } = outcome.denial;
        const response = c.newResponse(c.req.method === "HEAD" ? null : body, status, headers);
        c.res = undefined; // else headers that earlier middleware put there would win, Cache-Control too
        c.res = response;
        return response;
      }
      c.set("auth", outcome.principal);
      for (const name in outcome.headers) c.header(name, outcome.headers[name]);
      await next();
      addMissing(c, outcome.headers);
    };
    return middleware;
  }) as HonoAuth<S>;
}

/** A `Response` that a handler made itself has none of the headers that were set before. */
function addMissing(c: Context, headers: Readonly<Record<string, string>>): void {
  if (!c.finalized || c.res.status === 101) return; // nobody can copy the answer to an upgrade
  for (const name in headers) if (!c.res.headers.has(name)) c.header(name, headers[name]);
}

/**
 * Mounts a fetch handler. It sees the URL that the client asked for, and what Hono knows of the connection.
 *
 * @throws TypeError for options that are unknown or cannot work.
 *
 * @example
 * app.all("/admin/*", honoHandler(handler));
 */
export function honoHandler(handler: FetchHandler, options: HonoConnectionOptions = {}): Handler {
  const { remoteAddress } = checkOptions("honoHandler", options, ["remoteAddress"]);
  const connectionOf = connections("honoHandler", remoteAddress);
  return async (c) => handler(c.req.raw, connectionOf(c));
}
