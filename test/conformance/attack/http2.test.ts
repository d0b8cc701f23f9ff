import { createServer, type Http2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import Fastify from "fastify";
import { Hono } from "hono";
import Koa from "koa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fastifyAuth, fastifyHandler } from "../../../src/adapters/fastify.js";
import { fetchAuth } from "../../../src/adapters/fetch.js";
import { honoAuth, honoHandler } from "../../../src/adapters/hono.js";
import { koaAuth, koaHandler } from "../../../src/adapters/koa.js";
import { nodeAuth, toNodeListener } from "../../../src/adapters/node.js";
import { secrets, verifierBehind } from "../../unit/adapters/fixtures.js";
import { type Field, type Http2Request, sendHttp2 } from "./http2.js";
import { apiBehind, managedState } from "./world.js";

const verifier = verifierBehind("none");
const { reader, writer, local } = secrets;
const api = apiBehind("none").handler;
const isManaged = (path: string | undefined) => path?.startsWith("/manage/") === true;

/** Every guard that works over HTTP/2, with the management API at `/manage`. */
const servers: Readonly<Record<string, () => Promise<Http2Server> | Http2Server>> = {
  "node:http2": () => {
    const guarded = nodeAuth(verifier)("vehicles:read", (req, res) => res.end(req.auth.ownerId));
    const mounted = toNodeListener(api);
    return createServer((req, res) => {
      const listener = isManaged(req.url) ? mounted : guarded;
      void listener(...([req, res] as unknown as Parameters<typeof mounted>));
    });
  },
  "fetch on node:http2": () => {
    const guarded = fetchAuth(verifier)("vehicles:read", (request, { auth: { ownerId } }) => {
      return new Response(`${ownerId} ${new URL(request.url).host}`);
    });
    const listener = toNodeListener((request, connection) =>
      (isManaged(new URL(request.url).pathname) ? api : guarded)(request, connection),
    );
    return createServer((req, res) => {
      void listener(...([req, res] as unknown as Parameters<typeof listener>));
    });
  },
  Koa: () => {
    const app = new Koa();
    app.silent = true;
    const [guard, mounted] = [koaAuth(verifier)("vehicles:read"), koaHandler(api)];
    app.use((ctx, next) => (isManaged(ctx.path) ? mounted : guard)(ctx, next));
    app.use((ctx) => {
      if (!isManaged(ctx.path)) ctx.body = ctx.state.auth.ownerId;
    });
    return createServer(app.callback());
  },
  Hono: () => {
    const app = new Hono();
    app.all("/manage/*", honoHandler(api));
    app.all("/vehicles", honoAuth(verifier)("vehicles:read"), (c) => c.text(c.var.auth.ownerId));
    return createAdaptorServer({ fetch: app.fetch, createServer }) as Http2Server;
  },
  Fastify: async () => {
    const app = Fastify({ http2: true });
    const auth = fastifyAuth(verifier);
    await app.register(auth.plugin);
    await app.register(fastifyHandler(api), { prefix: "/manage" });
    const onRequest = auth("vehicles:read") as never; // its type is that of HTTP/1.1
    app.all("/vehicles", { onRequest }, ({ auth: { ownerId } }) => ownerId);
    await app.ready();
    return app.server;
  },
};

const bearer = (secret: string): Field => ["authorization", `Bearer ${secret}`];
const head = (method: string, path: string, authority = "fleet.test"): readonly Field[] => [
  [":method", method],
  [":scheme", "http"],
  [":authority", authority],
  [":path", path],
];
const get = (...fields: readonly Field[]): Http2Request => ({
  fields: [...head("GET", "/vehicles"), ...fields],
});

const NEW_KEY = '{"environment":"live","scopes":["vehicles:read"]}';
const ann: Field = ["authorization", "Bearer jwt-ann"];
const json: Field = ["content-type", "application/json"];
const create = (...fields: readonly Field[]): Http2Request => ({
  fields: [...head("POST", "/manage/api-keys"), ...fields],
  body: NEW_KEY,
});

/** A response of the handler with this owner, a response with this code, a broken stream, or anything but the handler. */
type Expected = { readonly owner: string } | { readonly code: string } | "broken" | "unserved";
const code = (name: string): Expected => ({ code: name });
const MISSING = code("missing_credential");
const MALFORMED = code("malformed_credential");

const attacks: readonly (readonly [
  title: string,
  source: string,
  request: Http2Request,
  expected: Expected,
])[] = [
  ["a valid key", "RFC 9113, 8.3.1", get(bearer(reader)), { owner: "reader" }],
  ["no key", "RFC 9113, 8.3.1", get(), MISSING],
  ["a key for loopback", "RFC 9113, 8.3.1", get(bearer(local)), { owner: "local" }],

  // Repeated credentials, of which Node keeps the first
  ["two keys", "RFC 9110, 5.3", get(bearer(reader), bearer(writer)), MALFORMED],
  ["the same key twice", "RFC 9110, 5.3", get(bearer(reader), bearer(reader)), MALFORMED],
  ["a key after an empty credential", "RFC 9110, 5.3", get(["authorization", ""], bearer(reader)), MALFORMED],
  ["a key in the trailers", "RFC 9110, 6.5.1", { ...get(), body: "x", trailers: [bearer(reader)] }, MISSING],
  [
    "another key in the trailers",
    "RFC 9110, 6.5.1",
    { ...get(bearer(reader)), body: "x", trailers: [bearer(writer)] },
    { owner: "reader" },
  ],

  // Invalid fields
  ["a name in upper case", "RFC 9113, 8.2.1", get(["Authorization", `Bearer ${reader}`]), "broken"],
  ["a key as a pseudo-header field", "RFC 9113, 8.3", get([":authorization", `Bearer ${reader}`]), "broken"],
  [
    "a pseudo-header field after a key",
    "RFC 9113, 8.3",
    { fields: [bearer(reader), ...head("GET", "/vehicles")] },
    "broken",
  ],
  [
    "a header line inside a value",
    "RFC 9113, 8.2.1",
    get(["x-a", `b\r\nauthorization: Bearer ${reader}`]),
    MISSING,
  ],
  ["a NUL after the key", "RFC 9113, 8.2.1", get(["authorization", `Bearer ${reader}\0`]), MISSING],
  ["white space around the key", "RFC 9113, 8.2.1", get(["authorization", ` Bearer ${reader} `]), MISSING],
  [
    "a name of Object.prototype",
    "CWE-1321",
    get(["__proto__", `Bearer ${reader}`], ["constructor", "x"]),
    MISSING,
  ],

  // Fields of HTTP/1.1
  ["Transfer-Encoding", "RFC 9113, 8.2.2", get(["transfer-encoding", "chunked"], bearer(reader)), "broken"],
  [
    "Connection that names Authorization",
    "RFC 9113, 8.2.2",
    get(["connection", "authorization"], bearer(reader)),
    "broken",
  ],
  ["an upgrade", "RFC 9113, 8.6", get(["upgrade", "websocket"], bearer(reader)), "broken"],

  // Targets
  [
    "an authority with a path",
    "RFC 9113, 8.3.1",
    { fields: [...head("GET", "/vehicles", "fleet.test/optional?"), bearer(reader)] },
    "broken",
  ],
  [
    "an absolute path",
    "RFC 9113, 8.3.1",
    { fields: [...head("GET", "http://a/vehicles"), bearer(reader)] },
    "broken",
  ],
  ["an empty path", "RFC 9113, 8.3.1", { fields: [...head("GET", ""), bearer(reader)] }, "broken"],
  [
    "a path with dot segments and backslashes",
    "RFC 9113, 8.3.1",
    { fields: head("GET", "/x\\..\\vehicles") },
    "unserved",
  ],
  [
    "CONNECT to another host",
    "RFC 9113, 8.5",
    { fields: [[":method", "CONNECT"], [":authority", "127.0.0.1:1"], bearer(reader)] },
    "unserved",
  ],

  // Incomplete bodies
  [
    "a Content-Length above the length of the body",
    "RFC 9113, 8.1.1",
    create(ann, json, ["content-length", "100"]),
    "broken",
  ],
  [
    "a Content-Length below the length of the body",
    "RFC 9113, 8.1.1",
    create(ann, json, ["content-length", "10"]),
    "broken",
  ],
  ["a body whose stream is reset", "RFC 9113, 8.1.1", { ...create(ann, json), instead: "reset" }, "broken"],
  [
    "a body whose client ends the connection",
    "RFC 9113, 8.1.1",
    { ...create(ann, json), instead: "end" },
    "broken",
  ],
  [
    "a body whose client disconnects",
    "RFC 9113, 8.1.1",
    { ...create(ann, json), instead: "abort" },
    "broken",
  ],
  [
    "a token in the trailers of a request for a new key",
    "RFC 9110, 6.5.1",
    { ...create(json), trailers: [ann] },
    MISSING,
  ],
];

describe.each(Object.entries(servers))("HTTP/2 on %s", (name, start) => {
  let server: Http2Server;
  let port: number;
  let before: string;
  const faults: unknown[] = [];
  const note = (fault: unknown) => void faults.push(fault);

  beforeAll(async () => {
    process.on("unhandledRejection", note).on("uncaughtException", note);
    server = await start();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    port = (server.address() as AddressInfo).port;
    before = await managedState();
  });
  afterAll(async () => {
    await new Promise((resolve) => server.close(resolve));
    process.off("unhandledRejection", note).off("uncaughtException", note);
  });

  test.each(attacks)("%s (%s)", async (_title, _source, request, expected) => {
    const { body, broken } = await sendHttp2(port, request);
    if (expected === "broken") expect([body, broken]).toEqual(["", true]);
    else if (expected === "unserved") expect(body).not.toMatch(/^reader|secret/);
    else if ("owner" in expected) expect(body.split(" ")[0]).toBe(expected.owner);
    else expect(JSON.parse(body)).toMatchObject({ code: expected.code });
    expect(await managedState()).toBe(before);
    expect(faults).toEqual([]);
  });

  test("rejects a second Content-Type, which a proxy may have used", async () => {
    for (const types of [
      [json, ["content-type", "text/plain"]],
      [["content-type", "text/plain"], json],
    ] as const) {
      const { body } = await sendHttp2(port, create(ann, ...types));
      expect(body).not.toContain("secret");
      expect(await managedState()).toBe(before);
    }
  });

  test.runIf(name === "fetch on node:http2")("a handler receives the host of the request", async () => {
    const fields = [...head("GET", "/vehicles", "api.fleet.test:8443"), bearer(reader)];
    expect((await sendHttp2(port, { fields })).body).toBe("reader api.fleet.test:8443");
    const [, , , ...rest] = head("GET", "/vehicles");
    const old: readonly Field[] = [[":method", "GET"], [":scheme", "http"], ...rest, ["host", "old.test"]];
    expect((await sendHttp2(port, { fields: [...old, bearer(reader)] })).body).toBe("reader old.test");
  });
});
