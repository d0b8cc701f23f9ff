import type { IncomingMessage, ServerResponse } from "node:http";
import { createHeaders, createRequest } from "@remix-run/node-fetch-server";

// RFC 3986, 3.2.2, without what a URL would take for the beginning of user information, a path or a query.
const HOST = /^(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/;

/**
 * Writes a `node:http` request as a Fetch `Request`. `undefined` for what one cannot express: a method like
 * TRACE, a target or a host that is no URL, a second type of the body.
 */
export function toFetchRequest(
  req: IncomingMessage,
  res: ServerResponse,
  url: string | undefined,
  parsed: unknown,
): Request | undefined {
  const host = hostOf(req) || "localhost";
  const target = url ?? "/";
  if (!HOST.test(host) || REWRITTEN.test(target.replace(/[?#].*$/s, ""))) return undefined;
  if (isRepeated(req, "content-type")) return undefined;
  const before = req.url;
  try {
    req.url = originForm(target);
    const { method = "GET" } = req;
    const hasNone = method === "GET" || method === "HEAD"; // in a Request
    // A body that is read cannot be read again; one of no bytes has ended unread.
    const isRead = req.readableEnded || (req.readableDidRead && parsed !== undefined);
    if (hasNone || !isRead) return createRequest(req, res, { host });
    const body = req.readableDidRead ? bodyOf(parsed, req.headers["content-type"]) : null;
    return new Request(`http://${host}${req.url}`, { method, headers: createHeaders(req), body });
  } catch (error) {
    if (error instanceof ParsedBodyError) throw error;
    return undefined;
  } finally {
    req.url = before;
  }
}

/** RFC 9113, 8.3.1: HTTP/2 has the host in a pseudo-header field, which goes before `Host`. */
function hostOf({ headers }: IncomingMessage): string | undefined {
  const authority = headers[":authority"];
  return typeof authority === "string" ? authority : headers.host;
}

/** Node keeps the first of such lines without a word; what stands in front may have read another. */
function isRepeated({ rawHeaders }: IncomingMessage, name: string): boolean {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) if (rawHeaders[i]?.toLowerCase() === name) count++;
  return count > 1;
}

// RFC 3986, 5.2.4, and what the URL standard takes for it. A URL is rewritten by these, so that a handler would
// see another path than the router and its guards did.
const REWRITTEN = /(?:^|[/\\])(?:\.|%2e){1,2}(?=[/\\]|$)|\\/i;

/** The path and query of a request target; the absolute form (RFC 9112, 3.2.2) names the host a second time. */
function originForm(target: string): string {
  if (target.startsWith("/")) return target;
  const { pathname, search } = new URL(target);
  return pathname + search;
}

class ParsedBodyError extends Error {
  constructor() {
    super("Other middleware has read the body; mount the handler in front of it");
  }
}

/** The bytes that a body parser has read, as far as they can be made anew from what it made of them. */
function bodyOf(parsed: unknown, type = ""): string | Buffer {
  if (typeof parsed === "string" || Buffer.isBuffer(parsed)) return parsed;
  if (parsed === undefined) throw new ParsedBodyError();
  if (/^application\/(?:[^;]+\+)?json\b/i.test(type)) return JSON.stringify(parsed);
  if (!/^application\/x-www-form-urlencoded\b/i.test(type)) throw new ParsedBodyError();
  const fields = Object.entries(parsed as Record<string, unknown>);
  const isFlat = fields.every(([, value]) => [value].flat().every((item) => typeof item === "string"));
  // A parser made objects of names with brackets. No form of ours has any.
  if (!isFlat) throw new TypeError("The form is nested");
  return new URLSearchParams(
    fields.flatMap(([name, value]) => [value].flat().map((item): [string, string] => [name, item as string])),
  ).toString();
}
