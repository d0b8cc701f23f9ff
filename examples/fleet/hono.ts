import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { honoAuth, honoHandler } from "keybearer/hono";
import { driverChange, namedDriverChange, newDriver, readBody } from "./body.js";
import { createFleet, me } from "./domain.js";
import { BODY_LIMIT, notFound, toErrorResponse, tooLarge } from "./errors.js";
import type { Setup } from "./setup.js";

/** Creates the fleet API in Hono. */
export function honoApp({ verifier, management, keyPage }: Setup) {
  const app = new Hono();

  const fleet = createFleet();
  const auth = honoAuth(verifier);
  // Runs after the guard of each route: a request without a valid key is denied before its body is read.
  const body = bodyLimit({
    maxSize: BODY_LIMIT,
    onError: (c) => {
      c.header("Connection", "close"); // the rest of the body is never read
      throw tooLarge();
    },
  });

  app.get("/fleet/vehicles", auth("vehicles:read"), (c) => c.json(fleet.vehicles(c.var.auth.ownerId)));
  app.get("/fleet/drivers", auth("drivers:read"), (c) => c.json(fleet.drivers(c.var.auth.ownerId)));
  app.post("/fleet/drivers", auth("drivers:write"), body, async (c) => {
    const driver = readBody(newDriver, c.req.header(), await bytes(c));
    return c.json(fleet.addDriver(c.var.auth.ownerId, driver), 201);
  });
  app.patch("/fleet/drivers", auth("drivers:write"), body, async (c) => {
    const change = readBody(namedDriverChange, c.req.header(), await bytes(c));
    return c.json(fleet.changeNamedDriver(c.var.auth.ownerId, change));
  });
  app.patch("/fleet/drivers/:id", auth("drivers:write"), body, async (c) => {
    const change = readBody(driverChange, c.req.header(), await bytes(c));
    return c.json(fleet.changeDriver(c.var.auth.ownerId, c.req.param("id"), change));
  });
  app.get("/fleet/hos", auth("hos:read"), (c) => c.json(fleet.hours(c.var.auth.ownerId)));
  app.get("/fleet/inspections", auth("inspections:read"), (c) =>
    c.json(fleet.inspections(c.var.auth.ownerId)),
  );
  app.get("/me", auth(), (c) => c.json(me(c.var.auth)));

  app.all("/admin/*", honoHandler(management));
  app.all("/keys/*", honoHandler(keyPage.handler));

  const fail = (error: unknown, c: Context) => {
    const { status, body } = toErrorResponse(error, c.req.raw);
    return c.json(body, status as ContentfulStatusCode);
  };
  app.notFound((c) => fail(notFound(), c));
  app.onError(fail);
  return app;
}

async function bytes(c: Context): Promise<Uint8Array> {
  return new Uint8Array(await c.req.arrayBuffer());
}
