import type { IncomingMessage, ServerResponse } from "node:http";
import { STATUS_CODES } from "node:http";
import type { FetchHandler } from "../http/handler.js";
import { toFetchRequest } from "./fetch-request.js";
import { frameworkRequestId, headersTruncated } from "./node-request.js";

/** What a framework knows about a request that `node:http` does not. */
interface FrameworkRequest {
  /** The URL that the client requested, before the framework removed a mount path. */
  readonly url: string | undefined;
  /** The body, if a body parser has read it already. */
  readonly parsedBody?: unknown;
  /** The framework's id of the request; `req.id` by default. */
  readonly requestId?: string;
}

/** Calls a fetch handler with a `node:http` request and returns its response. */
export async function serveFetch(
  handler: FetchHandler,
  req: IncomingMessage,
  res: ServerResponse,
  { url, parsedBody, requestId = frameworkRequestId(req) }: FrameworkRequest,
): Promise<Response> {
  const request = toFetchRequest(req, res, url, parsedBody);
  if (request !== undefined) res.once("finish", () => discardBody(req, request));
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
    // A Response has no reason phrase by default; HTTP/1.1 servers send the standard one.
    Object.defineProperty(response, "statusText", { value: STATUS_CODES[response.status] ?? "" });
  }
  return response;
}

/** Discards a body that the handler did not read, so that the connection can take its next request. */
function discardBody(req: IncomingMessage, request: Request): void {
  if (req.readableEnded || request.body === null || request.body.locked) return;
  request.body.cancel().catch(() => {});
  req.resume();
}
