import type { IncomingMessage, ServerResponse } from "node:http";
import { createHeaders, createRequest } from "@remix-run/node-fetch-server";

// RFC 3986, 3.2.2, without characters that begin user information, a path or a query in a URL.
const HOST = /^(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/;

// Dot segments (RFC 3986, 5.2.4) and what the URL standard treats as such. A URL resolves them, so the handler would
// see another path than the router and its guards did.
const DOT_SEGMENTS = /(?:^|[/\\])(?:\.|%2e){1,2}(?=[/\\]|$)|\\/i;

/**
 * Converts a `node:http` request to a Fetch `Request`. Returns `undefined` for a request that a `Request` cannot
 * express: a method such as TRACE, an invalid target or host, or a repeated `Content-Type`.
 *
 * @throws ParsedBodyError if other middleware has read the body and it cannot be restored.
 */
export function toFetchRequest(
  req: IncomingMessage,
  res: ServerResponse,
  url: string | undefined,
  parsedBody: unknown,
): Request | undefined {
  const host = hostOf(req) || "localhost";
  const target = url ?? "/";
  if (!HOST.test(host) || DOT_SEGMENTS.test(target.replace(/[?#].*$/s, ""))) return undefined;
  if (isRepeated(req, "content-type")) return undefined;
  const originalUrl = req.url;
  try {
    req.url = originForm(target);
    const { method = "GET" } = req;
    const isBodyless = method === "GET" || method === "HEAD"; // in a Request
    // A stream can be read once only. An empty body has ended without having been read.
    const isConsumed = req.readableEnded || (req.readableDidRead && parsedBody !== undefined);
    if (isBodyless || !isConsumed) return createRequest(req, res, { host });
    const body = req.readableDidRead ? serializeBody(parsedBody, req.headers["content-type"]) : null;
    return new Request(`http://${host}${req.url}`, { method, headers: createHeaders(req), body });
  } catch (error) {
    if (error instanceof ParsedBodyError) throw error;
    return undefined;
  } finally {
    req.url = originalUrl;
  }
}

/** RFC 9113, 8.3.1: HTTP/2 sends the host as the pseudo-header `:authority`, which takes precedence over `Host`. */
function hostOf({ headers }: IncomingMessage): string | undefined {
  const authority = headers[":authority"];
  return typeof authority === "string" ? authority : headers.host;
}

/** Node keeps the first of several such lines; a proxy in front may have read another. */
function isRepeated({ rawHeaders }: IncomingMessage, name: string): boolean {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) if (rawHeaders[i]?.toLowerCase() === name) count++;
  return count > 1;
}

/** Returns the path and query of a request target. The absolute form (RFC 9112, 3.2.2) repeats the host. */
function originForm(target: string): string {
  if (target.startsWith("/")) return target;
  const { pathname, search } = new URL(target);
  return pathname + search;
}

class ParsedBodyError extends Error {
  constructor() {
    super("Other middleware has read the body; mount the handler before it");
  }
}

/** Serializes a body that a body parser has read. */
function serializeBody(parsedBody: unknown, type = ""): string | Buffer {
  if (typeof parsedBody === "string" || Buffer.isBuffer(parsedBody)) return parsedBody;
  if (parsedBody === undefined) throw new ParsedBodyError();
  if (/^application\/(?:[^;]+\+)?json\b/i.test(type)) return JSON.stringify(parsedBody);
  if (!/^application\/x-www-form-urlencoded\b/i.test(type)) throw new ParsedBodyError();
  const fields = Object.entries(parsedBody as Record<string, unknown>);
  const isFlat = fields.every(([, value]) => [value].flat().every((item) => typeof item === "string"));
  // Body parsers nest names with brackets; no form of this package has any.
  if (!isFlat) throw new TypeError("The form is nested");
  return new URLSearchParams(
    fields.flatMap(([name, value]) => [value].flat().map((item): [string, string] => [name, item as string])),
  ).toString();
}
