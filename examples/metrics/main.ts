import { createServer } from "node:http";
import type { ExampleOptions, RunningExample } from "../example.js";
import { listen } from "../serve.js";
import { createFleet } from "./app.js";

/** Starts the system, with a key for a customer, and one for Prometheus. */
export async function start({ port = 0 }: ExampleOptions = {}): Promise<RunningExample> {
  const { manager, app, shutdown } = createFleet();
  const { secret: key } = await manager.create({
    ownerId: "acme",
    environment: "live",
    scopes: ["vehicles:read"],
  });
  const { secret: metricsKey } = await manager.create({
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
A fleet API, at ${url}, whose guards are measured.

# let through
curl -i ${url}/vehicles -H 'Authorization: Bearer ${key}'

# let through, but the scope that is on trial would have refused it
curl -i ${url}/locations -H 'Authorization: Bearer ${key}'

# refused
curl -i ${url}/vehicles

# what Prometheus sees of it
curl -i ${url}/metrics -H 'Authorization: Bearer ${metricsKey}'`;
}
