import type { IncomingMessage, ServerResponse } from "node:http";
import {
  createGuard,
  type EnforcedRoute,
  type GuardOptions,
  type Principal,
  type Requirement,
  type RouteOptions,
  type Verifier,
} from "../kit.js";
import { addHeaders, fromIncoming, isAnswered, sendDenial } from "./node-request.js";

export type { ConnectionInfo, FetchHandler } from "../http/handler.js";
export { toNodeListener } from "./node-bridge.js";
export { fromIncoming };

/** A listener of `node:http` that runs for requests that passed; `req.auth` says whose they are. */
export type AuthenticatedListener<P> = (
  req: IncomingMessage & { readonly auth: P },
  res: ServerResponse,
) => unknown;

/** Answers the refused, hands the others on, and answers with what the listener answers. */
export type GuardedListener = (req: IncomingMessage, res: ServerResponse) => Promise<unknown>;

/** Guards listeners of `node:http`; made by {@link nodeAuth}. */
export interface NodeAuth<S extends string> {
  (listener: AuthenticatedListener<Principal<S>>): GuardedListener;
  (requirement: Requirement<S>, listener: AuthenticatedListener<Principal<S>>): GuardedListener;
  (options: EnforcedRoute<S>, listener: AuthenticatedListener<Principal<S>>): GuardedListener;
  (
    requirement: Requirement<S>,
    options: EnforcedRoute<S>,
    listener: AuthenticatedListener<Principal<S>>,
  ): GuardedListener;
  (
    options: RouteOptions<S> & { readonly optional: true },
    listener: AuthenticatedListener<Principal<S> | undefined>,
  ): GuardedListener;
  (
    requirement: Requirement<S>,
    options: RouteOptions<S> & { readonly optional: true },
    listener: AuthenticatedListener<Principal<S> | undefined>,
  ): GuardedListener;
}

/**
 * Makes guards for plain `node:http` (and `node:http2` through its compatibility API).
 *
 * @throws TypeError for a verifier that is none, unknown options, and requirements that cannot be met.
 *
 * @example
 * const auth = nodeAuth(verifier);
 * createServer(auth("vehicles:read", (req, res) => res.end(req.auth.ownerId))).listen(3000);
 */
export function nodeAuth<S extends string>(verifier: Verifier<S>, options?: GuardOptions): NodeAuth<S> {
  const guard = createGuard(verifier, options);
  return (...args: unknown[]): GuardedListener => {
    const listener = args.pop() as AuthenticatedListener<Principal<S> | undefined>;
    if (typeof listener !== "function") throw new TypeError("nodeAuth: the last argument must be a listener");
    const check = guard(...(args as Parameters<typeof guard>));
    return async (req, res) => {
      const outcome = await check(fromIncoming(req, req.url));
      if (!outcome.pass) return sendDenial(res, outcome.denial);
      if (isAnswered(res)) return;
      addHeaders(res, outcome.headers);
      return listener(Object.assign(req, { auth: outcome.principal }), res);
    };
  };
}
