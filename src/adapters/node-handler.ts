import type { IncomingMessage, ServerResponse } from "node:http";
import { sendResponse } from "@remix-run/node-fetch-server";
import type { FetchHandler } from "../http/handler.js";
import { serveFetch } from "./serve-fetch.js";

/**
 * Serves a fetch handler with `node:http`. An exception of the handler is printed, and the response is an empty 500.
 *
 * @example
 * createServer(toNodeListener(handler)).listen(3000);
 */
export function toNodeListener(
  handler: FetchHandler,
): (req: IncomingMessage, res: ServerResponse) => Promise<void> {
  return async (req, res) => {
    try {
      await sendResponse(res, await serveFetch(handler, req, res, { url: req.url }));
    } catch (error) {
      console.error(error);
      if (res.headersSent) res.destroy();
      else res.writeHead(500).end();
    }
  };
}
