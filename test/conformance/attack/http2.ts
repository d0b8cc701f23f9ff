import { connect } from "node:net";

/** A header field as sent. */
export type Field = readonly [name: string, value: string];

/** An HTTP/2 request, encoded frame by frame, because the client of Node rejects most of these. */
export interface Http2Request {
  readonly fields: readonly Field[];
  readonly body?: string;
  readonly trailers?: readonly Field[];
  /** What the client does instead of ending the request. */
  readonly instead?: "reset" | "end" | "abort";
}

/** The response. */
export interface Http2Response {
  readonly body: string;
  /** Whether the stream was reset or the connection closed before the end of the response. */
  readonly broken: boolean;
}

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const GOAWAY = 7;
const END_STREAM = 1;
const END_HEADERS = 4;
const CANCEL = 8;
const STREAM = 1;
const HEAD_BYTES = 9;

/** RFC 9113, 4.1 */
function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** RFC 7541, 5.1 and 5.2: a string without Huffman code. */
function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  const length: number[] = [Math.min(bytes.length, 127)];
  if (bytes.length >= 127) {
    let rest = bytes.length - 127;
    for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}

/** RFC 7541, 6.2.2: literal fields without indexing. */
const block = (fields: readonly Field[]): Buffer =>
  Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));

function framesOf({ fields, body, trailers, instead }: Http2Request): Buffer {
  const isWhole = instead === undefined;
  const flags = (last: boolean) => END_HEADERS + (last && isWhole ? END_STREAM : 0);
  const frames = [
    Buffer.from(PREFACE, "latin1"),
    frame(SETTINGS, 0, 0),
    frame(HEADERS, flags(body === undefined && trailers === undefined), STREAM, block(fields)),
  ];
  if (body !== undefined) {
    frames.push(
      frame(DATA, isWhole && trailers === undefined ? END_STREAM : 0, STREAM, Buffer.from(body, "latin1")),
    );
  }
  if (trailers !== undefined) frames.push(frame(HEADERS, flags(true), STREAM, block(trailers)));
  return Buffer.concat(frames);
}

const TIMEOUT_MS = 10_000;

/** Sends a request on a new connection and returns the response. */
export function sendHttp2(port: number, request: Http2Request): Promise<Http2Response> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1" });
    let received = Buffer.alloc(0);
    let body = "";
    const done = (broken: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ body, broken });
    };
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error("no complete response"));
    }, TIMEOUT_MS);
    socket.on("error", () => {}); // a reset is a close
    socket.on("close", () => done(true));
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= HEAD_BYTES) {
        const length = received.readUIntBE(0, 3);
        if (received.length < HEAD_BYTES + length) return;
        const payload = received.subarray(HEAD_BYTES, HEAD_BYTES + length);
        const [type, flags] = [received[3], received[4] as number];
        received = received.subarray(HEAD_BYTES + length);
        if (type === DATA) body += payload.toString("utf8");
        if (type === RST_STREAM || type === GOAWAY) return done(true);
        if ((type === DATA || type === HEADERS) && (flags & END_STREAM) !== 0) return done(false);
      }
    });
    socket.write(framesOf(request));
    if (request.instead === undefined) return;
    // After the server has started to read the body.
    setTimeout(() => {
      if (request.instead === "end") socket.end();
      if (request.instead === "abort") socket.resetAndDestroy();
      if (request.instead === "reset")
        socket.end(frame(RST_STREAM, 0, STREAM, Buffer.from([0, 0, 0, CANCEL])));
    }, 50);
  });
}
