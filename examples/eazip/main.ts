import { createServer } from "node:http";
import { toNodeListener } from "keybearer/node";
import type { ExampleOptions, RunningExample } from "../example.js";
import { listen } from "../serve.js";
import { createApp } from "./app.js";
import { createKeys } from "./keys.js";

/** Starts the system, with the first key of each of two users. */
export async function start({ port = 0 }: ExampleOptions = {}): Promise<RunningExample> {
  const keys = createKeys();
  const { secret: key } = await keys.firstKey("user_ada");
  const { secret: otherKey } = await keys.firstKey("user_ben");
  const { url, stop } = await listen(createServer(toNodeListener(createApp(keys))), port);
  return {
    credentials: { url, key, otherKey },
    guide: guide(url, key),
    async close() {
      await stop();
      await keys.close();
    },
  };
}

function guide(url: string, key: string): string {
  return `
Eazip, at ${url}. A key manages the keys of its user.

# the keys of this user
curl -i ${url}/api-keys -H 'X-API-Key: ${key}'

# one more; it is shown once
curl -i ${url}/api-keys -H 'X-API-Key: ${key}' \\
  -H 'Content-Type: application/json' -d '{"name":"CI/CD Pipeline","expires_at":"2040-12-31T23:59:59Z"}'

# what keys are for
curl -i ${url}/jobs -H 'Authorization: Bearer ${key}'`;
}
