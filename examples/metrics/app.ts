import { PrometheusExporter } from "@opentelemetry/exporter-prometheus";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import express, { type Express } from "express";
import { createKeyManager, createVerifier, defineScopes, keyFormat } from "keybearer";
import { expressAuth } from "keybearer/express";
import { metrics } from "keybearer/observers";
import { createRateLimiter } from "keybearer/rate-limit";
import { memoryStore } from "keybearer/stores/memory";

const scopes = defineScopes({
  "vehicles:read": { description: "List and view vehicles" },
  "locations:read": { description: "View where vehicles are" },
  "metrics:read": { description: "Scrape /metrics" },
});
const format = keyFormat({ prefix: "fleet", environments: ["live"] });

const VEHICLES = [
  { id: "v1", name: "Truck 1", location: { lat: 52.52, lon: 13.4 } },
  { id: "v2", name: "Truck 2", location: { lat: 48.14, lon: 11.58 } },
];

/** A fleet API that measures what its guards do, and serves that to Prometheus. */
export function createFleet() {
  const exporter = new PrometheusExporter({ preventServerStart: true }); // its own server would have no guard
  const provider = new MeterProvider({ readers: [exporter] });
  const { observer } = metrics({
    meter: provider.getMeter("keybearer"),
    store: "memory",
    environments: format.environments,
  });

  const store = memoryStore();
  const observers = [observer];
  const manager = createKeyManager({ store, scopes, format, observers });
  const verifier = createVerifier({
    store,
    scopes,
    format,
    observers,
    // To come, and watched first: three requests a minute, and nobody is refused yet.
    reportOnly: {
      rateLimiter: createRateLimiter({
        windows: [{ name: "minute", per: "key", limit: 3, windowSeconds: 60 }],
      }),
    },
  });
  return { manager, app: createApp(expressAuth(verifier), exporter), shutdown: () => provider.shutdown() };
}

type Scope = (typeof scopes.names)[number];

function createApp(auth: ReturnType<typeof expressAuth<Scope>>, exporter: PrometheusExporter): Express {
  const app = express();
  app.disable("x-powered-by");
  app.get("/vehicles", auth("vehicles:read"), (_req, res) => {
    res.json({ vehicles: VEHICLES.map(({ id, name }) => ({ id, name })) });
  });
  // Locations are to need a scope of their own. Until the count is at zero, it is only on trial.
  app.get("/locations", auth("vehicles:read", { reportOnly: "locations:read" }), (_req, res) => {
    res.json({ locations: VEHICLES.map(({ id, location }) => ({ id, ...location })) });
  });
  app.get("/metrics", auth("metrics:read"), (req, res) => exporter.getMetricsRequestHandler(req, res));
  app.use((_req, res) => {
    res.status(404).json({ message: "There is nothing here.", code: "not_found" });
  });
  return app;
}
