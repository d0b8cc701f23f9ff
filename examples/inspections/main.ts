import type { Server } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import type { ExampleOptions, RunningExample } from "../example.js";
import { identityProvider } from "../identity.js";
import { listen } from "../serve.js";
import { createApp } from "./app.js";
import { createAuth } from "./auth.js";
import { BUNDLES, type InspectionScope } from "./scopes.js";

/** Starts the API with an admin and keys in each of two companies. */
export async function start({ port = 0 }: ExampleOptions = {}): Promise<RunningExample> {
  const identity = await identityProvider("inspections");
  const adminJwt = await identity.signIn("dana@acme.example", { company: "acme", role: "admin" });
  const otherJwt = await identity.signIn("lars@borealis.example", { company: "borealis", role: "admin" });
  const auth = createAuth(identity);
  const issue = async (ownerId: string, name: string, scopes: readonly InspectionScope[]) =>
    (await auth.keys.create({ ownerId, name, scopes })).secret;
  const full: readonly InspectionScope[] = ["vehicles:write", "inspections:write"];
  const key = await issue("acme", "Fleet system", full);
  const otherKey = await issue("borealis", "Fleet system", full);
  const readKey = await issue("acme", "Dashboard", ["vehicles:read", "inspections:read"]);
  const server = createAdaptorServer({ fetch: createApp(auth).fetch }) as Server;
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
      await auth.close();
    },
  };
}

function guide(url: string, adminJwt: string, readKey: string): string {
  return `
Inspections of vehicles, at ${url}.

# list vehicles with a key that has vehicles:read
curl -i ${url}/vehicles -H 'Authorization: Bearer ${readKey}'

# the key cannot write: the response lists the missing scope
curl -i -X POST ${url}/vehicles -H 'Authorization: Bearer ${readKey}'

# create a key that may submit inspections, as an admin; the secret is shown once
curl -i ${url}/api-keys -H 'Authorization: Bearer ${adminJwt}' \\
  -H 'Content-Type: application/json' -d '{"name":"Tablet 4","bundle":"inspection-submission"}'`;
}
