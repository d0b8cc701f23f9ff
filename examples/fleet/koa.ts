import Router from "@koa/router";
import { koaAuth, koaHandler } from "keybearer/koa";
import Koa, { type Context } from "koa";
import { driverChange, namedDriverChange, newDriver, readBody } from "./body.js";
import { createFleet, me } from "./domain.js";
import { BODY_LIMIT, notFound, toErrorResponse, tooLarge, unreadable } from "./errors.js";
import type { Setup } from "./setup.js";

/** Creates the fleet API in Koa. */
export function koaApp({ verifier, management, keyPage }: Setup) {
  const app = new Koa();
  const router = new Router({ strict: true, sensitive: true });

  const fleet = createFleet();
  const auth = koaAuth(verifier);

  app.use(async (ctx, next) => {
    try {
      await next();
      if (ctx.body === undefined && ctx.respond !== false) throw notFound();
    } catch (error) {
      const { status, body } = toErrorResponse(error, ctx);
      ctx.status = status;
      ctx.body = body;
    }
  });

  router.get("/fleet/vehicles", auth("vehicles:read"), (ctx) => {
    ctx.body = fleet.vehicles(ctx.state.auth.ownerId);
  });
  router.get("/fleet/drivers", auth("drivers:read"), (ctx) => {
    ctx.body = fleet.drivers(ctx.state.auth.ownerId);
  });
  router.post("/fleet/drivers", auth("drivers:write"), async (ctx) => {
    const driver = readBody(newDriver, ctx.headers, await bytes(ctx));
    ctx.status = 201;
    ctx.body = fleet.addDriver(ctx.state.auth.ownerId, driver);
  });
  router.patch("/fleet/drivers", auth("drivers:write"), async (ctx) => {
    const change = readBody(namedDriverChange, ctx.headers, await bytes(ctx));
    ctx.body = fleet.changeNamedDriver(ctx.state.auth.ownerId, change);
  });
  router.patch("/fleet/drivers/:id", auth("drivers:write"), async (ctx) => {
    const change = readBody(driverChange, ctx.headers, await bytes(ctx));
    ctx.body = fleet.changeDriver(ctx.state.auth.ownerId, ctx.params.id as string, change);
  });
  router.get("/fleet/hos", auth("hos:read"), (ctx) => {
    ctx.body = fleet.hours(ctx.state.auth.ownerId);
  });
  router.get("/fleet/inspections", auth("inspections:read"), (ctx) => {
    ctx.body = fleet.inspections(ctx.state.auth.ownerId);
  });
  router.get("/me", auth(), (ctx) => {
    ctx.body = me(ctx.state.auth);
  });

  router.all("/admin/{*path}", koaHandler(management));
  router.all("/keys/{*path}", koaHandler(keyPage.handler));

  app.use(router.routes());
  return app;
}

/** Reads the body; Koa has no body parser. Routes call it after the guard. */
function bytes({ req }: Context): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    req.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length > BODY_LIMIT)
        reject(tooLarge()); // the rest is read and dropped, so that the connection stays usable
      else chunks.push(chunk);
    });
    req.on("end", () => resolve(Buffer.concat(chunks)));
    req.on("error", () => reject(unreadable()));
  });
}
