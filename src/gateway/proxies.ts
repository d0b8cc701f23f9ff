import type { ConnectionInfo } from "../http/handler.js";

/** A proxy that can ask the gateway. */
export type GatewayProxy = "nginx" | "traefik" | "caddy" | "haproxy" | "envoy";

/** Every {@link GatewayProxy}. */
export const PROXIES: readonly GatewayProxy[] = ["nginx", "traefik", "caddy", "haproxy", "envoy"];

/** What a client asked the proxy for. */
export interface OriginalRequest {
  readonly method: string;
  /** The path and the query, as the client sent them. */
  readonly target: string;
}

interface HeaderNames {
  readonly method: string;
  readonly uri: string;
}

// Each proxy has one family. A request is never read from another one, which the client may have sent.
const FAMILIES: Readonly<Record<Exclude<GatewayProxy, "envoy">, HeaderNames>> = {
  nginx: { method: "x-original-method", uri: "x-original-uri" },
  haproxy: { method: "x-original-method", uri: "x-original-uri" },
  traefik: { method: "x-forwarded-method", uri: "x-forwarded-uri" },
  caddy: { method: "x-forwarded-method", uri: "x-forwarded-uri" },
};

/**
 * Reads the original request from what a proxy sent. Envoy sends it as the request itself, below `pathPrefix`; the others
 * send headers. Returns `undefined` if it is missing or sent twice.
 */
export function readOriginal(
  proxy: GatewayProxy,
  pathPrefix: string,
  request: Request,
  connection: ConnectionInfo = {},
): OriginalRequest | undefined {
  if (proxy === "envoy") {
    const { pathname, search } = new URL(request.url);
    if (!pathname.startsWith(pathPrefix)) return undefined;
    return { method: request.method, target: pathname.slice(pathPrefix.length) + search };
  }
  const names = FAMILIES[proxy];
  if (isRepeated(names.method, connection) || isRepeated(names.uri, connection)) return undefined;
  const method = request.headers.get(names.method);
  const target = request.headers.get(names.uri);
  if (method === null || target === null || !/^[A-Z]{1,32}$/.test(method)) return undefined;
  return { method, target };
}

function isRepeated(name: string, { rawHeaders = [] }: ConnectionInfo): boolean {
  let lines = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) if (rawHeaders[i]?.toLowerCase() === name) lines += 1;
  return lines > 1;
}
