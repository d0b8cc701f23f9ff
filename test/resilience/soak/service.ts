// A service process of the soak test: keys in a store, a cache with a Redis bus, guarded routes, the management API, and
// background writes.

import { createServer } from "node:http";
import { nodeAuth, toNodeListener } from "../../../src/adapters/node.js";
import { cachedStore, redisBus } from "../../../src/cache/index.js";
import {
  type AllowedEvent,
  createKeyManager,
  createVerifier,
  defineScopes,
  keyFormat,
} from "../../../src/index.js";
import { createManagementApi } from "../../../src/management/index.js";
import { auditLog, lastUsed } from "../../../src/observers/index.js";
import { createRateLimiter, memoryLimits } from "../../../src/rate-limit/index.js";
import { connectRedis, type Kind, openStore } from "./stores.js";

export const scopes = defineScopes({
  "vehicles:read": {},
  "vehicles:write": { implies: ["vehicles:read"], audit: true },
  "fleet:admin": { implies: ["*"] },
});
export const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });
const HEARTBEAT_MS = 1_000;
const TIMEOUT_MS = 4_000; // long, because timeouts on a busy machine are not errors
/** The time after which every process knows of a change. */
export const BOUND_MS = HEARTBEAT_MS + TIMEOUT_MS;
const MAX_ENTRIES = 500; // small, so that caches are full early and the heap should not grow afterwards

/** A message from the parent process. */
export type Command = "sample" | "stop";

/** A message to the parent process. */
export type Report =
  | { readonly port: number }
  | { readonly heapBytes: number; readonly resources: number; readonly errors: readonly string[] };

const errors: string[] = [];
for (const event of ["unhandledRejection", "uncaughtException"]) {
  process.on(event, (error: unknown) =>
    errors.push(`${event}: ${error instanceof Error ? error.stack : error}`),
  );
}

const { STORE, STORE_URL, BUS_URL } = process.env;
if (STORE_URL !== undefined && BUS_URL !== undefined) await serve(STORE as Kind, STORE_URL, BUS_URL);

async function serve(kind: Kind, storeUrl: string, busUrl: string): Promise<void> {
  const [publisher, subscriber] = await Promise.all([connectRedis(busUrl), connectRedis(busUrl)]);
  const opened = await openStore(kind, storeUrl);
  const store = cachedStore(opened.store, {
    ttl: "1h",
    heartbeat: `${HEARTBEAT_MS}ms`,
    max: MAX_ENTRIES,
    bus: redisBus({ publisher, subscriber }),
    storeTimeout: `${TIMEOUT_MS}ms`,
  });
  const [usage, trail] = [lastUsed(store, { interval: "2s" }), auditLog(store, { denied: true })];
  const observers = [usage.observer, trail.observer];
  const rateLimiter = createRateLimiter({
    store: memoryLimits({ max: MAX_ENTRIES }),
    windows: [{ name: "second", per: "key", limit: 1_000_000, window: "1s" }],
  });
  for (let index = 0; index < 10_000; index++)
    usage.observer(useOf(`key_${index.toString(16).padStart(32, "0")}`));
  await usage.flush();
  const verifier = createVerifier({
    store,
    scopes,
    format,
    environment: "live",
    trustedProxies: ["loopback"],
    missingForwardedHeader: "use-peer",
    storeTimeout: `${TIMEOUT_MS}ms`,
    observers,
    rateLimiter,
  });
  const manager = createKeyManager({ store, scopes, format, observers, maxKeysPerOwner: 100_000 });
  const requires = { read: "fleet:admin", write: "fleet:admin" } as const;
  const management = toNodeListener(
    createManagementApi({ keys: manager, verifier, requires, basePath: "/admin", onError: () => {} }),
  );
  const auth = nodeAuth(verifier, { onError: () => {} });
  const list = auth("vehicles:read", (req, res) => res.end(req.auth.ownerId));
  const add = auth("vehicles:write", (req, res) => res.end(req.auth.ownerId));

  const server = createServer((req, res) => {
    if (req.url?.startsWith("/admin")) return management(req, res);
    return req.method === "POST" ? add(req, res) : list(req, res);
  });
  server.listen(0, "127.0.0.1", () => report({ port: (server.address() as { port: number }).port }));

  process.on("message", async (command: Command) => {
    if (command === "sample") return report(sample());
    server.closeAllConnections();
    server.close();
    await Promise.all([usage.close(), trail.close(), store.close()]);
    for (const client of [publisher, subscriber]) client.destroy();
    await opened.close();
    report(sample());
    process.disconnect();
  });
}

/** Returns an event of a missing key. `lastUsed` tracks 10,000 keys, and should be full when the test begins. */
function useOf(keyId: string): AllowedEvent {
  return {
    type: "auth.allowed",
    at: new Date(),
    keyId,
    isKey: true,
    ownerId: "acme",
    environment: "live",
    requestId: "fill",
    method: "GET",
    path: "/",
    clientIp: undefined,
    requiredScopes: [],
    audit: false,
    durationMs: 0,
    wouldDeny: [],
  };
}

function sample(): Report {
  globalThis.gc?.();
  const resources = process.getActiveResourcesInfo().length;
  return { heapBytes: process.memoryUsage().heapUsed, resources, errors: errors.splice(0) };
}

function report(message: Report): void {
  process.send?.(message);
}
