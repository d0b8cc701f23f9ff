import fastifyAuthPlugin from "@fastify/auth";
import Fastify from "fastify";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DeniedError, fastifyAuth } from "../../../src/adapters/fastify.js";
import { service } from "../../unit/core/fixtures.js";

const { manager, verifier } = service();

describe("auth.check in @fastify/auth", () => {
  const app = Fastify();
  let secret = "";

  beforeAll(async () => {
    const key = { ownerId: "acme", environment: "live", scopes: ["vehicles:read"] } as const;
    secret = (await manager.create(key)).secret;
    const auth = fastifyAuth(verifier);
    const session = async (request: { headers: Record<string, unknown> }) => {
      if (request.headers.cookie !== "session=1")
        throw Object.assign(new Error("no session"), { statusCode: 401 });
    };
    await app.register(fastifyAuthPlugin);
    await app.register(auth.plugin);
    const owner = (request: { auth?: { ownerId: string } }) => ({
      owner: request.auth?.ownerId ?? "session",
    });
    app.get("/either", { onRequest: app.auth([auth.check("vehicles:read"), session] as never) }, owner);
    app.get("/key-last", { onRequest: app.auth([session, auth("vehicles:read")] as never) }, owner);
    app.get("/check", { onRequest: auth.check("vehicles:write") }, owner);
    await app.register(async (child) => {
      child.setErrorHandler((error, _request, reply) => {
        if (!(error instanceof DeniedError)) throw error;
        const { status, headers, body } = error.denial;
        return reply.code(status).headers(headers).send(Buffer.from(body));
      });
      child.get("/handled", { onRequest: auth.check("vehicles:read") }, owner);
    });
  });
  afterAll(() => app.close());

  const get = (url: string, headers: Record<string, string> = {}) => app.inject({ url, headers });
  const key = () => ({ authorization: `Bearer ${secret}` });

  it("allows either a key or another strategy", async () => {
    expect((await get("/either", key())).json()).toEqual({ owner: "acme" });
    expect((await get("/either", { cookie: "session=1" })).json()).toEqual({ owner: "session" });
    expect((await get("/either", { cookie: "session=1", authorization: "Bearer x" })).json()).toEqual({
      owner: "session",
    });
    const denied = await get("/either");
    expect([denied.statusCode, denied.json().message]).toEqual([401, "no session"]);
  });

  it("lets the guard itself be the last strategy, which sends the denial", async () => {
    expect((await get("/key-last", { cookie: "session=1" })).json()).toEqual({ owner: "session" });
    expect((await get("/key-last", key())).json()).toEqual({ owner: "acme" });
    const denied = await get("/key-last");
    expect([denied.statusCode, denied.headers["www-authenticate"]]).toEqual([401, 'Bearer realm="api"']);
    expect(denied.json()).toMatchObject({ code: "missing_credential" });
  });

  it("is an error with the status, the code and the headers of the denial", async () => {
    const denied = await get("/check", key());
    expect([denied.statusCode, denied.headers["www-authenticate"], denied.headers["cache-control"]]).toEqual([
      403,
      'Bearer realm="api", error="insufficient_scope", scope="vehicles:write"',
      "no-store",
    ]);
    expect(denied.json()).toMatchObject({
      code: "insufficient_scope",
      message: "The API key lacks a scope that this request needs.",
    });
  });

  it("has the denial for an error handler", async () => {
    const denied = await get("/handled", { "x-request-id": "r-1" });
    expect(denied.json()).toEqual({
      message: expect.stringContaining("Authentication required"),
      code: "missing_credential",
      requestId: denied.headers["x-request-id"],
    });
  });
});
