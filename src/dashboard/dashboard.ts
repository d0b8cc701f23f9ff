import { readJson } from "../http/body.js";
import { type ConnectionInfo, fetchRequestId, type RequestHandler } from "../http/handler.js";
import { jsonResponse } from "../http/json-response.js";
import { warnOnce } from "../internal/warn.js";
import { AuthError, type Principal, type Verifier } from "../kit.js";
import { createManagementApi } from "../management/api.js";
import { toProblem } from "../management/error-codes.js";
import { type DashboardOptions, type PreparedDashboard, prepareDashboard } from "./options.js";
import { CONTENT_SECURITY_POLICY, createPage } from "./page.js";
import { readPath } from "./paths.js";
import type { PortalLink } from "./portal.js";
import { pageProblem } from "./problems.js";
import { requireSameOrigin } from "./same-origin.js";
import { createSessions } from "./session.js";
import { toPrincipal } from "./signed-in.js";

/** The fetch handler of the page. It never rejects. */
export interface Dashboard<S extends string = string> extends RequestHandler {
  /**
   * Creates a link that signs a person in to the page once. Its code is in the fragment, which is in no log and no
   * `Referer`, and is exchanged by the page itself, so a mail scanner that opens the link does not use it up.
   *
   * @throws TypeError if a member is invalid, or the page has no `portalStore`.
   * @throws StoreError if the portal store fails.
   *
   * @example
   * const url = await dashboard.portalUrl({ ownerId: "acme", actor: "user:42", ttl: "15m" });
   */
  portalUrl(link: PortalLink<S>): Promise<string>;
}

/** On every response. */
const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "Content-Security-Policy": CONTENT_SECURITY_POLICY,
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
};

/**
 * Creates the page where people manage their keys. Mount it with `expressHandler`, `koaHandler`, `honoHandler`,
 * `fastifyHandler` or `toNodeListener`, below any path.
 *
 * @throws TypeError if an option is unknown, missing or invalid; the message names the option.
 *
 * @example
 * const page = createDashboard({ keys, signedIn: (request) => personOf(request.headers.get("cookie")) });
 * app.use("/settings/api-keys", expressHandler(page));
 */
export function createDashboard<S extends string>(given: DashboardOptions<S>): Dashboard<S> {
  const options = prepareDashboard(given);
  const { keys, portal, publicOrigin } = options;
  const page = createPage(options.title, options.themeStyle);
  const sessions = createSessions(options);
  const principals = new WeakMap<object, Principal<S>>();
  const api = createApi(options, principals);
  const warn = warnOnce("KEYBEARER_DASHBOARD_ERROR");

  const respond = async (
    request: Request,
    connection: ConnectionInfo | undefined,
    requestId: string,
  ): Promise<Response> => {
    const target = readPath(new URL(request.url).pathname);
    const { kind } = target;
    if (kind === "page" || kind === "redirect" || kind === "asset") {
      requireMethod(request, "GET", "HEAD");
      if (kind === "page") return textResponse(request, page.html, "text/html; charset=utf-8", "no-store");
      if (kind === "redirect") {
        const location = target.location + new URL(request.url).search;
        return new Response(null, {
          status: 302,
          headers: { Location: location, "Cache-Control": "no-store" },
        });
      }
      const asset = page.assets.get(target.name);
      if (asset === undefined) throw pageProblem("not_found");
      return textResponse(request, asset.body, asset.type, "public, max-age=31536000, immutable");
    }

    requireSameOrigin(request, publicOrigin);
    if (kind === "portal") {
      requireMethod(request, "POST");
      if (portal === undefined) throw pageProblem("not_found");
      if (await sessions.isHostSession(request)) throw pageProblem("already_signed_in");
      const body = await readJson(request);
      const code = typeof body === "object" && body !== null && "code" in body ? body.code : undefined;
      return jsonResponse(request, requestId, 200, {}, { "Set-Cookie": await portal.redeem(code) });
    }

    const person = await sessions.find(request);
    const principal = person && toPrincipal(person, keys.scopes, requestId);
    if (kind === "session") {
      requireMethod(request, "GET", "HEAD");
      const body = await sessions.describe(person, principal, request, connection);
      return jsonResponse(request, requestId, 200, body);
    }
    if (principal === undefined) throw pageProblem("signed_out");
    const inner = withPath(request, target.path);
    principals.set(inner.headers, principal);
    const response = await api(inner, { ...connection, requestId });
    response.headers.delete("Location"); // the path of a key below the base path, which is unknown
    return response;
  };

  const handler: RequestHandler = async (request, connection) => {
    const requestId = fetchRequestId(request, connection);
    const { method } = request;
    let response: Response;
    try {
      response = await respond(request, connection, requestId);
    } catch (error) {
      const { problem, unexpected } = toProblem(error);
      if (unexpected) report(error, { requestId, method, path: new URL(request.url).pathname });
      const { status, code, message, headers, details } = problem;
      response = jsonResponse(request, requestId, status, { ...details, message, code, requestId }, headers);
    }
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.headers.set(name, value);
    return response;
  };

  const report: NonNullable<DashboardOptions["onError"]> = (error, context) => {
    if (options.onError === undefined) {
      return warn('A request of the key page failed with 500 or 503. Pass "onError" to createDashboard.');
    }
    try {
      Promise.resolve(options.onError(error, context)).catch(() => {});
    } catch {
      // An exception of onError must not change the response.
    }
  };

  const portalUrl = async (link: PortalLink<S>): Promise<string> => {
    if (portal === undefined) throw new TypeError('portalUrl: createDashboard has no "portalStore"');
    return portal.createUrl(link);
  };
  return Object.freeze(Object.assign(handler, { portalUrl }));
}

/** Creates the management API of the page. It verifies nothing but that `createDashboard` found the person. */
function createApi<S extends string>(
  { keys, defaults, rateLimits = false, onError }: PreparedDashboard<S>,
  principals: WeakMap<object, Principal<S>>,
): RequestHandler {
  const verifier: Verifier<S> = {
    async verify({ headers }) {
      const principal = principals.get(headers);
      if (principal !== undefined) return { ok: true, principal, headers: {} };
      return { ok: false, error: new AuthError("missing_credential", "You are not signed in.") };
    },
    assertRequirement: () => {},
  };
  const members = [
    "name",
    "ipAllowlist",
    "expiresAt",
    ...(rateLimits ? ["rateLimit" as const] : []),
  ] as const;
  return createManagementApi<S>({
    keys,
    verifier,
    paths: { keys: "/keys" },
    routes: ["list", "create", "get", "update", "revoke", "rotate", "disable", "enable", "audit"],
    input: { create: [...members, "scopes", "environment"], update: members },
    actor: ({ id }) => id,
    ...(defaults && { defaults }),
    ...(onError && { onError }),
  });
}

/** Returns the request with another path. */
function withPath(request: Request, path: string): Request {
  const url = new URL(request.url);
  url.pathname = path;
  const { method, headers, body } = request;
  const hasBody = method !== "GET" && method !== "HEAD" && body !== null;
  return new Request(url, { method, headers, ...(hasBody && { body, duplex: "half" }) } as RequestInit);
}

function requireMethod({ method }: Request, ...allowed: readonly string[]): void {
  if (!allowed.includes(method)) throw pageProblem("method_not_allowed", { Allow: allowed.join(", ") });
}

function textResponse({ method }: Request, body: string, type: string, cacheControl: string): Response {
  const headers = { "Content-Type": type, "Cache-Control": cacheControl };
  return new Response(method === "HEAD" ? null : body, { headers });
}
