import { type AuthRequest, resolveRequestId } from "../kit.js";

/** What a `Request` cannot say about itself: the connection it came over, and what the framework calls it. */
export interface ConnectionInfo {
  /** The address of the socket's other end. */
  readonly remoteAddress?: string | undefined;
  /** Header names and values in turn, as they came. */
  readonly rawHeaders?: readonly string[] | undefined;
  /** Whether the server may have dropped header lines. */
  readonly headersTruncated?: boolean | undefined;
  /** An id that the framework gave the request. */
  readonly requestId?: string | undefined;
}

/** Any function from a Fetch `Request` to a `Response`, such as those that `fetchAuth` makes. */
export type FetchHandler = (request: Request, connection: ConnectionInfo) => Response | PromiseLike<Response>;

/**
 * A fetch handler of this package. Mount it with `expressHandler`, `koaHandler`, `fastifyHandler` or
 * `toNodeListener`, or call it where a framework speaks Fetch itself. Tell it about the connection where the
 * runtime knows it. It never rejects.
 */
export type RequestHandler = (request: Request, connection?: ConnectionInfo) => Promise<Response>;

/**
 * What a verifier needs of a Fetch request. An address that the host has to be asked for is read by whoever judges it,
 * because that may fail.
 */
export function fromFetch(
  request: Request,
  connection: ConnectionInfo = {},
  requestId: string | undefined = connection.requestId,
): AuthRequest {
  const { rawHeaders, headersTruncated } = connection;
  const { headers, method } = request;
  const get = Object.getOwnPropertyDescriptor(connection, "remoteAddress")?.get;
  const arrived = {
    headers,
    rawHeaders,
    headersTruncated,
    remoteAddress: get === undefined ? connection.remoteAddress : undefined,
    method,
    path: new URL(request.url).pathname,
    requestId,
  };
  return get === undefined
    ? arrived
    : Object.defineProperty(arrived, "remoteAddress", { get, enumerable: true });
}

/** The id that the answer of a handler names: see `resolveRequestId`. */
export function requestIdOf(request: Request, connection?: ConnectionInfo): string {
  return resolveRequestId({ headers: request.headers, requestId: connection?.requestId });
}

/** A response with more headers; itself when there are none, and when it answers an upgrade: no other one would. */
export function withHeaders(response: Response, headers: Readonly<Record<string, string>>): Response {
  const names = Object.keys(headers);
  if (names.length === 0 || response.status === 101) return response;
  const copy = new Response(response.body, response); // the headers of some responses cannot be changed
  for (const name of names) copy.headers.set(name, headers[name] as string);
  return copy;
}
