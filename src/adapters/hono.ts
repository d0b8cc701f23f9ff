import type { Context, Handler, MiddlewareHandler } from "hono";
import type { FetchHandler } from "../http/handler.js";
import { isPromiseLike } from "../internal/awaitable.js";
import { checkOptions } from "../internal/validate.js";
import {
  type CheckedArgument,
  createGuard,
  type EnforcedRoute,
  type GuardArguments,
  type GuardOptions,
  type Principal,
  pathnameOf,
  type RouteOptions,
  type RoutePrincipal,
  type Verifier,
} from "../kit.js";
import { honoConnection } from "./remote-address.js";
import { rejectUncalled } from "./uncalled-guard.js";

/** How to find the client's address where the runtime is not Node. */
export interface HonoConnectionOptions {
  /**
   * Returns the address of the socket's peer, for example `(c) => getConnInfo(c).remote.address`. On Node the address
   * is known by default; elsewhere it is unknown, and keys with an allowlist are denied. If the function throws or
   * returns anything but a string or `undefined`, the response is a 503.
   */
  readonly remoteAddress?: (c: Context) => string | undefined;
}

/** Options of {@link honoAuth}. */
export interface HonoGuardOptions extends GuardOptions, HonoConnectionOptions {}

/** Hono middleware that sets the variable `auth`. */
export type HonoMiddleware<P> = MiddlewareHandler<{ Variables: { auth: P } }>;

/** Creates middleware for Hono routes; returned by {@link honoAuth}. */
export interface HonoAuth<S extends string> {
  (): HonoMiddleware<Principal<S>>;
  <const A, const O extends RouteOptions<S> = EnforcedRoute<S>>(
    requirementOrOptions: CheckedArgument<A, S>,
    options?: O,
  ): HonoMiddleware<RoutePrincipal<S, A, O>>;
}

/**
 * Creates guards for Hono: `auth(requirement)` is middleware that sets `c.var.auth`.
 *
 * @throws TypeError if the verifier, an option or the requirement is invalid.
 *
 * @example
 * const auth = honoAuth(verifier);
 * app.get("/vehicles", auth("vehicles:read"), (c) => c.json({ owner: c.var.auth.ownerId }));
 */
export function honoAuth<S extends string>(
  verifier: Verifier<S>,
  { remoteAddress, ...options }: HonoGuardOptions = {},
): HonoAuth<S> {
  const connectionOf = honoConnection("honoAuth", remoteAddress);
  const guard = createGuard(verifier, options);
  const createMiddleware = (...args: GuardArguments<S>): HonoMiddleware<Principal<S> | undefined> => {
    const check = guard(...args);
    return async (c, next) => {
      const { method, raw } = c.req;
      // Object.assign onto the connection, because a spread would call its `remoteAddress` getter.
      const facts = { method, path: pathnameOf(raw.url), headers: raw.headers }; // c.req.path is decoded
      const checked = check(Object.assign(connectionOf(c), facts));
      const outcome = isPromiseLike(checked) ? await checked : checked;
      if (!outcome.pass) {
        const { status, headers, body } = outcome.denial;
        const response = c.newResponse(method === "HEAD" ? null : body, status, headers);
        c.res = undefined; // otherwise headers of earlier middleware, such as Cache-Control, would override these
        c.res = response;
        return response;
      }
      c.set("auth", outcome.principal);
      for (const name in outcome.headers) c.header(name, outcome.headers[name]);
      await next();
      addMissingHeaders(c, outcome.headers);
    };
  };
  return rejectUncalled(createMiddleware, "honoAuth: pass auth() to app.use(), not auth") as HonoAuth<S>;
}

/** A `Response` that a handler created itself lacks the headers that were set with `c.header()` before. */
function addMissingHeaders(c: Context, headers: Readonly<Record<string, string>>): void {
  for (const name in headers) {
    if (!c.finalized || c.res.status === 101) return; // the response to an upgrade cannot be copied
    if (!c.res.headers.has(name)) c.header(name, headers[name]);
  }
}

/**
 * Mounts a fetch handler, which receives the full URL that the client requested and Hono's connection information.
 *
 * @throws TypeError if an option is unknown or invalid.
 *
 * @example
 * app.all("/admin/*", honoHandler(handler));
 */
export function honoHandler(handler: FetchHandler, options: HonoConnectionOptions = {}): Handler {
  const { remoteAddress } = checkOptions("honoHandler", options, ["remoteAddress"]);
  const connectionOf = honoConnection("honoHandler", remoteAddress);
  return async (c) => handler(c.req.raw, connectionOf(c));
}
