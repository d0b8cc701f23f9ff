import { type ConnectionInfo, withHeaders } from "../http/handler.js";
import {
  createGuard,
  type EnforcedRoute,
  type Principal,
  type Requirement,
  type RouteOptions,
  type Verifier,
} from "../kit.js";
import { type FetchGuardOptions, requests } from "./fetch-address.js";

export type { ConnectionInfo, FetchGuardOptions };

/**
 * A handler that runs for requests that passed; `auth` says whose they are. What the runtime gives a handler beside
 * the request, such as the parameters of a route or the environment of a worker, follows.
 */
export type AuthenticatedHandler<P, A extends readonly unknown[] = []> = (
  request: Request,
  context: { readonly auth: P; readonly remoteAddress: string | undefined },
  ...args: A
) => Response | PromiseLike<Response>;

/** Answers the refused and hands the others on. Tell it about the connection where the runtime knows it. */
export type GuardedHandler = (request: Request, connection?: ConnectionInfo) => Promise<Response>;

/** A {@link GuardedHandler}, or one that is called as the runtime calls it when the handler takes more. */
export type GuardedFor<A extends readonly unknown[]> = A extends readonly []
  ? GuardedHandler
  : (request: Request, ...args: A) => Promise<Response>;

/** Guards fetch handlers; made by {@link fetchAuth}. */
export interface FetchAuth<S extends string> {
  <A extends readonly unknown[]>(handler: AuthenticatedHandler<Principal<S>, A>): GuardedFor<A>;
  <A extends readonly unknown[]>(
    requirement: Requirement<S>,
    handler: AuthenticatedHandler<Principal<S>, A>,
  ): GuardedFor<A>;
  <A extends readonly unknown[]>(
    options: EnforcedRoute<S>,
    handler: AuthenticatedHandler<Principal<S>, A>,
  ): GuardedFor<A>;
  <A extends readonly unknown[]>(
    requirement: Requirement<S>,
    options: EnforcedRoute<S>,
    handler: AuthenticatedHandler<Principal<S>, A>,
  ): GuardedFor<A>;
  <A extends readonly unknown[]>(
    options: RouteOptions<S> & { readonly optional: true },
    handler: AuthenticatedHandler<Principal<S> | undefined, A>,
  ): GuardedFor<A>;
  <A extends readonly unknown[]>(
    requirement: Requirement<S>,
    options: RouteOptions<S> & { readonly optional: true },
    handler: AuthenticatedHandler<Principal<S> | undefined, A>,
  ): GuardedFor<A>;
}

/**
 * Makes guards for functions from `Request` to `Response`.
 *
 * @throws TypeError for a verifier that is none, unknown options, and requirements that cannot be met.
 *
 * @example
 * const auth = fetchAuth(verifier);
 * export const GET = auth("vehicles:read", (request, { auth }) => Response.json({ owner: auth.ownerId }));
 */
export function fetchAuth<S extends string>(
  verifier: Verifier<S>,
  { remoteAddress, ...options }: FetchGuardOptions = {},
): FetchAuth<S> {
  const requestOf = requests(remoteAddress);
  const guard = createGuard(verifier, options);
  return ((...args: unknown[]): GuardedFor<unknown[]> => {
    const handler = args.pop() as AuthenticatedHandler<Principal<S> | undefined, unknown[]>;
    if (typeof handler !== "function") throw new TypeError("fetchAuth: the last argument must be a handler");
    const check = guard(...(args as Parameters<typeof guard>));
    return async (request, ...rest) => {
      const asked = requestOf(request, rest);
      const outcome = await check(asked);
      if (!outcome.pass) {
        const { status, headers, body } = outcome.denial;
        return new Response(request.method === "HEAD" ? null : body, { status, headers });
      }
      const context = { auth: outcome.principal, remoteAddress: asked.remoteAddress };
      return withHeaders(await handler(request, context, ...rest), outcome.headers);
    };
  }) as FetchAuth<S>;
}
