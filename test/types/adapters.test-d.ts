import { createServer } from "node:http";
import Router from "@koa/router";
import express from "express";
import fastify, { type FastifyBaseLogger, type FastifyTypeProvider } from "fastify";
import { Hono } from "hono";
import Koa, { type DefaultState } from "koa";
import { describe, expectTypeOf, test } from "vitest";
import { expressAuth } from "../../src/adapters/express.js";
import { fastifyAuth, fastifyHandler } from "../../src/adapters/fastify.js";
import { fetchAuth } from "../../src/adapters/fetch.js";
import { honoAuth } from "../../src/adapters/hono.js";
import { koaAuth } from "../../src/adapters/koa.js";
import { nestAuth } from "../../src/adapters/nestjs.js";
import { nodeAuth } from "../../src/adapters/node.js";
import type { Principal } from "../../src/index.js";
import { type Known, verifier } from "./fixtures.js";

describe("express", () => {
  const auth = expressAuth(verifier);

  test("req.auth is typed", () => {
    const app = express();
    app.get("/vehicles", auth("vehicles:read"), (req, res) => {
      expectTypeOf(req.auth).toEqualTypeOf<Principal>();
      res.json({ owner: req.auth.ownerId });
    });
    app.post("/vehicles", auth(["vehicles:read", "vehicles:write"]), express.json(), (req, res) => {
      expectTypeOf(req.auth.ownerId).toEqualTypeOf<string>();
      res.json({});
    });
    app.use(auth());
    app.use(
      auth("vehicles:read", { reportOnly: "vehicles:write" }),
      auth({ reportOnly: ["vehicles:write"] }),
    );
    express.Router().use(auth({ optional: true }));
  });

  test("rejects a typo in a route", () => {
    // @ts-expect-error vehicles:raed
    auth("vehicles:raed");
    // @ts-expect-error in an array
    auth(["vehicles:read", "vehicle:write"]);
    // @ts-expect-error in anyOf
    auth({ anyOf: ["vehicles:raed"] });
    // @ts-expect-error in an option
    auth("vehicles:read", { optinal: true });
    // @ts-expect-error in reportOnly
    auth("vehicles:read", { reportOnly: "vehicles:wirte" });
    // @ts-expect-error in an option of the guard
    expressAuth(verifier, { onerror: () => {} });
  });
});

describe("hono below a path", () => {
  test("c.var.auth is typed after use() in a chain", () => {
    new Hono().use("/api/*", honoAuth(verifier)()).get("/api/me", (c) => {
      expectTypeOf(c.var.auth.ownerId).toEqualTypeOf<string>();
      return c.text("");
    });
  });
});

describe("nestjs", () => {
  const { RequireScopes } = nestAuth(verifier);

  test("rejects a typo in a decorator", () => {
    RequireScopes(["vehicles:read", "vehicles:write"]);
    // @ts-expect-error vehicles:raed
    RequireScopes("vehicles:raed");
    // @ts-expect-error in anyOf
    RequireScopes({ anyOf: ["vehicles:raed"] });
    // @ts-expect-error in an option
    RequireScopes("vehicles:read", { optinal: true });
  });
});

describe("koa", () => {
  const auth = koaAuth(verifier);

  test("ctx.state.auth is typed", () => {
    new Koa().use(auth("vehicles:read")).use((ctx) => {
      expectTypeOf(ctx.state.auth).toEqualTypeOf<Principal>();
      ctx.body = { owner: ctx.state.auth.ownerId };
    });
    new Router().get("/vehicles", auth("vehicles:read"), (ctx) => {
      expectTypeOf(ctx.state.auth).toEqualTypeOf<Principal>();
      ctx.body = { owner: ctx.state.auth.ownerId };
    });
  });

  test("ctx.state.auth is typed with a custom state", () => {
    interface State extends DefaultState {
      readonly user: string;
    }
    new Koa<State>().use(auth("vehicles:read")).use((ctx) => {
      expectTypeOf(ctx.state.auth).toEqualTypeOf<Principal>();
      ctx.body = { owner: ctx.state.auth.ownerId, user: ctx.state.user };
    });
    new Router<State>().get("/vehicles", auth("vehicles:read"), (ctx) => {
      expectTypeOf(ctx.state.auth).toEqualTypeOf<Principal>();
      expectTypeOf(ctx.state.user).toEqualTypeOf<string>();
    });
  });

  test("rejects a typo in a route", () => {
    // @ts-expect-error vehicles:raed
    auth("vehicles:raed");
    // @ts-expect-error in an array
    auth(["vehicles:read", "vehicle:write"]);
    // @ts-expect-error in anyOf
    auth({ anyOf: ["vehicles:raed"] });
  });
});

describe("hono", () => {
  const auth = honoAuth(verifier, { remoteAddress: (c) => c.req.header("x-real-ip") });

  test("c.var.auth and c.get are typed", () => {
    new Hono()
      .get("/vehicles", auth("vehicles:read"), (c) => {
        expectTypeOf(c.var.auth).toEqualTypeOf<Known>();
        expectTypeOf(c.get("auth")).toEqualTypeOf<Known>();
        return c.json({ owner: c.var.auth.ownerId });
      })
      .get("/me", auth(), (c) => c.json({ owner: c.var.auth.ownerId }))
      .get("/report-only", auth("vehicles:read", { reportOnly: "vehicles:write" }), (c) => {
        expectTypeOf(c.var.auth).toEqualTypeOf<Known>();
        return c.json({ owner: c.var.auth.ownerId });
      })
      .get("/report-only-any", auth({ reportOnly: "vehicles:write" }), (c) =>
        c.json({ owner: c.var.auth.ownerId }),
      )
      .get("/maybe", auth({ optional: true }), (c) => {
        expectTypeOf(c.var.auth).toEqualTypeOf<Known | undefined>();
        return c.json({ owner: c.var.auth?.ownerId });
      })
      .get("/either", auth("vehicles:read", { optional: true }), (c) => {
        // @ts-expect-error may be undefined
        return c.json({ owner: c.var.auth.ownerId });
      });
  });

  test("rejects a typo in a route", () => {
    // @ts-expect-error in reportOnly
    auth("vehicles:read", { reportOnly: "vehicles:wirte" });
    // @ts-expect-error vehicles:raed
    auth("vehicles:raed");
    // @ts-expect-error in an array
    auth(["vehicles:read", "vehicle:write"]);
    // @ts-expect-error in anyOf
    auth({ anyOf: ["vehicles:raed"] });
    // @ts-expect-error an unset variable
    new Hono().get("/", auth(), (c) => c.json(c.var.user));
  });
});

describe("fastify", () => {
  const auth = fastifyAuth(verifier);

  test("request.auth is typed", async () => {
    const app = fastify();
    await app.register(auth.plugin);
    app.get("/vehicles", { onRequest: auth("vehicles:read") }, (request) => {
      expectTypeOf(request.auth).toEqualTypeOf<Principal>();
      return { owner: request.auth.ownerId };
    });
    app.route({
      method: "POST",
      url: "/vehicles",
      onRequest: [auth(["vehicles:write"])],
      handler: async (request) => ({ owner: request.auth.ownerId }),
    });
    app.addHook("onRequest", auth());
  });

  test("hooks fit apps over HTTP/2, with a custom logger or type provider", () => {
    interface Provider extends FastifyTypeProvider {
      readonly validator: this["schema"] extends { typed: infer T } ? T : unknown;
    }
    const handler = fastifyHandler(async () => new Response());
    const secure = fastify({ https: {} });
    secure.register(auth.plugin).register(handler, { prefix: "/admin" });
    secure.get("/vehicles", { onRequest: auth("vehicles:read") }, ({ auth: { ownerId } }) => ownerId);
    const two = fastify({ http2: true });
    two.register(auth.plugin).register(handler, { prefix: "/admin" });
    two.get("/vehicles", { onRequest: auth("vehicles:read") }, ({ auth: { ownerId } }) => ownerId);
    two.addHook("onRequest", auth("vehicles:read"));
    const logger = {} as FastifyBaseLogger & { readonly flush: () => void };
    const typed = fastify({ loggerInstance: logger }).withTypeProvider<Provider>();
    typed.register(auth.plugin).register(handler, { prefix: "/admin" });
    typed.get<{ Params: { id: string } }>(
      "/vehicles/:id",
      { onRequest: auth("vehicles:read") },
      (request) => {
        expectTypeOf(request.params.id).toEqualTypeOf<string>();
        return request.auth.ownerId;
      },
    );
    typed.route({
      method: "POST",
      url: "/vehicles",
      onRequest: [auth("vehicles:write")],
      schema: { body: { typed: { plate: "" as string } } },
      handler: (request) => {
        expectTypeOf(request.body).toEqualTypeOf<{ readonly plate: string }>();
        return request.auth.ownerId;
      },
    });
  });

  test("rejects a typo in a route", () => {
    // @ts-expect-error vehicles:raed
    auth("vehicles:raed");
    // @ts-expect-error in an array
    auth(["vehicles:read", "vehicle:write"]);
    // @ts-expect-error in anyOf
    auth({ anyOf: ["vehicles:raed"] });
  });
});

describe("fetch", () => {
  const auth = fetchAuth(verifier);

  test("auth is typed", () => {
    auth("vehicles:read", (request, { auth: principal, remoteAddress }) => {
      expectTypeOf(request).toEqualTypeOf<Request>();
      expectTypeOf(principal).toEqualTypeOf<Known>();
      expectTypeOf(remoteAddress).toEqualTypeOf<string | undefined>();
      return Response.json({ owner: principal.ownerId });
    });
    auth(async (_, { auth: principal }) => Response.json({ owner: principal.ownerId }));
    auth("vehicles:read", { reportOnly: "vehicles:write" }, (_, { auth: principal }) => {
      expectTypeOf(principal).toEqualTypeOf<Known>();
      return Response.json({ owner: principal.ownerId });
    });
    auth({ reportOnly: "vehicles:write" }, (_, { auth: principal }) => new Response(principal.ownerId));
    auth({ optional: true, reportOnly: "vehicles:write" }, (_, { auth: principal }) => {
      expectTypeOf(principal).toEqualTypeOf<Known | undefined>();
      return new Response(principal?.ownerId);
    });
    // @ts-expect-error a typo in reportOnly
    auth("vehicles:read", { reportOnly: "vehicles:wirte" }, () => new Response());
    auth({ optional: true }, (_, { auth: principal }) => {
      expectTypeOf(principal).toEqualTypeOf<Known | undefined>();
      return new Response(principal?.ownerId);
    });
    auth(["vehicles:read"], { optional: true }, (_, { auth: principal }) => {
      // @ts-expect-error may be undefined
      return new Response(principal.ownerId);
    });
    const handler = auth("vehicles:read", () => new Response());
    expectTypeOf(handler).toBeCallableWith(new Request("http://localhost/"));
    expectTypeOf(handler).toBeCallableWith(new Request("http://localhost/"), { remoteAddress: "192.0.2.1" });
  });

  test("further arguments of the runtime are passed on", () => {
    interface Route {
      readonly params: Promise<{ readonly id: string }>;
    }
    const GET = auth("vehicles:read", async (_, { auth: principal }, { params }: Route) =>
      Response.json({ id: (await params).id, owner: principal.ownerId }),
    );
    expectTypeOf(GET).parameters.toEqualTypeOf<[Request, Route]>();
    // @ts-expect-error the handler needs the route context
    GET(new Request("http://localhost/"));
    const worker = auth({ optional: true }, (_, { auth: principal }, env: { KEY: string }, _ctx: object) => {
      expectTypeOf(principal).toEqualTypeOf<Known | undefined>();
      return new Response(env.KEY);
    });
    expectTypeOf(worker).parameters.toEqualTypeOf<[Request, { KEY: string }, object]>();
  });

  test("rejects a typo in a route", () => {
    // @ts-expect-error vehicles:raed
    auth("vehicles:raed", () => new Response());
    // @ts-expect-error in an array
    auth(["vehicles:read", "vehicle:write"], () => new Response());
    // @ts-expect-error in anyOf
    auth({ anyOf: ["vehicles:raed"] }, () => new Response());
    // @ts-expect-error no handler
    auth("vehicles:read");
  });
});

describe("node", () => {
  const auth = nodeAuth(verifier);

  test("req.auth is typed", () => {
    const listener = auth("vehicles:read", (req, res) => {
      expectTypeOf(req.auth).toEqualTypeOf<Known>();
      res.end(req.auth.ownerId);
    });
    createServer(listener);
    auth((req, res) => res.end(req.auth.ownerId));
    auth("vehicles:read", { reportOnly: "vehicles:write" }, (req, res) => {
      expectTypeOf(req.auth).toEqualTypeOf<Known>();
      res.end(req.auth.ownerId);
    });
    auth({ reportOnly: ["vehicles:write"] }, (req, res) => res.end(req.auth.ownerId));
    // @ts-expect-error a typo in reportOnly
    auth("vehicles:read", { reportOnly: "vehicles:wirte" }, () => {});
    auth({ optional: true }, (req, res) => {
      expectTypeOf(req.auth).toEqualTypeOf<Known | undefined>();
      res.end(req.auth?.ownerId);
    });
  });

  test("rejects a typo in a route", () => {
    // @ts-expect-error vehicles:raed
    auth("vehicles:raed", () => {});
    // @ts-expect-error in an array
    auth(["vehicles:read", "vehicle:write"], () => {});
    // @ts-expect-error in anyOf
    auth({ anyOf: ["vehicles:raed"] }, () => {});
    // @ts-expect-error no listener
    auth("vehicles:read");
  });
});
