import type { RequestHandler } from "../../http/handler.js";
import { jsonResponse } from "../../http/json-response.js";
import { HttpProblem } from "../../http/problem.js";
import { GATEWAY_PATH } from "./optional-parts.js";
import { portalEndpoint } from "./portal-link.js";
import { formatSamples } from "./prometheus.js";
import { MANAGEMENT_PATH, type Service } from "./service.js";
import { unkeyEndpoints } from "./unkey.js";
import { verifyEndpoint } from "./verify.js";

/** A route. Its name is logged instead of the path. A path that ends with `*` stands for all that begin with it. */
export interface ServiceRoute {
  readonly name: string;
  readonly method: "GET" | "POST" | "*";
  readonly path: string;
  readonly handler: RequestHandler;
}

/** Every route of the service; the first that matches is used.  */
export function createRoutes(service: Service, isDraining: () => boolean): readonly ServiceRoute[] {
  const {
    endpoint,
    checkSecret,
    management,
    dashboard,
    tokens,
    leaks,
    gateway,
    bootstrap,
    config,
    settings,
  } = service;
  const unkey = unkeyEndpoints(management, MANAGEMENT_PATH, checkSecret, config.scopes);
  const verifyNeeds = settings.openVerify ? undefined : "keybearer:verify";

  const healthy = endpoint(async () => ({ status: "ok" }));
  const ready = endpoint(async ({ request, requestId }) => {
    const isReady =
      !isDraining() &&
      (await service.ping().then(
        () => true,
        () => false,
      ));
    return jsonResponse(request, requestId, isReady ? 200 : 503, { status: isReady ? "ok" : "unavailable" });
  });
  const metrics = endpoint(async ({ principal }) => {
    // "*" of another owner includes the scope, but the metrics are those of all owners.
    if (principal?.ownerId !== settings.operator) {
      throw new HttpProblem(403, "operator_only", "Only the operator of the service can read its metrics.");
    }
    const headers = {
      "Content-Type": "text/plain; version=0.0.4; charset=utf-8",
      "Cache-Control": "no-store",
    };
    return new Response(formatSamples(await service.collectSamples()), { headers });
  }, "keybearer:metrics");

  const route = (name: string, method: ServiceRoute["method"], path: string, handler: RequestHandler) => ({
    ...{ name, method, path, handler },
  });
  return [
    route("verify", "POST", "/verify", endpoint(verifyEndpoint(checkSecret, config.scopes), verifyNeeds)),
    route("unkey", "POST", "/v2/keys.verifyKey", endpoint(unkey.verifyKey, "keybearer:verify")),
    route("unkey", "POST", "/v2/keys.createKey", endpoint(unkey.createKey)), // verified by the management API
    route("unkey", "POST", "/v2/keys.deleteKey", endpoint(unkey.deleteKey)),
    route("management", "*", `${MANAGEMENT_PATH}/*`, management),
    ...(dashboard === undefined
      ? []
      : [
          route(
            "portal",
            "POST",
            "/portal-links",
            endpoint(portalEndpoint(dashboard, config.format.environments), "keybearer:admin"),
          ),
          route("page", "*", "/keys*", dashboard),
        ]),
    ...(tokens === undefined
      ? []
      : [
          route("tokens", "*", "/oauth/*", tokens.handler),
          route("tokens", "*", "/.well-known/oauth-authorization-server*", tokens.handler),
        ]),
    ...(gateway === undefined ? [] : [route("authz", "*", `${GATEWAY_PATH}*`, gateway)]),
    ...(leaks === undefined ? [] : [route("leaks", "*", "/leaks*", leaks)]),
    route("bootstrap", "POST", "/bootstrap", bootstrap),
    route("healthz", "GET", "/healthz", healthy),
    route("readyz", "GET", "/readyz", ready),
    route("metrics", "GET", "/metrics", metrics),
  ];
}
