/**
 * The parts of a request that a verifier reads, independent of the framework. Guards create it; create one yourself to
 * verify without a guard.
 */
export interface AuthRequest {
  /** The headers: a `Headers` object, or an object as in Node. Names are case-insensitive. */
  readonly headers: HeaderLookup | Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Alternating names and values, as in `http.IncomingMessage`. Without them, repeated headers may not be visible. */
  readonly rawHeaders?: readonly string[] | undefined;
  /**
   * Whether the server may have dropped header lines. Node silently drops lines past `server.maxHeadersCount` (1000 by
   * default); a dropped line may be a second credential or the forwarding header of a proxy. By default, `rawHeaders` are
   * counted. Set it to `false` for an object of headers without `rawHeaders`: behind a trusted proxy, the client address is
   * otherwise unknown.
   */
  readonly headersTruncated?: boolean | undefined;
  /** The address of the other end of the socket, never a forwarded address. */
  readonly remoteAddress?: string | undefined;
  readonly method?: string | undefined;
  /**
   * The path without the query. Guards remove it, and the scheme and host of an absolute-form target. It is not decoded, and
   * dot segments and repeated slashes stay.
   */
  readonly path?: string | undefined;
  /** The request id of the framework. */
  readonly requestId?: string | undefined;
}

// Node's MAX_HEADER_PAIRS, the limit while `server.maxHeadersCount` is null.
const MAX_HEADER_LINES = 1_000;

/** Whether Node may have dropped header lines. `maxLines` is the limit of the server; 0 stands for none. */
export function mayLackLines(rawHeaders: readonly string[], maxLines: number = MAX_HEADER_LINES): boolean {
  return maxLines > 0 && rawHeaders.length >= maxLines * 2;
}

/** Whether header lines may be missing, as far as the request shows. */
export function isTruncated({ headersTruncated, rawHeaders }: AuthRequest): boolean {
  return headersTruncated ?? (rawHeaders !== undefined && mayLackLines(rawHeaders));
}

/** Whether the request shows or says that no header line is missing. */
export function isComplete(request: AuthRequest): boolean {
  const { headersTruncated, rawHeaders, headers } = request;
  const isKnown = headersTruncated !== undefined || rawHeaders !== undefined || isHeaderLookup(headers);
  return isKnown && !isTruncated(request);
}

/** The part of the Fetch standard's `Headers` that is used. */
export interface HeaderLookup {
  /** Returns the value of a header, several values joined by commas; `null` if it is missing. */
  get(name: string): string | null;
}

/** The pattern of a header name, scheme or parameter name: token of RFC 9110, 5.6.2. */
export const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";

/** Returns the value of a header, repeated values joined by commas (RFC 9110, 5.3). `name` is lower case. */
export function headerValue(request: AuthRequest, name: string): string | undefined {
  const { headers } = request;
  if (isHeaderLookup(headers)) return headers.get(name) ?? undefined;
  if (Object.hasOwn(headers, name)) return join(headers[name]);
  for (const key of Object.keys(headers)) if (isNamed(key, name)) return join(headers[key]);
  return undefined;
}

/** Stands for a header that was sent in more than one line. */
export const REPEATED: unique symbol = Symbol("repeated");

/** Returns the value of a header that must not be repeated, as far as the request shows its lines. `name` is lower case. */
export function singleHeader(request: AuthRequest, name: string): string | undefined | typeof REPEATED {
  const { headers, rawHeaders } = request;
  if (rawHeaders !== undefined) {
    let lines = 0;
    for (let i = 0; i < rawHeaders.length; i += 2) if (isNamed(rawHeaders[i] as string, name)) lines++;
    return lines > 1 ? REPEATED : headerValue(request, name);
  }
  if (isHeaderLookup(headers)) return headers.get(name) ?? undefined;
  let found: string | undefined;
  for (const key in headers) {
    if (!isNamed(key, name) || !Object.hasOwn(headers, key)) continue;
    const value = headers[key];
    if (value === undefined) continue;
    if (found !== undefined || (typeof value !== "string" && value.length > 1)) return REPEATED;
    found = join(value);
  }
  return found;
}

/** Whether `key`, in any case, is the header `name`, which is lower case. */
function isNamed(key: string, name: string): boolean {
  return key === name || (key.length === name.length && key.toLowerCase() === name);
}

const REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/;

/**
 * Returns the request id for responses, events and principals: the id of the framework, or a well-formed `X-Request-Id`
 * of the client, or a new UUID. Other values are never echoed.
 */
export function resolveRequestId(request: AuthRequest): string {
  const { requestId } = request;
  if (typeof requestId === "string" && REQUEST_ID.test(requestId)) return requestId;
  const sent = headerValue(request, "x-request-id");
  return sent !== undefined && REQUEST_ID.test(sent) ? sent : crypto.randomUUID();
}

/** Returns a copy of the request with this id. Members are read one by one, because they may be getters. */
export function withRequestId(request: AuthRequest, requestId: string): AuthRequest {
  const { headers, rawHeaders, headersTruncated, remoteAddress, method, path } = request;
  return { headers, rawHeaders, headersTruncated, remoteAddress, method, path, requestId };
}

/** Returns the path of a request for events. */
export function pathOf({ path }: AuthRequest): string | undefined {
  return path === undefined ? undefined : pathnameOf(path);
}

/**
 * Returns the path of a request target (RFC 9112, 3.2): without query and fragment, where clients may have put a secret,
 * and without the scheme and host of an absolute-form target. It is not decoded, and `*` stays.
 */
export function pathnameOf(target: string): string {
  const path = target.startsWith("/") ? target : target.replace(/^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?#]*/, "");
  return path.replace(/[?#].*/s, "") || "/";
}

function isHeaderLookup(headers: AuthRequest["headers"]): headers is HeaderLookup {
  return typeof headers.get === "function";
}

function join(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === "string" || value === undefined ? value : value.join(", ");
}

/** Removes optional white space around a field value (RFC 9110, 5.5). */
export function trimOws(value: string): string {
  let start = 0;
  let end = value.length;
  while (isOws(value.charCodeAt(start))) start++; // NaN past the end
  while (isOws(value.charCodeAt(end - 1))) end--;
  return value.slice(start, end);
}

function isOws(code: number): boolean {
  return code === 32 || code === 9;
}
