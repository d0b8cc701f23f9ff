import { createProblem } from "./error-codes.js";
import { ROUTES, type Route, type RouteName, type RoutePaths } from "./routes.js";

/** The route of a request, and the key id in its path. */
export interface RouteMatch {
  readonly route: Route;
  /** `undefined` on routes without an id, and if the segment cannot be a key id. */
  readonly id: string | undefined;
}

/** Creates the router. Paths are compared exactly: `/api-keys/` is not a route. */
export function createRouter(
  served: ReadonlySet<RouteName>,
  basePath: string,
  paths: Required<RoutePaths>,
): (method: string, path: string) => RouteMatch {
  const routes = ROUTES.filter(({ name }) => served.has(name)).map((route) => ({
    route,
    template: routePath(route, basePath, paths).split("/"),
  }));

  return (method, path) => {
    const segments = path.split("/");
    const candidates = routes.filter(({ template }) => matches(template, segments));
    const routeMethod = method === "HEAD" ? "GET" : method;
    const match = candidates.find(({ route }) => route.method === routeMethod);
    if (match !== undefined) {
      const index = match.template.indexOf("{id}");
      return { route: match.route, id: index < 0 ? undefined : readId(segments[index] as string) };
    }
    if (candidates.length === 0) {
      throw createProblem("not_found", {}, { message: "There is nothing at this path." });
    }
    const methods = candidates.map(({ route }) => route.method);
    const allowed = methods.flatMap((name) => (name === "GET" ? ["GET", "HEAD"] : [name])).join(", ");
    throw createProblem("method_not_allowed", {}, { headers: { Allow: allowed } });
  };
}

/** Returns the path template of a route, such as `/api-keys/{id}`. */
export function routePath(route: Route, basePath: string, paths: Required<RoutePaths>): string {
  return `${basePath}${paths[route.at]}${route.item === undefined ? "" : `/${route.item}`}`;
}

function matches(template: readonly string[], segments: readonly string[]): boolean {
  return (
    template.length === segments.length &&
    template.every((part, index) => (part === "{id}" ? segments[index] !== "" : part === segments[index]))
  );
}

/** Decodes an id. Returns `undefined` for a string that no key can have as its id, so that it reaches no database. */
function readId(segment: string): string | undefined {
  try {
    const id = decodeURIComponent(segment);
    return id.length <= 255 && !/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u.test(id) ? id : undefined;
  } catch {
    return undefined;
  }
}
