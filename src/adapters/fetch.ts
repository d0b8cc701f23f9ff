import { type ConnectionInfo, toAuthRequest, withHeaders } from "../http/handler.js";
import { isPromiseLike } from "../internal/awaitable.js";
import { checkFunction } from "../internal/validate.js";
import {
  type AuthRequest,
  type CheckedArgument,
  createGuard,
  type GuardArguments,
  type GuardOptions,
  type Principal,
  type RouteOptions,
  type RoutePrincipal,
  type Verifier,
} from "../kit.js";
import { withRemoteAddress } from "./remote-address.js";

export type { ConnectionInfo };

/** Options of {@link fetchAuth}. */
export interface FetchGuardOptions extends GuardOptions {
  /**
   * Returns the address of the socket's peer, from the runtime's further arguments or from a header that the runtime
   * writes itself. By default it is `remoteAddress` of the second argument, if the handler is called with one. If the
   * function throws or returns anything but a string or `undefined`, the response is a 503.
   *
   * @example
   * fetchAuth(verifier, { remoteAddress: (request) => request.headers.get("cf-connecting-ip") ?? undefined });
   */
  readonly remoteAddress?: (request: Request, ...args: readonly unknown[]) => string | undefined;
}

/**
 * A handler that is called for allowed requests only. The runtime's further arguments follow `context`, such as route
 * parameters or the environment of a worker.
 */
export type AuthenticatedHandler<P, A extends readonly unknown[] = []> = (
  request: Request,
  context: { readonly auth: P; readonly remoteAddress: string | undefined },
  ...args: A
) => Response | PromiseLike<Response>;

/** A guarded fetch handler. Pass the connection if the runtime knows it. */
export type GuardedHandler = (request: Request, connection?: ConnectionInfo) => Promise<Response>;

/** A {@link GuardedHandler}, or a handler with the runtime's further arguments if the guarded handler takes them. */
export type GuardedFor<A extends readonly unknown[]> = A extends readonly []
  ? GuardedHandler
  : (request: Request, ...args: A) => Promise<Response>;

/** Guards fetch handlers; returned by {@link fetchAuth}. */
export interface FetchAuth<S extends string> {
  <T extends readonly unknown[]>(handler: AuthenticatedHandler<Principal<S>, T>): GuardedFor<T>;
  <const A, T extends readonly unknown[]>(
    requirementOrOptions: CheckedArgument<A, S>,
    handler: AuthenticatedHandler<RoutePrincipal<S, A>, T>,
  ): GuardedFor<T>;
  <const A, const O extends RouteOptions<S>, T extends readonly unknown[]>(
    requirement: CheckedArgument<A, S>,
    options: O,
    handler: AuthenticatedHandler<RoutePrincipal<S, A, O>, T>,
  ): GuardedFor<T>;
}

/**
 * Creates guards for fetch handlers, functions from `Request` to `Response`.
 *
 * @throws TypeError if the verifier, an option, the requirement or the handler is invalid.
 *
 * @example
 * const auth = fetchAuth(verifier);
 * export const GET = auth("vehicles:read", (request, { auth }) => Response.json({ owner: auth.ownerId }));
 */
export function fetchAuth<S extends string>(
  verifier: Verifier<S>,
  { remoteAddress, ...options }: FetchGuardOptions = {},
): FetchAuth<S> {
  checkFunction("fetchAuth", "remoteAddress", remoteAddress);
  const guard = createGuard(verifier, options);
  const toRequest = (request: Request, args: readonly unknown[]): AuthRequest =>
    remoteAddress
      ? withRemoteAddress("fetchAuth", toAuthRequest(request), () => remoteAddress(request, ...args))
      : toAuthRequest(request, (args[0] ?? {}) as ConnectionInfo);
  return ((...args: unknown[]): GuardedFor<unknown[]> => {
    const handler = args.pop() as AuthenticatedHandler<Principal<S> | undefined, unknown[]>;
    if (typeof handler !== "function" || args[0] instanceof Request) {
      throw new TypeError("fetchAuth: the last argument must be a handler; serve auth(handler), not auth");
    }
    const check = guard(...(args as unknown as GuardArguments<S>));
    return async (request, ...rest) => {
      const authRequest = toRequest(request, rest);
      const checked = check(authRequest);
      const outcome = isPromiseLike(checked) ? await checked : checked;
      if (!outcome.pass) {
        const { status, headers, body } = outcome.denial;
        return new Response(request.method === "HEAD" ? null : body, { status, headers });
      }
      const context = { auth: outcome.principal, remoteAddress: authRequest.remoteAddress };
      return withHeaders(await handler(request, context, ...rest), outcome.headers);
    };
  }) as FetchAuth<S>;
}
