import express, { type ErrorRequestHandler, type RequestHandler, Router } from "express";
import { expressAuth, expressHandler } from "keybearer/express";
import type { Auth } from "./auth.js";
import { driverChange, newDriver, parse } from "./body.js";
import { ApiError, errorBody, toErrorResponse } from "./errors.js";
import { createFleets } from "./fleets.js";
import { pageOf } from "./pages.js";

/** Creates the API in Express. */
export function createApp({ verifier, management, keyPage }: Auth) {
  const app = express();
  app.disable("x-powered-by").disable("etag");

  const fleets = createFleets();
  const auth = expressAuth(verifier, { errorBody });
  // Runs after the guard of each route: a request without a valid key is denied before its body is read.
  const json = express.json({ limit: "16kb", type: "application/json" });

  app.use("/api/v2", expressHandler(management));
  app.use("/settings/api-keys", expressHandler(keyPage));

  const vehicles = Router();
  vehicles.use(auth("vehicles:read"));
  vehicles.get("/", (req, res) => void res.json(pageOf(fleets.vehicles(req.auth), req.query)));
  vehicles.get("/locations", (req, res) => void res.json(pageOf(fleets.locations(req.auth), req.query)));
  vehicles.get("/stats", (req, res) => void res.json(pageOf(fleets.stats(req.auth), req.query)));
  vehicles.get("/:id", (req, res) => void res.json({ data: fleets.vehicle(req.auth, req.params.id) }));
  app.use("/fleet/vehicles", vehicles);

  const drivers = Router();
  drivers.get("/{*any}", auth("drivers:read"));
  drivers.get("/", (req, res) => void res.json(pageOf(fleets.drivers(req.auth), req.query)));
  drivers.get("/:id", (req, res) => void res.json({ data: fleets.driver(req.auth, req.params.id) }));
  drivers.post("/{*any}", auth("drivers:write"), json);
  drivers.post("/", (req, res) => {
    res.status(201).json({ data: fleets.addDriver(req.auth, parse(newDriver, req.body)) });
  });
  drivers.patch("/{*any}", auth("drivers:write"), json);
  drivers.patch("/:id", (req, res) => {
    res.json({ data: fleets.changeDriver(req.auth, req.params.id, parse(driverChange, req.body)) });
  });
  app.use("/fleet/drivers", drivers);

  const hos = Router();
  hos.use(auth("hos:read"));
  hos.get(["/", "/clocks", "/logs", "/daily-logs", "/violations"], (req, res) => {
    res.json(pageOf(fleets.hours(req.auth), req.query));
  });
  hos.get("/:driverId", (req, res) => {
    res.json({ data: fleets.hoursOf(req.auth, req.params.driverId) });
  });
  app.use("/fleet/hos", hos);

  app.use(notFound);
  app.use(onError);
  return app;
}

const notFound: RequestHandler = () => {
  throw new ApiError(404, "There is no such route.");
};

// Express recognizes error handlers by their four parameters.
const onError: ErrorRequestHandler = (error, req, res, _next) => {
  const { status, body } = toErrorResponse(error, req);
  res.status(status).set("X-Request-Id", body.requestId).json(body);
};
