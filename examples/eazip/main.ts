import { createServer } from "node:http";
import { toNodeListener } from "keybearer/node";
import type { ExampleOptions, RunningExample } from "../example.js";
import { listen } from "../serve.js";
import { createApp } from "./app.js";
import { createAuth } from "./auth.js";

/** Starts the API with one key for each of two users. */
export async function start({ port = 0 }: ExampleOptions = {}): Promise<RunningExample> {
  const auth = createAuth();
  const { secret: key } = await auth.createFirstKey("user_ada");
  const { secret: otherKey } = await auth.createFirstKey("user_ben");
  const { url, stop } = await listen(createServer(toNodeListener(createApp(auth))), port);
  return {
    credentials: { url, key, otherKey },
    guide: guide(url, key),
    async close() {
      await stop();
      await auth.close();
    },
  };
}

function guide(url: string, key: string): string {
  return `
Eazip, at ${url}. A key manages the keys of its user.

# list the keys of this user
curl -i ${url}/api-keys -H 'X-API-Key: ${key}'

# create a key; the secret is shown once
curl -i ${url}/api-keys -H 'X-API-Key: ${key}' \\
  -H 'Content-Type: application/json' -d '{"name":"CI/CD Pipeline","expires_at":"2040-12-31T23:59:59Z"}'

# list the jobs of this user
curl -i ${url}/jobs -H 'Authorization: Bearer ${key}'`;
}
