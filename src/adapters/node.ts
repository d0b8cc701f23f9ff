import type { IncomingMessage, ServerResponse } from "node:http";
import { isPromiseLike } from "../internal/awaitable.js";
import {
  type CheckedArgument,
  createGuard,
  type GuardArguments,
  type GuardOptions,
  type Principal,
  type RouteGuard,
  type RouteOptions,
  type RoutePrincipal,
  type Verifier,
} from "../kit.js";
import { addHeaders, fromIncoming, IncomingRequest, isResponseSent, sendDenial } from "./node-request.js";
import { type AuthenticatedUpgradeListener, guardUpgrade, type UpgradeAuth } from "./node-upgrade.js";

export type { ConnectionInfo, FetchHandler } from "../http/handler.js";
export { toNodeListener } from "./node-handler.js";
export type { AuthenticatedUpgradeListener, GuardedUpgradeListener, UpgradeAuth } from "./node-upgrade.js";
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
  /**
   * Guards `upgrade` listeners, such as those of WebSocket libraries.
   *
   * @example
   * server.on("upgrade", auth.upgrade("vehicles:read", (req, socket, head) =>
   *   webSockets.handleUpgrade(req, socket, head, (ws) => webSockets.emit("connection", ws, req))));
   */
  readonly upgrade: UpgradeAuth<S>;
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
  const split = <L>(args: unknown[]): [RouteGuard<S>, L] => {
    const listener = args.pop();
    if (typeof listener !== "function") {
      throw new TypeError(
        "nodeAuth: the last argument must be a listener; pass auth(listener) to createServer(), not auth",
      );
    }
    return [guard(...(args as unknown as GuardArguments<S>)), listener as L];
  };
  const createListener = (...args: unknown[]): GuardedListener => {
    const [check, listener] = split<AuthenticatedListener<Principal<S> | undefined>>(args);
    return async (req: IncomingMessage & { auth?: Principal<S> | undefined }, res) => {
      const checked = check(new IncomingRequest(req));
      const outcome = isPromiseLike(checked) ? await checked : checked;
      if (!outcome.pass) return sendDenial(res, outcome.denial);
      if (isResponseSent(res)) return;
      addHeaders(res, outcome.headers);
      req.auth = outcome.principal;
      return listener(req as typeof req & { auth: Principal<S> | undefined }, res);
    };
  };
  return Object.assign(createListener, {
    upgrade: (...args: unknown[]) =>
      guardUpgrade(...split<AuthenticatedUpgradeListener<Principal<S> | undefined>>(args)),
  }) as NodeAuth<S>;
}
