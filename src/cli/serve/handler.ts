import { fetchRequestId, type RequestHandler } from "../../http/handler.js";
import { HttpProblem } from "../../http/problem.js";
import { problemResponse } from "./endpoint.js";
import type { Log } from "./log.js";
import type { ServiceRoute } from "./routes.js";

const QUIET = new Set(["healthz", "readyz", "metrics"]);

/** Creates the handler of all routes. Logs each request with its route instead of its path. */
export function createHandler(routes: readonly ServiceRoute[], log: Log): RequestHandler {
  return async (request, given) => {
    const start = performance.now();
    const requestId = fetchRequestId(request, given);
    const connection = { ...given, requestId };
    const path = new URL(request.url).pathname;
    const matching = routes.filter((route) => matches(route.path, path));
    const route = matching.find(({ method }) => method === "*" || method === request.method);
    const response = route
      ? await route.handler(request, connection)
      : problemResponse(request, requestId, noRoute(matching));
    if (route === undefined || !QUIET.has(route.name)) {
      const durationMs = Math.round((performance.now() - start) * 1_000) / 1_000;
      const { method } = request;
      log.info("request", {
        route: route?.name ?? "none",
        method,
        status: response.status,
        durationMs,
        requestId,
      });
    }
    return response;
  };
}

function matches(pattern: string, path: string): boolean {
  return pattern.endsWith("*") ? path.startsWith(pattern.slice(0, -1)) : path === pattern;
}

function noRoute(matching: readonly ServiceRoute[]): HttpProblem {
  if (matching.length === 0) return new HttpProblem(404, "not_found", "There is no such path.");
  const headers = { Allow: matching.map(({ method }) => method).join(", ") };
  return new HttpProblem(405, "method_not_allowed", "The method is not allowed here.", { headers });
}
