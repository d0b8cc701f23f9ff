import type { IncomingMessage, ServerResponse } from "node:http";
import { STATUS_CODES } from "node:http";
import { sendResponse } from "@remix-run/node-fetch-server";
import type { FetchHandler } from "../http/handler.js";
import { toFetchRequest } from "./fetch-request.js";
import { headersTruncated, idOf } from "./node-request.js";

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
      await sendResponse(res, await respond(handler, req, res, { url: req.url }));
    } catch (error) {
      console.error(error);
      if (res.headersSent) res.destroy();
      else res.writeHead(500).end();
    }
  };
}

/**
 * Asks a fetch handler for its response to a `node:http` request. `url` is what the client asked for, before
 * any framework took a mount path away; `parsed` is the body where a framework has read it already; `requestId` is
 * what a framework calls the request where it keeps that elsewhere.
 */
export async function respond(
  handler: FetchHandler,
  req: IncomingMessage,
  res: ServerResponse,
  { url, parsed, requestId = idOf(req) }: Asked,
): Promise<Response> {
  const request = toFetchRequest(req, res, url, parsed);
  if (request !== undefined) res.once("finish", () => discardRest(req, request));
  const response =
    request === undefined
      ? new Response(null, { status: 400 })
      : await handler(request, {
          remoteAddress: req.socket.remoteAddress,
          rawHeaders: req.rawHeaders,
          headersTruncated: headersTruncated(req),
          requestId,
        });
  if (response.statusText === "") {
    // A Response has no reason phrase of its own; HTTP/1.1 servers send the usual one.
    Object.defineProperty(response, "statusText", { value: STATUS_CODES[response.status] ?? "" });
  }
  return response;
}

interface Asked {
  readonly url: string | undefined;
  readonly parsed?: unknown;
  readonly requestId?: string;
}

/** Lets the connection go on to its next request when the handler has left a body unread. */
function discardRest(req: IncomingMessage, request: Request): void {
  if (req.readableEnded || request.body === null || request.body.locked) return;
  request.body.cancel().catch(() => {});
  req.resume();
}
