import type { IncomingMessage, ServerResponse } from "node:http";
import type { AuthRequest, HttpDenial } from "../kit.js";

/**
 * What a verifier needs of a request of `node:http`, on which Express, Koa and Fastify build; for a guard of a
 * framework of your own. `path` is what the client asked for, where a router has changed `req.url`.
 *
 * @example
 * const outcome = await createGuard(verifier)("vehicles:read")(fromIncoming(req));
 */
export function fromIncoming(
  req: IncomingMessage & { readonly id?: unknown },
  path: string | undefined = req.url,
): AuthRequest {
  return {
    headers: req.headers,
    rawHeaders: req.rawHeaders,
    headersTruncated: headersTruncated(req),
    remoteAddress: req.socket.remoteAddress,
    method: req.method,
    path,
    requestId: idOf(req),
  };
}

/** The id of a request, where request loggers such as pino-http put theirs. */
export function idOf({ id }: IncomingMessage & { readonly id?: unknown }): string | undefined {
  return typeof id === "string" || typeof id === "number" ? String(id) : undefined;
}

// Node's MAX_HEADER_PAIRS, in force while `server.maxHeadersCount` is null.
const MAX_HEADER_LINES = 1_000;

/** Whether Node may have dropped lines of the header section; it does so without a word. */
export function headersTruncated(req: {
  readonly rawHeaders?: readonly string[];
  readonly socket?: object;
}): boolean {
  const socket = req.socket as { readonly server?: { readonly maxHeadersCount?: number | null } } | undefined;
  const most = socket?.server?.maxHeadersCount ?? MAX_HEADER_LINES;
  return most > 0 && (req.rawHeaders?.length ?? 0) >= most * 2;
}

/** Whether somebody has answered while a request was being verified: middleware that keeps a time limit, say. */
export function isAnswered(res: ServerResponse): boolean {
  return res.headersSent || res.writableEnded;
}

/** Answers with a refusal. What earlier middleware set, such as CORS headers, stays. */
export function sendDenial(res: ServerResponse, { status, headers, body }: HttpDenial): void {
  if (isAnswered(res)) return;
  res.statusCode = status;
  addHeaders(res, headers);
  res.end(body);
}

export function addHeaders(res: ServerResponse, headers: Readonly<Record<string, string>>): void {
  for (const name in headers) res.setHeader(name, headers[name] as string);
}
