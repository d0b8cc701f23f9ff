import { problem } from "./problems.js";
import { ROUTES, type Route, type RouteName, type RoutePaths } from "./routes.js";

/** The route of a request, and the id in its path. */
export interface Found {
  readonly route: Route;
  /** `undefined` on routes without one, and for what cannot be an id of a key. */
  readonly id: string | undefined;
}

/**
 * Makes the lookup of routes. Paths are compared as they came, letter by letter: `/api-keys/` is no route.
 */
export function createRouter(
  served: ReadonlySet<RouteName>,
  basePath: string,
  paths: Required<RoutePaths>,
): (method: string, path: string) => Found {
  const routes = ROUTES.filter(({ name }) => served.has(name)).map((route) => ({
    route,
    steps: `${basePath}${paths[route.at]}${route.item === undefined ? "" : `/${route.item}`}`.split("/"),
  }));

  return (method, path) => {
    const sent = path.split("/");
    const here = routes.filter(({ steps }) => leadTo(steps, sent));
    const wanted = method === "HEAD" ? "GET" : method;
    const found = here.find(({ route }) => route.method === wanted);
    if (found !== undefined) {
      const at = found.steps.indexOf("{id}");
      return { route: found.route, id: at < 0 ? undefined : readId(sent[at] as string) };
    }
    if (here.length === 0) throw problem("not_found", {}, { message: "There is nothing at this path." });
    const methods = here.map(({ route }) => route.method);
    const allowed = methods.flatMap((name) => (name === "GET" ? ["GET", "HEAD"] : [name])).join(", ");
    throw problem("method_not_allowed", {}, { headers: { Allow: allowed } });
  };
}

/** The path of a route, as documents have it. */
export function pathOfRoute(route: Route, basePath: string, paths: Required<RoutePaths>): string {
  return `${basePath}${paths[route.at]}${route.item === undefined ? "" : `/${route.item}`}`;
}

function leadTo(steps: readonly string[], sent: readonly string[]): boolean {
  return (
    steps.length === sent.length &&
    steps.every((step, index) => (step === "{id}" ? sent[index] !== "" : step === sent[index]))
  );
}

/** An id as a manager lets a host choose it; anything else finds no key, and must not reach a database. */
function readId(text: string): string | undefined {
  try {
    const id = decodeURIComponent(text);
    return id.length <= 255 && !/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u.test(id) ? id : undefined;
  } catch {
    return undefined;
  }
}
