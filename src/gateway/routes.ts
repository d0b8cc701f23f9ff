import { URLPattern } from "urlpattern-polyfill/urlpattern";
import { checkOptions, describe } from "../internal/validate.js";
import type { Requirement, RouteGuard } from "../kit.js";

/** A route in front of the backend. The first one that matches decides. */
export interface GatewayRoute<S extends string = string> {
  /** The methods of the route, in upper case. `GET` includes `HEAD`. All by default. */
  readonly method?: string | readonly string[];
  /** A path of `URLPattern`, such as `/vehicles/:id` or `/vehicles/*`. */
  readonly path: string;
  /** The scopes that the route requires. Instead of `access`. */
  readonly requires?: Requirement<S>;
  /** `"any-key"`: any valid key; `"public"`: also without a key; `"deny"`: nobody. Instead of `requires`. */
  readonly access?: "any-key" | "public" | "deny";
}

/** Decides about the requests of a route. */
export type Decide<S extends string> = RouteGuard<S> | "public" | "deny";

/**
 * Compiles routes. The result returns the decision of the first route that matches, and `"deny"` if there is none.
 *
 * @throws TypeError if a route is invalid, or names an undefined scope.
 */
export function compileRoutes<S extends string>(
  where: string,
  routes: readonly GatewayRoute<S>[],
  guardFor: (requirement: Requirement<S> | undefined) => RouteGuard<S>,
): (method: string, path: string) => Decide<S> {
  if (!Array.isArray(routes) || routes.length === 0) {
    throw new TypeError(`${where}: "routes" must be a non-empty array; received ${describe(routes)}`);
  }
  const compiled = routes.map((given: GatewayRoute<S>, index) => {
    const name = `${where}: routes[${index}]`;
    const { method, path, requires, access } = checkOptions(name, given, [
      "method",
      "path",
      "requires",
      "access",
    ]);
    if ((requires === undefined) === (access === undefined)) {
      throw new TypeError(`${name} must have either "requires" or "access"`);
    }
    return {
      pattern: readPattern(name, path),
      methods: method === undefined ? undefined : readMethods(name, method),
      decide: access === undefined ? guardFor(requires) : readAccess(name, access, guardFor),
    };
  });

  return (method, path) => {
    const known = method === "HEAD" ? ["HEAD", "GET"] : [method];
    const route = compiled.find(
      ({ pattern, methods }) =>
        (methods === undefined || known.some((one) => methods.includes(one))) &&
        pattern.test({ pathname: path }),
    );
    return route?.decide ?? "deny";
  };
}

function readPattern(name: string, path: unknown): URLPattern {
  if (typeof path !== "string" || !/^[/*{(]/.test(path)) {
    throw new TypeError(`${name}: "path" must begin with a slash; received ${describe(path)}`);
  }
  try {
    return new URLPattern({ pathname: path });
  } catch {
    throw new TypeError(`${name}: "path" is not a pattern of URLPattern`);
  }
}

function readMethods(name: string, method: unknown): readonly string[] {
  const methods: readonly unknown[] = Array.isArray(method) ? method : [method];
  if (methods.length > 0 && methods.every((one) => typeof one === "string" && /^[A-Z]{1,32}$/.test(one))) {
    return methods as readonly string[];
  }
  throw new TypeError(`${name}: "method" must be a method in upper case, or an array of them`);
}

function readAccess<S extends string>(
  name: string,
  access: unknown,
  guardFor: (requirement: undefined) => RouteGuard<S>,
): Decide<S> {
  if (access === "any-key") return guardFor(undefined);
  if (access === "public" || access === "deny") return access;
  throw new TypeError(`${name}: "access" must be "any-key", "public" or "deny"`);
}
