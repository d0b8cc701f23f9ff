import type { IncomingMessage, ServerResponse } from "node:http";
import { STATUS_CODES } from "node:http";
import { createHeaders, createRequest, sendResponse } from "@remix-run/node-fetch-server";

/** What a `Request` cannot say about the connection it came over. */
export interface ConnectionInfo {
  /** The address of the socket's other end. */
  readonly remoteAddress?: string | undefined;
  /** Header names and values in turn, as they came. */
  readonly rawHeaders?: readonly string[] | undefined;
}

/** A function from a Fetch `Request` to a `Response`, such as those that `fetchAuth` makes. */
export type FetchHandler = (request: Request, connection: ConnectionInfo) => Response | PromiseLike<Response>;

/**
 * Serves a fetch handler with `node:http`. What the handler throws is printed and answered with a bare 500.
 *
 * @example
 * createServer(toNodeListener(handler)).listen(3000);
 */
export function toNodeListener(
  handler: FetchHandler,
): (req: IncomingMessage, res: ServerResponse) => Promise<void> {
  return async (req, res) => {
    try {
      await sendResponse(res, await respond(handler, req, res, req.url));
    } catch (error) {
      console.error(error);
      if (res.headersSent) res.destroy();
      else res.writeHead(500).end();
    }
  };
}

/**
 * Asks a fetch handler for its response to a `node:http` request. `url` is what the client asked for, before
 * any framework took a mount path away; `parsed` is the body where a framework has read it already.
 */
export async function respond(
  handler: FetchHandler,
  req: IncomingMessage,
  res: ServerResponse,
  url: string | undefined,
  parsed?: unknown,
): Promise<Response> {
  const request = toRequest(req, res, url, parsed);
  const response =
    request === undefined
      ? new Response(null, { status: 400 })
      : await handler(request, {
          remoteAddress: req.socket.remoteAddress,
          rawHeaders: req.rawHeaders,
        });
  if (response.statusText === "") {
    // A Response has no reason phrase of its own; HTTP/1.1 servers send the usual one.
    Object.defineProperty(response, "statusText", {
      value: STATUS_CODES[response.status] ?? "",
    });
  }
  return response;
}

export { sendResponse };

/** `undefined` for a request that a `Request` cannot express: a method like TRACE, a target or host that is no URL. */
function toRequest(
  req: IncomingMessage,
  res: ServerResponse,
  url: string | undefined,
  parsed: unknown,
): Request | undefined {
  const before = req.url;
  try {
    req.url = originForm(url ?? "/");
    if (!req.readableDidRead || parsed === undefined) return createRequest(req, res);
    const { href } = new URL(req.url, `http://${req.headers.host ?? "localhost"}`);
    const body = typeof parsed === "string" || Buffer.isBuffer(parsed) ? parsed : JSON.stringify(parsed);
    return new Request(href, {
      method: req.method ?? "GET",
      headers: createHeaders(req),
      body,
    });
  } catch {
    return undefined;
  } finally {
    req.url = before;
  }
}

/** The path and query of a request target; the absolute form (RFC 9112, 3.2.2) names the host a second time. */
function originForm(target: string): string {
  if (target.startsWith("/")) return target;
  const { pathname, search } = new URL(target);
  return pathname + search;
}
