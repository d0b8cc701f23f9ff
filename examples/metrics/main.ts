import { createServer } from "node:http";
import type { ExampleOptions, RunningExample } from "../example.js";
import { listen } from "../serve.js";
import { createFleet } from "./app.js";

/** Starts the API with one key for a customer and one for Prometheus. */
export async function start({ port = 0 }: ExampleOptions = {}): Promise<RunningExample> {
  const { keys, app, shutdown } = createFleet();
  const { secret: key } = await keys.create({
    ownerId: "acme",
    environment: "live",
    scopes: ["vehicles:read"],
  });
  const { secret: metricsKey } = await keys.create({
    ownerId: "prometheus",
    environment: "live",
    scopes: ["metrics:read"],
  });
  const { url, stop } = await listen(createServer(app), port);
  return {
    credentials: { url, key, metricsKey },
    guide: guide(url, key, metricsKey),
    async close() {
      await stop();
      await shutdown();
    },
  };
}

function guide(url: string, key: string, metricsKey: string): string {
  return `
A fleet API, at ${url}, that measures its guards.

# allowed
curl -i ${url}/vehicles -H 'Authorization: Bearer ${key}'

# allowed, but counted: the scope locations:read is missing
curl -i ${url}/locations -H 'Authorization: Bearer ${key}'

# denied
curl -i ${url}/vehicles

# the metrics for Prometheus
curl -i ${url}/metrics -H 'Authorization: Bearer ${metricsKey}'`;
}
