import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type {
  CheckedArgument,
  HttpDenial,
  Principal,
  RouteGuard,
  RouteOptions,
  RoutePrincipal,
} from "../kit.js";
import { IncomingRequest } from "./node-request.js";

/** An `upgrade` listener that is called for allowed requests only. */
export type AuthenticatedUpgradeListener<P> = (
  req: IncomingMessage & { readonly auth: P },
  socket: Duplex,
  head: Buffer,
) => unknown;

/** A guarded `upgrade` listener. Its promise resolves with the result of the listener, or when a denial was sent. */
export type GuardedUpgradeListener = (req: IncomingMessage, socket: Duplex, head: Buffer) => Promise<unknown>;

/** Guards `upgrade` listeners, with the arguments of every guard and the listener. */
export interface UpgradeAuth<S extends string> {
  (listener: AuthenticatedUpgradeListener<Principal<S>>): GuardedUpgradeListener;
  <const A>(
    requirementOrOptions: CheckedArgument<A, S>,
    listener: AuthenticatedUpgradeListener<RoutePrincipal<S, A>>,
  ): GuardedUpgradeListener;
  <const A, const O extends RouteOptions<S>>(
    requirement: CheckedArgument<A, S>,
    options: O,
    listener: AuthenticatedUpgradeListener<RoutePrincipal<S, A, O>>,
  ): GuardedUpgradeListener;
}

/** Creates a guarded `upgrade` listener. Sends denials on the socket, and closes it. */
export function guardUpgrade<S extends string>(
  check: RouteGuard<S>,
  listener: AuthenticatedUpgradeListener<Principal<S> | undefined>,
): GuardedUpgradeListener {
  return async (req: IncomingMessage & { auth?: Principal<S> | undefined }, socket, head) => {
    const destroy = () => socket.destroy();
    socket.on("error", destroy); // without a listener, an error would end the process
    const outcome = await check(new IncomingRequest(req));
    if (socket.destroyed) return;
    if (!outcome.pass) return sendOnSocket(socket, outcome.denial);
    socket.removeListener("error", destroy);
    req.auth = outcome.principal;
    return listener(req as typeof req & { auth: Principal<S> | undefined }, socket, head);
  };
}

function sendOnSocket(socket: Duplex, { status, headers, body }: HttpDenial): void {
  const lines = Object.entries({ ...headers, connection: "close" }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  socket.end([`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...lines, "", body].join("\r\n"), () =>
    socket.destroy(),
  );
}
