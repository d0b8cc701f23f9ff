import type { Server } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import type { ExampleOptions, RunningExample } from "../example.js";
import { identityProvider } from "../identity.js";
import { listen } from "../serve.js";
import { createApp } from "./app.js";
import { createKeys, type Keys } from "./keys.js";
import { BUNDLES, type InspectionScope } from "./scopes.js";

/** Starts the system, with an admin and keys in each of two companies. */
export async function start({ port = 0 }: ExampleOptions = {}): Promise<RunningExample> {
  const identity = await identityProvider("inspections");
  const adminJwt = await identity.signIn("dana@acme.example", { company: "acme", role: "admin" });
  const otherJwt = await identity.signIn("lars@borealis.example", { company: "borealis", role: "admin" });
  const keys = createKeys(identity);
  const full: readonly InspectionScope[] = ["vehicles:write", "inspections:write"];
  const key = await issue(keys, "acme", "Fleet system", full);
  const otherKey = await issue(keys, "borealis", "Fleet system", full);
  const readKey = await issue(keys, "acme", "Dashboard", ["vehicles:read", "inspections:read"]);
  const server = createAdaptorServer({ fetch: createApp(keys).fetch }) as Server;
  const { url, stop } = await listen(server, port);
  return {
    credentials: {
      url,
      adminJwt,
      otherJwt,
      keysPath: "/api-keys",
      key,
      otherKey,
      readKey,
      scopesPath: "/scopes",
      bundlesPath: "/scope-bundles",
      bundles: BUNDLES.map(({ name }) => name),
    },
    guide: guide(url, adminJwt, readKey),
    async close() {
      await stop();
      await keys.close();
    },
  };
}

async function issue(keys: Keys, ownerId: string, name: string, scopes: readonly InspectionScope[]) {
  const { secret } = await keys.manager.create({ ownerId, name, scopes });
  return secret;
}

function guide(url: string, adminJwt: string, readKey: string): string {
  return `
Inspections of vehicles, at ${url}.

# a key that may read does so
curl -i ${url}/vehicles -H 'Authorization: Bearer ${readKey}'

# it may not write, and is told what it lacks
curl -i -X POST ${url}/vehicles -H 'Authorization: Bearer ${readKey}'

# an admin creates a key that may submit inspections; it is shown once
curl -i ${url}/api-keys -H 'Authorization: Bearer ${adminJwt}' \\
  -H 'Content-Type: application/json' -d '{"name":"Tablet 4","bundle":"inspection-submission"}'`;
}
