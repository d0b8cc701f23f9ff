import { createServer, type Http2Server, type ServerHttp2Stream } from "node:http2";
import type { ScopeName, Verifier } from "keybearer";
import { http2Auth, type StreamListener } from "./guard.js";
import type { scopes } from "./scopes.js";

const VEHICLES = [
  { owner: "acme", id: "v1", name: "Truck 1" },
  { owner: "borealis", id: "v2", name: "Truck 2" },
];

/** Creates an HTTP/2 server without TLS. */
export function createFleetServer(verifier: Verifier<ScopeName<typeof scopes>>): Http2Server {
  const auth = http2Auth(verifier);

  const listVehicles = auth("vehicles:read")((stream, { auth, headers }) => {
    const vehicles = VEHICLES.filter(({ owner }) => owner === auth?.ownerId);
    respond(stream, 200, { vehicles }, headers);
  });
  const createVehicle = auth("vehicles:write")((stream, { headers }) => {
    respond(stream, 201, { id: "v3" }, headers);
  });
  const routes = new Map([
    ["GET /vehicles", listVehicles],
    ["HEAD /vehicles", listVehicles],
    ["POST /vehicles", createVehicle],
  ]);

  const onStream: StreamListener = async (stream, headers, flags, rawHeaders) => {
    stream.on("error", () => {}); // without a listener, a reset by the client would end the process
    const route = routes.get(`${headers[":method"]} ${headers[":path"]}`);
    if (route === undefined) {
      respond(stream, 404, { message: "There is no such route.", code: "not_found" });
      return;
    }
    await route(stream, headers, flags, rawHeaders);
  };
  return createServer().on("stream", onStream);
}

function respond(
  stream: ServerHttp2Stream,
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  stream.respond({ ":status": status, "content-type": "application/json", ...headers });
  if (!stream.writableEnded) stream.end(JSON.stringify(body));
}
