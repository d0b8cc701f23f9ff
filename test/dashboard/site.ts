// A host service with a key page: people sign in with a cookie "person".

import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createDashboard, type DashboardOptions } from "../../src/dashboard/index.js";
import {
  createKeyManager,
  defineScopes,
  type KeyManagerOptions,
  keyFormat,
  type ManagedKeyStore,
} from "../../src/kit.js";
import { memoryStore } from "../../src/stores/memory.js";

export const scopes = defineScopes({
  "vehicles:read": { description: "List and view vehicles" },
  "vehicles:write": { description: "Create and update vehicles", implies: ["vehicles:read"] },
  "drivers:read": { description: "List and view drivers" },
  "drivers:write": { description: "Create and update drivers", implies: ["drivers:read"] },
  "webhooks:manage": { description: "Create, change and delete webhooks" },
  "reports:read": { description: "Download reports", status: "planned" },
});
export type SiteScope = (typeof scopes)["names"][number];

export const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });

/** Who the cookie of the host names. */
export const PEOPLE = {
  mia: { ownerId: "acme", actor: "mia@acme.example" },
  tom: { ownerId: "globex", actor: "tom@globex.example" },
  ina: { ownerId: "acme", actor: "ina@acme.example", scopes: ["vehicles:read" as const] },
} satisfies Record<string, { ownerId: string; actor: string; scopes?: readonly SiteScope[] }>;

export function signedIn({ headers }: Request) {
  const name = /(?:^|; )person=(\w+)/.exec(headers.get("cookie") ?? "")?.[1];
  return PEOPLE[name as keyof typeof PEOPLE];
}

/** Creates a page. */
export function createPage(
  store: ManagedKeyStore = memoryStore(),
  options: Partial<DashboardOptions<SiteScope>> = {},
  manager: Partial<KeyManagerOptions<SiteScope, string>> = {},
) {
  const keys = createKeyManager({ store, scopes, format, ...manager });
  return { store, keys, page: createDashboard({ keys, signedIn, signInUrl: "/sign-in", ...options }) };
}

export async function listen(listener: RequestListener): Promise<{ url: string; server: Server }> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

export function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
