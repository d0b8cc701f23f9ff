import type { IncomingMessage, ServerResponse } from "node:http";
import { type AuthRequest, type HttpDenial, mayLackLines, pathnameOf } from "../kit.js";

type NodeRequest = IncomingMessage & { readonly id?: unknown; readonly originalUrl?: string };

/**
 * Converts a `node:http` request to an {@link AuthRequest}, for a guard of your own. Express, Koa and Fastify are built
 * on such requests. `path` is the path that the client requested, in case a router has changed `req.url`.
 *
 * @example
 * const outcome = await createGuard(verifier)("vehicles:read")(fromIncoming(req));
 */
export function fromIncoming(
  req: IncomingMessage & { readonly id?: unknown },
  path: string | undefined = req.url,
): AuthRequest {
  const request = new IncomingRequest(req, path);
  return { ...request, method: request.method, path: request.path, requestId: request.requestId };
}

/**
 * The {@link AuthRequest} of the guards of this package. Express replaces the prototype of its requests, which makes
 * their members slow to read: each is read once, and those that few requests need are read on demand.
 */
export class IncomingRequest implements AuthRequest {
  readonly headers: AuthRequest["headers"];
  readonly rawHeaders: readonly string[];
  readonly headersTruncated: boolean;
  readonly remoteAddress: string | undefined;
  readonly #req: NodeRequest;
  readonly #path: string | undefined;
  readonly #requestId: string | undefined;

  /** `path` and `requestId` are values of a framework that replace those of `node:http`. */
  constructor(req: NodeRequest, path?: string, requestId?: string) {
    const { headers, rawHeaders, socket } = req;
    this.headers = headers;
    this.rawHeaders = rawHeaders;
    this.headersTruncated = headersTruncated({ rawHeaders, socket });
    this.remoteAddress = socket.remoteAddress;
    this.#req = req;
    this.#path = path;
    this.#requestId = requestId;
  }

  get method(): string | undefined {
    return this.#req.method;
  }

  get path(): string | undefined {
    const target = this.#path ?? this.#req.originalUrl ?? this.#req.url;
    return target === undefined ? undefined : pathnameOf(target);
  }

  get requestId(): string | undefined {
    return this.#requestId ?? frameworkRequestId(this.#req);
  }
}

/** Returns `req.id`, where request loggers such as pino-http put the id. */
export function frameworkRequestId({ id }: NodeRequest): string | undefined {
  return typeof id === "string" || typeof id === "number" ? String(id) : undefined;
}

/** Whether Node may have dropped header lines, which it does without an error. */
export function headersTruncated(req: {
  readonly rawHeaders?: readonly string[];
  readonly socket?: object;
}): boolean {
  const socket = req.socket as { readonly server?: { readonly maxHeadersCount?: number | null } } | undefined;
  return mayLackLines(req.rawHeaders ?? [], socket?.server?.maxHeadersCount ?? undefined);
}

/** Whether a response was sent while the request was being verified, for example by timeout middleware. */
export function isResponseSent(res: ServerResponse): boolean {
  return res.headersSent || res.writableEnded;
}

/** Sends a denial. Headers of earlier middleware, such as CORS headers, stay. */
export function sendDenial(res: ServerResponse, { status, headers, body }: HttpDenial): void {
  if (isResponseSent(res)) return;
  res.statusCode = status;
  addHeaders(res, headers);
  res.end(body);
}

/** Sets headers of a response. */
export function addHeaders(res: ServerResponse, headers: Readonly<Record<string, string>>): void {
  for (const name in headers) res.setHeader(name, headers[name] as string);
}
