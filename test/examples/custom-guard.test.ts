import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type ClientHttp2Session, connect } from "node:http2";
import { connect as connectSocket } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, it } from "vitest";
import { start } from "../../examples/custom-guard/main.js";
import type { RunningExample } from "../../examples/example.js";

let running: RunningExample;
let session: ClientHttp2Session;
let key: string;
let readKey: string;
let restrictedKey: string;

beforeAll(async () => {
  running = await start();
  ({ key, readKey, restrictedKey } = running.credentials as Record<string, string> as never);
  session = connect(running.credentials.url);
});
afterAll(async () => {
  session.close();
  await running.close();
});

async function send(method: string, path: string, bearer?: string, body?: string) {
  const authorization = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
  const stream = session.request(
    { ":method": method, ":path": path, "x-request-id": "req-1", ...authorization },
    { endStream: body === undefined },
  );
  if (body !== undefined) stream.write(body); // the stream stays open, as in a long upload
  const [[headers], received] = await Promise.all([once(stream, "response"), text(stream)]);
  return { status: headers[":status"], headers, body: received === "" ? undefined : JSON.parse(received) };
}

it("imports only from keybearer/kit", () => {
  const source = readFileSync(new URL("../../examples/custom-guard/guard.ts", import.meta.url), "utf8");
  const imported = [...source.matchAll(/from "(.*)"/g)].map(([, name]) => name);
  expect(new Set(imported)).toEqual(new Set(["node:http2", "keybearer/kit"]));
});

it("allows a key with the scope and adds the headers of the verifier", async () => {
  const { status, headers, body } = await send("GET", "/vehicles", readKey);
  expect([status, body]).toEqual([200, { vehicles: [{ owner: "acme", id: "v1", name: "Truck 1" }] }]);
  expect(headers["ratelimit-policy"]).toBe('"minute";q=60;w=60');
  expect((await send("POST", "/vehicles", key)).status).toBe(201);
});

it("sends a challenge and the common body without a key", async () => {
  const denied = await send("GET", "/vehicles");
  expect([denied.status, denied.body]).toEqual([
    401,
    {
      message: "Authentication required. Provide a valid API key via Authorization: Bearer <token>",
      code: "missing_credential",
      requestId: "req-1",
    },
  ]);
  expect(denied.headers).toMatchObject({
    "www-authenticate": 'Bearer realm="api"',
    "cache-control": "no-store",
    "content-type": "application/json",
    "x-request-id": "req-1",
  });
});

it("denies invalid keys, missing scopes and addresses outside the allowlist", async () => {
  const unknown = await send("GET", "/vehicles", `${readKey.slice(0, -1)}_`);
  expect([unknown.status, unknown.body.code]).toEqual([401, "invalid_key"]);
  const scope = await send("POST", "/vehicles", readKey);
  expect([scope.status, scope.body.missingScopes]).toEqual([403, ["vehicles:write"]]);
  const network = await send("GET", "/vehicles", restrictedKey);
  expect([network.status, network.body.code]).toEqual([403, "ip_not_allowed"]);
});

it("sends no body in responses to HEAD", async () => {
  const denied = await send("HEAD", "/vehicles");
  expect([denied.status, denied.body]).toEqual([401, undefined]);
  expect(Number(denied.headers["content-length"])).toBeGreaterThan(0);
  expect((await send("HEAD", "/vehicles", readKey)).status).toBe(200);
});

it("denies an upload without waiting for its body", async () => {
  const { status, body } = await send("POST", "/vehicles", readKey, "x".repeat(1_000_000));
  expect([status, body.code]).toEqual([403, "insufficient_scope"]);
  expect((await send("GET", "/vehicles", readKey)).status).toBe(200);
});

it("rejects a second Authorization header", async () => {
  const lines = [`Bearer ${readKey}`, "Bearer x"];
  expect(await sendRaw(lines)).toContain('"code":"malformed_credential"');
  expect(await sendRaw(lines.slice(0, 1))).toContain("Truck 1");
});

it("responds to unknown routes with 404", async () => {
  const { status, body } = await send("GET", "/drivers", readKey);
  expect([status, body.code]).toEqual([404, "not_found"]);
});

/** Sends one request as HTTP/2 frames, because clients do not repeat the header. Returns the received bytes. */
async function sendRaw(authorization: readonly string[]): Promise<string> {
  const { hostname, port } = new URL(running.credentials.url);
  const socket = connectSocket(Number(port), hostname);
  const fields = [
    [":method", "GET"],
    [":scheme", "http"],
    [":path", "/vehicles"],
    [":authority", "localhost"],
    ...authorization.map((value) => ["authorization", value]),
  ];
  // RFC 7541, section 6.2.2: literal header fields without indexing, with literal names
  const block = Buffer.concat(
    fields.map(([name = "", value = ""]) =>
      Buffer.concat([
        Buffer.from([0, name.length]),
        Buffer.from(name),
        Buffer.from([value.length]),
        Buffer.from(value),
      ]),
    ),
  );
  const SETTINGS = 4;
  const HEADERS = 1;
  const END_STREAM_AND_HEADERS = 5;
  socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  socket.write(frame(SETTINGS, 0, 0, Buffer.alloc(0)));
  socket.write(frame(HEADERS, END_STREAM_AND_HEADERS, 1, block));
  let received = "";
  for await (const chunk of socket) {
    received += chunk.toString("latin1");
    if (received.includes("}")) break; // the end of the body
  }
  return received;
}

/** Returns a frame (RFC 9113, section 4.1). */
function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}
