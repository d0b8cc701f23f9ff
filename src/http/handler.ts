import { type AuthRequest, resolveRequestId } from "../kit.js";

/** What a `Request` does not contain: its connection and the framework's id. */
export interface ConnectionInfo {
  /** The address of the socket's peer. */
  readonly remoteAddress?: string | undefined;
  /** Header names and values in turn, as received. */
  readonly rawHeaders?: readonly string[] | undefined;
  /** Whether the server may have dropped header lines. */
  readonly headersTruncated?: boolean | undefined;
  /** The framework's id of the request. */
  readonly requestId?: string | undefined;
}

/** Any function from a Fetch `Request` to a `Response`, such as a handler guarded by `fetchAuth`. */
export type FetchHandler = (request: Request, connection: ConnectionInfo) => Response | PromiseLike<Response>;

/**
 * A fetch handler of this package. Mount it with `expressHandler`, `koaHandler`, `honoHandler`, `fastifyHandler` or
 * `toNodeListener`, or call it directly; pass the connection if the runtime knows it. It never rejects.
 */
export type RequestHandler = (request: Request, connection?: ConnectionInfo) => Promise<Response>;

/**
 * Converts a Fetch request to an {@link AuthRequest}. A `remoteAddress` getter is copied as a getter: it may throw, and
 * must do so inside the verifier.
 */
export function toAuthRequest(
  request: Request,
  connection: ConnectionInfo = {},
  requestId: string | undefined = connection.requestId,
): AuthRequest {
  const { rawHeaders, headersTruncated } = connection;
  const { headers, method } = request;
  const getAddress = Object.getOwnPropertyDescriptor(connection, "remoteAddress")?.get;
  const result = {
    headers,
    rawHeaders,
    headersTruncated,
    remoteAddress: getAddress === undefined ? connection.remoteAddress : undefined,
    method,
    path: new URL(request.url).pathname,
    requestId,
  };
  return getAddress === undefined
    ? result
    : Object.defineProperty(result, "remoteAddress", { get: getAddress, enumerable: true });
}

/** Returns the request id of a handler's response; see {@link resolveRequestId}. */
export function fetchRequestId(request: Request, connection?: ConnectionInfo): string {
  return resolveRequestId({ headers: request.headers, requestId: connection?.requestId });
}

/**
 * Returns a response with more headers. The same response is returned if there are none, and for a 101, which cannot be
 * copied.
 */
export function withHeaders(response: Response, headers: Readonly<Record<string, string>>): Response {
  const names = Object.keys(headers);
  if (names.length === 0 || response.status === 101) return response;
  const copy = new Response(response.body, response); // headers of some responses are immutable
  for (const name of names) copy.headers.set(name, headers[name] as string);
  return copy;
}
