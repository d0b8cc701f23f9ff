import express, { type ErrorRequestHandler, type RequestHandler, Router } from "express";
import { expressAuth, expressHandler } from "keybearer/express";
import { driverChange, newDriver, parse } from "./body.js";
import { ApiError, failure, refusal } from "./errors.js";
import { createFleets } from "./fleets.js";
import type { Keys } from "./keys.js";
import { pageOf } from "./pages.js";

/** The whole API in Express. */
export function createApp({ verifier, management }: Keys) {
  const app = express();
  app.disable("x-powered-by").disable("etag");

  const fleets = createFleets();
  const auth = expressAuth(verifier, { errorBody: refusal });
  // Behind the guard on each route, so that nobody uploads without a key.
  const json = express.json({ limit: "16kb", type: "application/json" });

  // People manage keys, with the JWTs that they signed in with.
  app.use("/api/v2", expressHandler(management));

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

// Express tells an error handler by its four parameters.
const onError: ErrorRequestHandler = (error, req, res, _next) => {
  const { status, body } = failure(error, req);
  res.status(status).set("X-Request-Id", body.requestId).json(body);
};
