import type { IncomingMessage, ServerResponse } from "node:http";
import { sendResponse } from "@remix-run/node-fetch-server";
import type { FetchHandler } from "../http/handler.js";
import { isPromiseLike } from "../internal/awaitable.js";
import {
  type CheckedArgument,
  createGuard,
  type GuardArguments,
  type GuardOptions,
  type Principal,
  type RouteOptions,
  type RoutePrincipal,
  type Verifier,
} from "../kit.js";
import { addHeaders, fromIncoming, IncomingRequest, isResponseSent, sendDenial } from "./node-request.js";
import { serveFetch } from "./serve-fetch.js";

export type { ConnectionInfo, FetchHandler } from "../http/handler.js";
export { fromIncoming };

/** A `node:http` listener that is called for allowed requests only. */
export type AuthenticatedListener<P> = (
  req: IncomingMessage & { readonly auth: P },
  res: ServerResponse,
) => unknown;

/** A guarded listener. Its promise resolves with the result of the listener, or when a denial was sent. */
export type GuardedListener = (req: IncomingMessage, res: ServerResponse) => Promise<unknown>;

/** Guards `node:http` listeners; returned by {@link nodeAuth}. */
export interface NodeAuth<S extends string> {
  (listener: AuthenticatedListener<Principal<S>>): GuardedListener;
  <const A>(
    requirementOrOptions: CheckedArgument<A, S>,
    listener: AuthenticatedListener<RoutePrincipal<S, A>>,
  ): GuardedListener;
  <const A, const O extends RouteOptions<S>>(
    requirement: CheckedArgument<A, S>,
    options: O,
    listener: AuthenticatedListener<RoutePrincipal<S, A, O>>,
  ): GuardedListener;
}

/**
 * Creates guards for `node:http`, and for `node:http2` through its compatibility API.
 *
 * @throws TypeError if the verifier, an option, the requirement or the listener is invalid.
 *
 * @example
 * const auth = nodeAuth(verifier);
 * createServer(auth("vehicles:read", (req, res) => res.end(req.auth.ownerId))).listen(3000);
 */
export function nodeAuth<S extends string>(verifier: Verifier<S>, options?: GuardOptions): NodeAuth<S> {
  const guard = createGuard(verifier, options);
  return ((...args: unknown[]): GuardedListener => {
    const listener = args.pop() as AuthenticatedListener<Principal<S> | undefined>;
    if (typeof listener !== "function") {
      throw new TypeError(
        "nodeAuth: the last argument must be a listener; pass auth(listener) to createServer(), not auth",
      );
    }
    const check = guard(...(args as unknown as GuardArguments<S>));
    return async (req: IncomingMessage & { auth?: Principal<S> | undefined }, res) => {
      const checked = check(new IncomingRequest(req));
      const outcome = isPromiseLike(checked) ? await checked : checked;
      if (!outcome.pass) return sendDenial(res, outcome.denial);
      if (isResponseSent(res)) return;
      addHeaders(res, outcome.headers);
      req.auth = outcome.principal;
      return listener(req as typeof req & { auth: Principal<S> | undefined }, res);
    };
  }) as NodeAuth<S>;
}

/**
 * Serves a fetch handler with `node:http`. An exception of the handler is printed, and the response is an empty 500.
 *
 * @example
 * createServer(toNodeListener(handler)).listen(3000);
 */
export function toNodeListener(
  handler: FetchHandler,
): (req: IncomingMessage, res: ServerResponse) => Promise<void> {
  return async (req, res) => {
    try {
      await sendResponse(res, await serveFetch(handler, req, res, { url: req.url }));
    } catch (error) {
      console.error(error);
      if (res.headersSent) res.destroy();
      else res.writeHead(500).end();
    }
  };
}
