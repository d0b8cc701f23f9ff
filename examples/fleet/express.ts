import express, { type ErrorRequestHandler } from "express";
import { expressAuth, expressHandler } from "keybearer/express";
import { driverChange, namedDriverChange, newDriver, readBody } from "./body.js";
import { createFleet, me } from "./domain.js";
import { BODY_LIMIT, notFound, toErrorResponse } from "./errors.js";
import type { Setup } from "./setup.js";

/** Creates the fleet API in Express. */
export function expressApp({ verifier, management, keyPage }: Setup) {
  const app = express();
  app.disable("x-powered-by").disable("etag");
  app.enable("strict routing").enable("case sensitive routing");

  const fleet = createFleet();
  const auth = expressAuth(verifier);
  // Runs after the guard of each route: a request without a valid key is denied before its body is read.
  const body = express.raw({ type: () => true, limit: BODY_LIMIT, inflate: false });

  app.get("/fleet/vehicles", auth("vehicles:read"), (req, res) => {
    res.json(fleet.vehicles(req.auth.ownerId));
  });
  app.get("/fleet/drivers", auth("drivers:read"), (req, res) => {
    res.json(fleet.drivers(req.auth.ownerId));
  });
  app.post("/fleet/drivers", auth("drivers:write"), body, (req, res) => {
    const driver = readBody(newDriver, req.headers, req.body);
    res.status(201).json(fleet.addDriver(req.auth.ownerId, driver));
  });
  app.patch("/fleet/drivers", auth("drivers:write"), body, (req, res) => {
    const change = readBody(namedDriverChange, req.headers, req.body);
    res.json(fleet.changeNamedDriver(req.auth.ownerId, change));
  });
  app.patch("/fleet/drivers/:id", auth("drivers:write"), body, (req, res) => {
    const change = readBody(driverChange, req.headers, req.body);
    res.json(fleet.changeDriver(req.auth.ownerId, req.params.id, change));
  });
  app.get("/fleet/hos", auth("hos:read"), (req, res) => {
    res.json(fleet.hours(req.auth.ownerId));
  });
  app.get("/fleet/inspections", auth("inspections:read"), (req, res) => {
    res.json(fleet.inspections(req.auth.ownerId));
  });
  app.get("/me", auth(), (req, res) => {
    res.json(me(req.auth));
  });

  app.use("/admin", expressHandler(management));
  app.use("/keys", expressHandler(keyPage.handler));

  app.use(() => {
    throw notFound();
  });
  const onError: ErrorRequestHandler = (error, req, res, _next) => {
    const { status, body } = toErrorResponse(error, req);
    res.status(status).json(body);
  };
  app.use(onError);
  return app;
}
