import { PrometheusExporter } from "@opentelemetry/exporter-prometheus";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import express, { type Express } from "express";
import { defineScopes, keybearer, keyFormat } from "keybearer";
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

/** Creates a fleet API that measures its guards and serves the metrics to Prometheus. */
export function createFleet() {
  const exporter = new PrometheusExporter({ preventServerStart: true }); // the server of the exporter has no guard
  const provider = new MeterProvider({ readers: [exporter] });
  const meter = provider.getMeter("keybearer");
  const overLimit = meter.createCounter("keybearer.auth.over_limit", {
    description: "Requests over a rate limit that is not enforced yet",
  });
  const { observer } = metrics({
    meter,
    store: "memory",
    environments: format.environments,
  });

  const { verifier, keys, close } = keybearer({
    store: memoryStore(),
    scopes,
    format,
    observers: [observer],
    // A dry run: requests over the limit are counted and not denied.
    rateLimiter: createRateLimiter({
      windows: [{ name: "minute", per: "key", limit: 3, window: "1m" }],
      dryRun: true,
      onLimited: ({ environment }) => overLimit.add(1, { "keybearer.environment": environment ?? undefined }),
    }),
  });
  return {
    keys,
    app: createApp(expressAuth(verifier), exporter),
    async shutdown() {
      await close();
      await provider.shutdown();
    },
  };
}

type Scope = (typeof scopes.names)[number];

function createApp(auth: ReturnType<typeof expressAuth<Scope>>, exporter: PrometheusExporter): Express {
  const app = express();
  app.disable("x-powered-by");
  app.get("/vehicles", auth("vehicles:read"), (_req, res) => {
    res.json({ vehicles: VEHICLES.map(({ id, name }) => ({ id, name })) });
  });
  // Enforce `locations:read` when `keybearer_auth_would_deny_total` no longer grows.
  app.get("/locations", auth("vehicles:read", { reportOnly: "locations:read" }), (_req, res) => {
    res.json({ locations: VEHICLES.map(({ id, location }) => ({ id, ...location })) });
  });
  app.get("/metrics", auth("metrics:read"), (req, res) => exporter.getMetricsRequestHandler(req, res));
  app.use((_req, res) => {
    res.status(404).json({ message: "There is nothing here.", code: "not_found" });
  });
  return app;
}
