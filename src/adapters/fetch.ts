import { type ConnectionInfo, fromFetch } from "../http/handler.js";
import {
  createGuard,
  type EnforcedRoute,
  type GuardOptions,
  type Principal,
  type Requirement,
  type RouteOptions,
  type Verifier,
} from "../index.js";

export type { ConnectionInfo };

/** A handler that runs for requests that passed; `auth` says whose they are. */
export type AuthenticatedHandler<P> = (
  request: Request,
  context: { readonly auth: P; readonly remoteAddress: string | undefined },
) => Response | PromiseLike<Response>;

/** Answers the refused and hands the others on. Tell it about the connection where the runtime knows it. */
export type GuardedHandler = (request: Request, connection?: ConnectionInfo) => Promise<Response>;

/** Guards fetch handlers; made by {@link fetchAuth}. */
export interface FetchAuth<S extends string> {
  (handler: AuthenticatedHandler<Principal<S>>): GuardedHandler;
  (requirement: Requirement<S>, handler: AuthenticatedHandler<Principal<S>>): GuardedHandler;
  (options: EnforcedRoute<S>, handler: AuthenticatedHandler<Principal<S>>): GuardedHandler;
  (
    requirement: Requirement<S>,
    options: EnforcedRoute<S>,
    handler: AuthenticatedHandler<Principal<S>>,
  ): GuardedHandler;
  (
    options: RouteOptions<S> & { readonly optional: true },
    handler: AuthenticatedHandler<Principal<S> | undefined>,
  ): GuardedHandler;
  (
    requirement: Requirement<S>,
    options: RouteOptions<S> & { readonly optional: true },
    handler: AuthenticatedHandler<Principal<S> | undefined>,
  ): GuardedHandler;
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
export function fetchAuth<S extends string>(verifier: Verifier<S>, options?: GuardOptions): FetchAuth<S> {
  const guard = createGuard(verifier, options);
  return (...args: unknown[]): GuardedHandler => {
    const handler = args.pop() as AuthenticatedHandler<Principal<S> | undefined>;
    if (typeof handler !== "function") throw new TypeError("fetchAuth: the last argument must be a handler");
    const check = guard(...(args as Parameters<typeof guard>));
    return async (request, connection) => {
      const outcome = await check(fromFetch(request, connection));
      if (!outcome.pass) {
        const { status, headers, body } = outcome.refusal;
        return new Response(request.method === "HEAD" ? null : body, { status, headers });
      }
      const response = await handler(request, {
        auth: outcome.principal,
        remoteAddress: connection?.remoteAddress,
      });
      return withHeaders(response, outcome.headers);
    };
  };
}

function withHeaders(response: Response, headers: Readonly<Record<string, string>>): Response {
  const names = Object.keys(headers);
  if (names.length === 0) return response;
  const copy = new Response(response.body, response); // the headers of some responses cannot be changed
  for (const name of names) copy.headers.set(name, headers[name] as string);
  return copy;
}
