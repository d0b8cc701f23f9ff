import { createServer } from "node:http";
import type { ExampleOptions, RunningExample } from "../example.js";
import { identityProvider } from "../identity.js";
import { listen } from "../serve.js";
import { createApp } from "./app.js";
import { createAuth } from "./auth.js";

/** Starts the API with an admin in each of two companies. */
export async function start({ port = 0 }: ExampleOptions = {}): Promise<RunningExample> {
  const identity = await identityProvider("eztotrack");
  const adminJwt = await identity.signIn("dana@acme.example", { company: "acme-haulage", role: "admin" });
  const otherJwt = await identity.signIn("lars@borealis.example", {
    company: "borealis-freight",
    role: "admin",
  });
  const auth = createAuth(identity);
  const { url, stop } = await listen(createServer(createApp(auth)), port);
  return {
    credentials: { url, adminJwt, otherJwt },
    guide: guide(url, adminJwt),
    async close() {
      await stop();
      await auth.close();
    },
  };
}

function guide(url: string, adminJwt: string): string {
  return `
EZToTrack, at ${url}. Admins create keys; integrations read the fleet with them.

# create a key as an admin of acme-haulage; the secret is shown once
curl -i ${url}/api/v2/api-keys -H 'Authorization: Bearer ${adminJwt}' \\
  -H 'Content-Type: application/json' \\
  -d '{"name":"My Integration","scopes":["vehicles:read","drivers:read","hos:read"]}'

# list the keys
curl -i ${url}/api/v2/api-keys -H 'Authorization: Bearer ${adminJwt}'

# list vehicles; insert the new key
curl -i ${url}/fleet/vehicles -H 'Authorization: Bearer ezt_live_…'`;
}
