import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { honoAuth, honoHandler } from "keybearer/hono";
import type { Auth } from "./auth.js";
import { newInspection, newVehicle, readBody, readJson, vehicleChange } from "./body.js";
import { withBundle } from "./bundle.js";
import { errorBody, notFound, toErrorResponse, tooLarge } from "./errors.js";
import { createFleets } from "./fleets.js";
import { listOf, one } from "./page.js";
import { BUNDLES, listScopes } from "./scopes.js";

/** Creates the API in Hono. */
export function createApp({ verifier, adminVerifier, management, flush }: Auth) {
  const app = new Hono();
  const fleets = createFleets();
  const auth = honoAuth(verifier, { errorBody });
  const admin = honoAuth(adminVerifier, { errorBody });
  // Runs after the guard of each route: a request without a valid key is denied before its body is read.
  const body = bodyLimit({
    maxSize: 64 * 1024,
    onError: (c) => {
      c.header("Connection", "close"); // the rest of the body is never read
      throw tooLarge();
    },
  });

  app.get("/vehicles", auth("vehicles:read"), (c) =>
    c.json(listOf(fleets.vehicles(c.var.auth.ownerId), c.req.query())),
  );
  app.get("/vehicles/:id", auth("vehicles:read"), (c) =>
    c.json(one(fleets.vehicle(c.var.auth.ownerId, c.req.param("id")))),
  );
  app.post("/vehicles", auth("vehicles:write"), body, async (c) => {
    const vehicle = fleets.addVehicle(c.var.auth.ownerId, await readBody(newVehicle, c.req.raw));
    return c.json(one(vehicle), 201, { Location: `/vehicles/${vehicle.id}` });
  });
  app.put("/vehicles/:id", auth("vehicles:write"), body, async (c) => {
    const change = await readBody(vehicleChange, c.req.raw);
    return c.json(one(fleets.changeVehicle(c.var.auth.ownerId, c.req.param("id"), change)));
  });
  app.get("/inspection-templates", auth("inspections:read"), (c) =>
    c.json(listOf(fleets.templates(), c.req.query())),
  );
  app.get("/inspections", auth("inspections:read"), (c) =>
    c.json(listOf(fleets.inspections(c.var.auth.ownerId), c.req.query())),
  );
  app.post("/inspections", auth("inspections:write"), body, async (c) => {
    const inspection = await readBody(newInspection, c.req.raw);
    return c.json(one(fleets.addInspection(c.var.auth.ownerId, inspection)), 201);
  });

  app.get("/scopes", (c) => c.json({ data: listScopes(), bundles: BUNDLES, meta: { version: "v1" } }));
  app.get("/scope-bundles", (c) => c.json({ data: BUNDLES, meta: { version: "v1" } }));

  const manage = honoHandler(management);
  const create = honoHandler(async (request, connection) => {
    const { url, headers } = request;
    const expanded = JSON.stringify(withBundle(await readJson(request)));
    return management(new Request(url, { method: "POST", headers, body: expanded }), connection);
  });
  app.post("/api-keys", admin(), body, create);
  for (const path of ["/api-keys", "/api-keys/*", "/me", "/openapi.json"]) {
    app.all(path, async (c, next) => {
      await flush(); // responses include earlier requests in `lastUsedAt` and the audit trail
      return manage(c, next);
    });
  }

  const fail = (error: unknown, c: Context) => {
    const { status, body } = toErrorResponse(error, c.req.raw);
    return c.json(body, status as ContentfulStatusCode);
  };
  app.notFound((c) => fail(notFound(), c));
  app.onError(fail);
  return app;
}
