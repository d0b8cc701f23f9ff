/**
 * What a verifier looks at, independent of any framework. A guard builds it; build one yourself to verify
 * outside of HTTP, or to write a guard for a framework of your own.
 */
export interface AuthRequest {
  /** The header fields: a `Headers` object, or a record as Node has it. Names compare without case. */
  readonly headers: HeaderLookup | Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Names and values in turn, as `http.IncomingMessage` has them; the only way to see a repeated header. */
  readonly rawHeaders?: readonly string[] | undefined;
  /**
   * Whether the server may have dropped header lines: Node does past `server.maxHeadersCount`, a thousand by
   * default, without a word. A dropped line could be a second credential, or the one that a proxy wrote.
   */
  readonly headersTruncated?: boolean | undefined;
  /** The address of the socket's other end; never a forwarded one. */
  readonly remoteAddress?: string | undefined;
  readonly method?: string | undefined;
  /** The path; a query string is cut off before it reaches an event. */
  readonly path?: string | undefined;
  /** An id that the framework gave the request. */
  readonly requestId?: string | undefined;
}

/** The part of the Fetch standard's `Headers` that is read. */
export interface HeaderLookup {
  /** The value of a header, several joined by commas; `null` for none. */
  get(name: string): string | null;
}

/** The value of a header, a repeated one joined as RFC 9110 section 5.3 has it. `name` is lower case. */
export function headerValue(request: AuthRequest, name: string): string | undefined {
  const { headers } = request;
  if (isHeaderLookup(headers)) return headers.get(name) ?? undefined;
  if (Object.hasOwn(headers, name)) return join(headers[name]);
  for (const key of Object.keys(headers)) if (isNamed(key, name)) return join(headers[key]);
  return undefined;
}

/** How many lines of this header the request came with, as far as can be told. `name` is lower case. */
export function headerCount(request: AuthRequest, name: string): number {
  const { headers, rawHeaders } = request;
  let count = 0;
  if (rawHeaders !== undefined) {
    for (let i = 0; i < rawHeaders.length; i += 2) if (isNamed(rawHeaders[i] as string, name)) count++;
    return count;
  }
  if (isHeaderLookup(headers)) return headers.get(name) === null ? 0 : 1;
  for (const key in headers) {
    if (!isNamed(key, name) || !Object.hasOwn(headers, key)) continue;
    const value = headers[key];
    count += Array.isArray(value) ? value.length : value === undefined ? 0 : 1;
  }
  return count;
}

/** Whether a header of any spelling is the one of this name, which is lower case. */
function isNamed(key: string, name: string): boolean {
  return key === name || (key.length === name.length && key.toLowerCase() === name);
}

const REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/;

/**
 * The id that a refusal, an event and a principal name: the framework's own, else a well-formed
 * `X-Request-Id`, else a fresh one. An id of any other form is never echoed.
 */
export function resolveRequestId(request: AuthRequest): string {
  const { requestId } = request;
  if (typeof requestId === "string" && REQUEST_ID.test(requestId)) return requestId;
  const sent = headerValue(request, "x-request-id");
  return sent !== undefined && REQUEST_ID.test(sent) ? sent : crypto.randomUUID();
}

/** The same request under an id. Member by member, because a request may be of a class with getters. */
export function withRequestId(request: AuthRequest, requestId: string): AuthRequest {
  const { headers, rawHeaders, headersTruncated, remoteAddress, method, path } = request;
  return { headers, rawHeaders, headersTruncated, remoteAddress, method, path, requestId };
}

/** The path without its query, which is where clients put secrets that they should not. */
export function pathOf(request: AuthRequest): string | undefined {
  return request.path?.replace(/[?#].*$/s, "");
}

function isHeaderLookup(headers: AuthRequest["headers"]): headers is HeaderLookup {
  return typeof headers.get === "function";
}

function join(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === "string" || value === undefined ? value : value.join(", ");
}

/** Optional white space around a field value is no part of it (RFC 9110, 5.5). */
export function trimOws(value: string): string {
  let start = 0;
  let end = value.length;
  while (start < end && isOws(value.charCodeAt(start))) start++;
  while (end > start && isOws(value.charCodeAt(end - 1))) end--;
  return start === 0 && end === value.length ? value : value.slice(start, end);
}

function isOws(code: number): boolean {
  return code === 32 || code === 9;
}
