import type { Context, MiddlewareHandler } from "hono";
import {
  createGuard,
  type GuardOptions,
  type Principal,
  type Requirement,
  type RouteOptions,
  type Verifier,
} from "../index.js";
import { headersTruncated } from "./node-request.js";

/** Options of {@link honoAuth}. */
export interface HonoGuardOptions extends GuardOptions {
  /**
   * The address of the socket's other end. On Node it is known; elsewhere say where it is, such as
   * `(c) => getConnInfo(c).remote.address`. While it is unknown, keys with an allowlist are refused.
   */
  readonly remoteAddress?: (c: Context) => string | undefined;
}

/** Hono middleware that sets the variable `auth`. */
export type HonoMiddleware<P> = MiddlewareHandler<{ Variables: { auth: P } }>;

/** Guards Hono routes; made by {@link honoAuth}. */
export interface HonoAuth<S extends string> {
  (): HonoMiddleware<Principal<S>>;
  (requirement: Requirement<S>): HonoMiddleware<Principal<S>>;
  (options: RouteOptions & { readonly optional: true }): HonoMiddleware<Principal<S> | undefined>;
  (
    requirement: Requirement<S>,
    options: RouteOptions & { readonly optional: true },
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
  if (remoteAddress !== undefined && typeof remoteAddress !== "function") {
    throw new TypeError('honoAuth: "remoteAddress" must be a function of the context');
  }
  const guard = createGuard(verifier, options);
  return ((...args: Parameters<typeof guard>) => {
    const check = guard(...args);
    const middleware: HonoMiddleware<Principal<S> | undefined> = async (c, next) => {
      const incoming = (c.env as NodeBindings | undefined)?.incoming;
      const outcome = await check({
        headers: c.req.raw.headers,
        rawHeaders: incoming?.rawHeaders,
        headersTruncated: incoming && headersTruncated(incoming),
        remoteAddress: remoteAddress ? remoteAddress(c) : incoming?.socket?.remoteAddress,
        method: c.req.method,
        path: c.req.path,
        requestId: (c as Context).get("requestId"), // of hono/request-id
      });
      if (!outcome.pass) {
        const { status, headers, body } = outcome.refusal;
        const response = c.newResponse(c.req.method === "HEAD" ? null : body, status, headers);
        c.res = undefined; // else headers that earlier middleware put there would win, Cache-Control too
        c.res = response;
        return response;
      }
      c.set("auth", outcome.principal);
      for (const name in outcome.headers) c.header(name, outcome.headers[name]);
      await next();
    };
    return middleware;
  }) as HonoAuth<S>;
}

/** What @hono/node-server puts into the environment. */
interface NodeBindings {
  readonly incoming?: {
    readonly rawHeaders?: readonly string[];
    readonly socket?: { readonly remoteAddress?: string };
  };
}
