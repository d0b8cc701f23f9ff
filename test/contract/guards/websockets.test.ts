import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { text } from "node:stream/consumers";
import websocketPlugin from "@fastify/websocket";
import { serve, upgradeWebSocket } from "@hono/node-server";
import Fastify from "fastify";
import { Hono } from "hono";
import { Server as SocketServer } from "socket.io";
import { io } from "socket.io-client";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { fastifyAuth } from "../../../src/adapters/fastify.js";
import { honoAuth } from "../../../src/adapters/hono.js";
import { fromIncoming, nodeAuth } from "../../../src/adapters/node.js";
import { createGuard, type KeyStore } from "../../../src/kit.js";
import { type FleetScope, service } from "../../unit/core/fixtures.js";

const { store, manager, verifier, events } = service();
const issue = async (scope: FleetScope) =>
  (await manager.create({ ownerId: "acme", environment: "live", scopes: [scope] })).secret;

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function listen(server: Server): Promise<number> {
  await once(server.listen(0, "127.0.0.1"), "listening");
  closers.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

/** Opens a WebSocket. Returns its first message, or the response that denied it. */
async function open(port: number, secret?: string): Promise<unknown> {
  const headers = secret === undefined ? {} : { authorization: `Bearer ${secret}` };
  const socket = new WebSocket(`ws://127.0.0.1:${port}/vehicles`, { headers });
  closers.push(() => socket.terminate());
  return new Promise((resolve, reject) => {
    socket.on("message", (data) => resolve(`${data}`));
    socket.on("unexpected-response", async (_, response) => {
      const { "www-authenticate": challenge } = response.headers;
      const body = await text(response); // @hono/node-server sends none
      resolve({ status: response.statusCode, challenge, ...(body && { code: JSON.parse(body).code }) });
      socket.on("error", () => {});
      socket.terminate();
    });
    socket.on("error", reject);
  });
}

const servers: Readonly<Record<string, () => Promise<number>>> = {
  async "ws with nodeAuth"() {
    const webSockets = new WebSocketServer({ noServer: true });
    webSockets.on("connection", (socket, req) =>
      socket.send((req as never as { auth: { ownerId: string } }).auth.ownerId),
    );
    const server = createServer();
    server.on(
      "upgrade",
      nodeAuth(verifier).upgrade("vehicles:read", (req, socket, head) =>
        webSockets.handleUpgrade(req, socket, head, (ws) => webSockets.emit("connection", ws, req)),
      ),
    );
    return listen(server);
  },

  async "@fastify/websocket"() {
    const auth = fastifyAuth(verifier);
    const app = Fastify();
    await app.register(websocketPlugin);
    await app.register(auth.plugin);
    app.get("/vehicles", { websocket: true, onRequest: auth("vehicles:read") }, (socket, request) =>
      socket.send(request.auth.ownerId),
    );
    await app.listen({ port: 0, host: "127.0.0.1" });
    closers.push(() => app.close());
    return (app.server.address() as AddressInfo).port;
  },

  async "Hono on Node"() {
    const app = new Hono();
    const auth = honoAuth(verifier);
    app.get(
      "/vehicles",
      auth("vehicles:read"),
      upgradeWebSocket((c) => ({ onOpen: (_, ws) => ws.send(c.get("auth").ownerId) })),
    );
    const server = serve({
      fetch: app.fetch,
      port: 0,
      hostname: "127.0.0.1",
      websocket: { server: new WebSocketServer({ noServer: true }) as never }, // its types lack undefined
    }) as Server;
    await once(server, "listening");
    closers.push(() => server.close());
    return (server.address() as AddressInfo).port;
  },
};

describe.each(Object.entries(servers))("WebSockets of %s", (name, start) => {
  it("open with a key, and are denied like requests", async () => {
    const port = await start();
    expect(await open(port, await issue("vehicles:read"))).toBe("acme");
    const hasBody = name !== "Hono on Node";
    expect(await open(port)).toEqual({
      status: 401,
      challenge: 'Bearer realm="api"',
      ...(hasBody && { code: "missing_credential" }),
    });
    expect(await open(port, await issue("drivers:read"))).toMatchObject({
      status: 403,
      ...(hasBody && { code: "insufficient_scope" }),
    });
  });
});

describe("nodeAuth().upgrade", () => {
  /** Sends an upgrade request, and returns everything that is received until the socket closes. */
  const exchange = async (port: number, lines: readonly string[] = []): Promise<string> => {
    const socket = connect(port, "127.0.0.1");
    const head = ["GET /vehicles HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: websocket", ...lines];
    socket.write(`${head.join("\r\n")}\r\n\r\n`);
    return text(socket);
  };

  it("closes the socket after a denial, with the response of other guards", async () => {
    const server = createServer();
    server.on(
      "upgrade",
      nodeAuth(verifier).upgrade("vehicles:read", () => expect.unreachable()),
    );
    const port = await listen(server);
    const received = await exchange(port, ["X-Request-Id: case-1", "Accept: application/problem+json"]);
    const [head, body] = received.split("\r\n\r\n");
    expect(head?.split("\r\n")).toEqual([
      "HTTP/1.1 401 Unauthorized",
      "cache-control: no-store",
      `content-length: ${Buffer.byteLength(body as string)}`,
      "content-type: application/problem+json",
      'www-authenticate: Bearer realm="api"',
      "x-request-id: case-1",
      "connection: close",
    ]);
    expect(JSON.parse(body as string)).toMatchObject({ code: "missing_credential", requestId: "case-1" });
  });

  it("rejects two Authorization headers", async () => {
    const server = createServer();
    server.on(
      "upgrade",
      nodeAuth(verifier).upgrade(() => expect.unreachable()),
    );
    const line = `Authorization: Bearer ${await issue("vehicles:read")}`;
    expect(await exchange(await listen(server), [line, line])).toContain("malformed_credential");
  });

  it("survives a client that resets the connection during the lookup, and does not call the listener", async () => {
    let [release, call] = [() => {}, () => {}];
    const called = new Promise<void>((resolve) => {
      call = resolve;
    });
    const slow: KeyStore = {
      findByHash: (hash) =>
        new Promise((resolve) => {
          release = () => resolve(store.findByHash(hash));
          call();
        }),
    };
    const held = service({ store: slow });
    let calls = 0;
    const server = createServer();
    const listener = nodeAuth(held.verifier).upgrade(() => void calls++);
    let ended: Promise<unknown> | undefined;
    server.on("upgrade", (req, socket, head) => {
      ended = listener(req, socket, head);
    });
    const client = connect(await listen(server), "127.0.0.1");
    client.write(
      `GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: Bearer ${await issue("vehicles:read")}\r\n\r\n`,
    );
    await called;
    client.resetAndDestroy();
    await new Promise((resolve) => setTimeout(resolve, 20));
    release();
    await ended;
    expect(calls).toBe(0);
  });

  it("rejects a missing listener", () => {
    expect(() => nodeAuth(verifier).upgrade("vehicles:read", undefined as never)).toThrow(TypeError);
    expect(() => nodeAuth(verifier).upgrade("vehicles:rea" as never, () => {})).toThrow(TypeError);
  });
});

describe("Socket.IO", () => {
  it("accepts handshakes with a key, and closes sockets of a revoked key", async () => {
    const server = createServer();
    const sockets = new SocketServer(server);
    const check = createGuard(verifier)("vehicles:read");
    sockets.use(async (socket, next) => {
      const request = fromIncoming(socket.request);
      const outcome = await check(request);
      if (!outcome.pass)
        return next(Object.assign(new Error("denied"), { data: JSON.parse(outcome.denial.body) }));
      const timer = setInterval(async () => {
        if (!(await check(request)).pass) socket.disconnect(true);
      }, 20);
      socket.on("disconnect", () => clearInterval(timer));
      socket.data.ownerId = outcome.principal?.ownerId;
      next();
    });
    sockets.on("connection", (socket) => socket.emit("owner", socket.data.ownerId));
    const url = `http://127.0.0.1:${await listen(server)}`;
    closers.push(() => sockets.close());
    const open = (secret: string) => {
      const client = io(url, {
        transports: ["websocket"],
        reconnection: false,
        forceNew: true,
        extraHeaders: { authorization: `Bearer ${secret}` },
      });
      closers.push(() => client.close());
      return client;
    };
    const { secret, key } = await manager.create({
      ownerId: "acme",
      environment: "live",
      scopes: ["vehicles:read"],
    });
    const client = open(secret);
    expect(await new Promise((resolve) => client.on("owner", resolve))).toBe("acme");
    const denied = open(`${secret}x`);
    expect(await new Promise((resolve) => denied.on("connect_error", resolve))).toMatchObject({
      message: "denied",
      data: { code: "invalid_key" },
    });
    const closed = new Promise((resolve) => client.on("disconnect", resolve));
    await manager.revoke(key.id);
    expect(await closed).toBe("io server disconnect");
    expect(events.some((event) => event.type === "auth.denied")).toBe(true);
  });
});
