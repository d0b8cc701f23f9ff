import type { Principal } from "./principal.js";
import type { EnforcedRoute, RouteOptions } from "./route.js";

/**
 * The type that the first argument of a guard must have, chosen by the form of the argument `A`. A misspelt scope is
 * then one compile error that lists the defined scopes.
 */
export type GuardArgument<A, S extends string> = A extends string
  ? S
  : A extends readonly unknown[]
    ? readonly S[]
    : A extends { readonly anyOf: unknown }
      ? { readonly anyOf: readonly S[] }
      : RouteOptions<S>;

/** `A` if it is a valid first argument of a guard, otherwise the type that it should have. */
export type CheckedArgument<A, S extends string> = A extends GuardArgument<A, S> ? A : GuardArgument<A, S>;

/**
 * Creates guards of type `G`, one for each route: `auth()`, `auth(requirement)`, `auth(options)` or
 * `auth(requirement, options)`.
 */
export interface GuardFactory<S extends string, G> {
  (): G;
  <const A>(requirementOrOptions: CheckedArgument<A, S>, options?: RouteOptions<S>): G;
}

/** The principal of a route with the arguments `A` and `O`; also `undefined` if `optional` can be `true`. */
export type RoutePrincipal<S extends string, A, O = EnforcedRoute<S>> =
  | Principal<S>
  | (true extends OptionalOf<A> | OptionalOf<O> ? undefined : never);

/** The type of the member `optional`, if there is one. Distributes over unions. */
type OptionalOf<T> = T extends { readonly optional?: unknown } ? T["optional"] : never;
