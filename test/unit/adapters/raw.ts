import { connect as connectSocket } from "node:net";

/** A request as written to the socket. Header lines keep their order and case. */
export interface RawRequest {
  readonly method?: string;
  readonly target?: string;
  readonly version?: "1.0" | "1.1";
  /** Complete lines, such as `Authorization: Bearer …`, without line ends. */
  readonly headers?: readonly string[];
  readonly body?: string;
  /** The value of the Host line; `null` omits the line. */
  readonly host?: string | null;
  /** The value of the X-Request-Id line; `null` omits the line. */
  readonly requestId?: string | null;
  /** Sends these bytes instead. */
  readonly bytes?: string;
}

/** A response as read from the socket. */
export interface RawResponse {
  readonly statusLine: string;
  readonly status: number;
  /** Header lines in their original order and case. */
  readonly lines: readonly string[];
  readonly body: string;
}

/** The default request id, so that responses can be compared byte by byte. */
export const REQUEST_ID = "case-0001";

/** Serializes a request; one character is one byte. */
export function toBytes(request: RawRequest): Buffer {
  if (request.bytes !== undefined) return Buffer.from(request.bytes, "latin1");
  const { method = "GET", target = "/vehicles", version = "1.1", headers = [], body = "" } = request;
  const { host = "fleet.test", requestId = REQUEST_ID } = request;
  const lines = [`${method} ${target} HTTP/${version}`];
  if (host !== null) lines.push(`Host: ${host}`);
  if (requestId !== null) lines.push(`X-Request-Id: ${requestId}`);
  return Buffer.from(`${[...lines, ...headers].join("\r\n")}\r\n\r\n${body}`, "latin1");
}

/** Converts a request for a fetch handler without a socket. */
export function toFetchRequest(request: RawRequest): Request {
  const { method = "GET", target = "/vehicles", headers = [], body } = request;
  const { host = "fleet.test", requestId = REQUEST_ID } = request;
  if (request.bytes !== undefined) throw new Error("bytes cannot be a Request");
  const list = new Headers();
  if (requestId !== null) list.append("X-Request-Id", requestId);
  for (const line of headers) {
    const colon = line.indexOf(":");
    list.append(line.slice(0, colon), line.slice(colon + 1));
  }
  const init = { method, headers: list, ...(body && { body }) };
  return new Request(`http://${host}${target}`, init);
}

/** Converts the response of a fetch handler. */
export async function fromFetchResponse(response: Response, reason: string): Promise<RawResponse> {
  return {
    statusLine: `HTTP/1.1 ${response.status} ${reason}`,
    status: response.status,
    lines: [...response.headers].map(([name, value]) => `${name}: ${value}`),
    body: await response.text(),
  };
}

/** Returns the value of a header; several lines are joined. */
export function header(response: RawResponse, name: string): string | undefined {
  const values = response.lines
    .filter((line) => line.slice(0, line.indexOf(":")).toLowerCase() === name.toLowerCase())
    .map((line) => line.slice(line.indexOf(":") + 1).trim());
  return values.length === 0 ? undefined : values.join(", ");
}

/** One socket, for any number of requests. */
export interface Connection {
  write(bytes: Buffer | string): void;
  /** Returns the next response, or `undefined` if the server closed the connection. */
  read(method?: string): Promise<RawResponse | undefined>;
  /** Half-closes the connection. */
  end(): void;
  close(): void;
}

const READ_TIMEOUT_MS = 30_000;

/** Opens a connection to localhost. */
export function connect(port: number, host = "127.0.0.1"): Connection {
  const socket = connectSocket({ port, host });
  let received = "";
  let closed = false;
  let wake = () => {};
  socket.setNoDelay(true);
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
    wake();
  });
  socket.on("error", () => {}); // followed by "close"
  socket.on("close", () => {
    closed = true;
    wake();
  });
  return {
    write: (bytes) => void socket.write(bytes),
    end: () => void socket.end(),
    close: () => void socket.destroy(),
    async read(method = "GET") {
      const deadline = AbortSignal.timeout(READ_TIMEOUT_MS);
      while (true) {
        const parsed = parseResponse(received, method, closed);
        if (parsed !== undefined) {
          received = parsed.rest;
          return parsed.response;
        }
        if (closed) return undefined;
        await new Promise<void>((resolve, reject) => {
          wake = resolve;
          deadline.onabort = () =>
            reject(new Error(`Incomplete response; received: ${received.slice(0, 500)}`));
        });
      }
    },
  };
}

/** Sends one request over a new connection. */
export async function send(
  port: number,
  request: RawRequest,
  host?: string,
): Promise<RawResponse | undefined> {
  const connection = connect(port, host);
  try {
    connection.write(toBytes(request));
    return await connection.read(request.bytes?.split(" ")[0] ?? request.method);
  } finally {
    connection.close();
  }
}

/** Parses the first response, skipping interim responses (RFC 9110, 15.2). */
function parseResponse(
  received: string,
  method: string,
  closed: boolean,
): { response: RawResponse; rest: string } | undefined {
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const [statusLine = "", ...lines] = received.slice(0, end).split("\r\n");
  const status = Number(statusLine.split(" ")[1]);
  const rest = received.slice(end + 4);
  if (status >= 100 && status < 200) return parseResponse(rest, method, closed);
  const head = { statusLine, status, lines };
  if (method === "HEAD" || status === 204 || status === 304) return { response: { ...head, body: "" }, rest };

  const response = { ...head, body: "" };
  const length = header(response, "content-length");
  if (header(response, "transfer-encoding") === "chunked") {
    const chunks = parseChunks(rest);
    return chunks && { response: { ...head, body: decode(chunks.body) }, rest: chunks.rest };
  }
  if (length !== undefined) {
    const size = Number(length);
    if (rest.length < size) return undefined;
    return { response: { ...head, body: decode(rest.slice(0, size)) }, rest: rest.slice(size) };
  }
  return closed ? { response: { ...head, body: decode(rest) }, rest: "" } : undefined;
}

/** RFC 9112, section 7.1, without trailers. */
function parseChunks(text: string): { body: string; rest: string } | undefined {
  let body = "";
  let at = 0;
  while (true) {
    const line = text.indexOf("\r\n", at);
    if (line < 0) return undefined;
    const size = Number.parseInt(text.slice(at, line), 16);
    const next = line + 2 + size;
    if (text.length < next + 2) return undefined;
    body += text.slice(line + 2, next);
    at = next + 2;
    if (size === 0) return { body, rest: text.slice(at) };
  }
}

function decode(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString("utf8");
}
