import { connect as connectSocket } from "node:net";

/** A request as it is written onto the socket: header lines stay as they are, order, case and all. */
export interface RawRequest {
  readonly method?: string;
  readonly target?: string;
  readonly version?: "1.0" | "1.1";
  /** Whole lines, such as `Authorization: Bearer …`, without their line ends. */
  readonly headers?: readonly string[];
  readonly body?: string;
  /** The host line's value; `null` leaves the line out. */
  readonly host?: string | null;
  /** The X-Request-Id line's value; `null` leaves the line out. */
  readonly requestId?: string | null;
  /** Sends these bytes instead, as they are. */
  readonly bytes?: string;
}

/** A response as it came from the socket. */
export interface RawResponse {
  readonly statusLine: string;
  readonly status: number;
  /** Header lines in their order and spelling. */
  readonly lines: readonly string[];
  readonly body: string;
}

/** The id that requests carry unless they say otherwise, so that answers can be compared byte by byte. */
export const REQUEST_ID = "case-0001";

/** Writes a request down; one character is one byte. */
export function toBytes(request: RawRequest): Buffer {
  if (request.bytes !== undefined) return Buffer.from(request.bytes, "latin1");
  const { method = "GET", target = "/vehicles", version = "1.1", headers = [], body = "" } = request;
  const { host = "fleet.test", requestId = REQUEST_ID } = request;
  const lines = [`${method} ${target} HTTP/${version}`];
  if (host !== null) lines.push(`Host: ${host}`);
  if (requestId !== null) lines.push(`X-Request-Id: ${requestId}`);
  return Buffer.from(`${[...lines, ...headers].join("\r\n")}\r\n\r\n${body}`, "latin1");
}

/** The same request for a fetch handler that has no socket. */
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

/** A response of a fetch handler in the form that a socket would have given it. */
export async function fromFetchResponse(response: Response, reason: string): Promise<RawResponse> {
  return {
    statusLine: `HTTP/1.1 ${response.status} ${reason}`,
    status: response.status,
    lines: [...response.headers].map(([name, value]) => `${name}: ${value}`),
    body: await response.text(),
  };
}

/** The value of a header of a response; several lines are joined. */
export function header(response: RawResponse, name: string): string | undefined {
  const values = response.lines
    .filter((line) => line.slice(0, line.indexOf(":")).toLowerCase() === name.toLowerCase())
    .map((line) => line.slice(line.indexOf(":") + 1).trim());
  return values.length === 0 ? undefined : values.join(", ");
}

/** One socket, for as many requests as a test likes. */
export interface Connection {
  write(bytes: Buffer | string): void;
  /** The next response, or `undefined` when the server closed the connection instead. */
  read(method?: string): Promise<RawResponse | undefined>;
  /** Sends nothing more, but still reads. */
  end(): void;
  close(): void;
}

const PATIENCE_MS = 30_000;

/** Opens a connection to this machine. */
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
  socket.on("error", () => {}); // a reset is a close
  socket.on("close", () => {
    closed = true;
    wake();
  });
  return {
    write: (bytes) => void socket.write(bytes),
    end: () => void socket.end(),
    close: () => void socket.destroy(),
    async read(method = "GET") {
      const deadline = AbortSignal.timeout(PATIENCE_MS);
      while (true) {
        const taken = take(received, method, closed);
        if (taken !== undefined) {
          received = taken.rest;
          return taken.response;
        }
        if (closed) return undefined;
        await new Promise<void>((resolve, reject) => {
          wake = resolve;
          deadline.onabort = () =>
            reject(new Error(`No whole response; received: ${received.slice(0, 500)}`));
        });
      }
    },
  };
}

/** Sends one request over a connection of its own. */
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

/** Takes one response off the front of what was received, interim ones (RFC 9110, 15.2) aside. */
function take(
  received: string,
  method: string,
  closed: boolean,
): { response: RawResponse; rest: string } | undefined {
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const [statusLine = "", ...lines] = received.slice(0, end).split("\r\n");
  const status = Number(statusLine.split(" ")[1]);
  const rest = received.slice(end + 4);
  if (status >= 100 && status < 200) return take(rest, method, closed);
  const head = { statusLine, status, lines };
  if (method === "HEAD" || status === 204 || status === 304) return { response: { ...head, body: "" }, rest };

  const response = { ...head, body: "" };
  const length = header(response, "content-length");
  if (header(response, "transfer-encoding") === "chunked") {
    const chunks = takeChunks(rest);
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
function takeChunks(text: string): { body: string; rest: string } | undefined {
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
