import type { IncomingMessage, ServerResponse } from "node:http";
import type { AuthRequest, HttpRefusal } from "../index.js";

/** What a verifier needs of a request of `node:http`, on which Express, Koa and Fastify build. */
export function fromIncoming(
  req: IncomingMessage & { readonly id?: unknown },
  path: string | undefined,
): AuthRequest {
  return {
    headers: req.headers,
    rawHeaders: req.rawHeaders,
    remoteAddress: req.socket.remoteAddress,
    method: req.method,
    path,
    // Where request loggers such as pino-http put theirs.
    requestId: typeof req.id === "string" || typeof req.id === "number" ? String(req.id) : undefined,
  };
}

/** Answers with a refusal. What earlier middleware set, such as CORS headers, stays. */
export function sendRefusal(res: ServerResponse, { status, headers, body }: HttpRefusal): void {
  if (res.headersSent) return;
  res.statusCode = status;
  addHeaders(res, headers);
  res.end(body);
}

export function addHeaders(res: ServerResponse, headers: Readonly<Record<string, string>>): void {
  for (const name in headers) res.setHeader(name, headers[name] as string);
}
