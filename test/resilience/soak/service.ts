// One of the processes that the soak test sends its requests to: keys in PostgreSQL, a cache in front of them whose
// bus is Redis, guarded routes, management, and everything that is written behind requests.

import { createServer } from "node:http";
import pg from "pg";
import { createClient } from "redis";
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
import { postgresStore } from "../../../src/stores/postgres.js";

export const scopes = defineScopes({
  "vehicles:read": {},
  "vehicles:write": { implies: ["vehicles:read"], audit: true },
  "fleet:admin": { implies: ["*"] },
});
export const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });
/** How long a process may not know of what another one did. */
export const TTL_SECONDS = 5;
// On a machine that is busy with other things, a refusal for want of time says nothing.
const PATIENCE_MS = 10_000;
// What is remembered has an end, and the heap is flat behind it: so it is reached soon.
const MAX_REMEMBERED = 500;

/** What its parent may ask for. */
export type Order = "sample" | "stop";

/** What it answers. */
export type Report =
  | { readonly port: number }
  | { readonly heapBytes: number; readonly resources: number; readonly faults: readonly string[] };

const faults: string[] = [];
for (const event of ["unhandledRejection", "uncaughtException"]) {
  process.on(event, (error: unknown) =>
    faults.push(`${event}: ${error instanceof Error ? error.stack : error}`),
  );
}

const { POSTGRES_URL, REDIS_URL } = process.env;
if (POSTGRES_URL !== undefined && REDIS_URL !== undefined) await serve(POSTGRES_URL, REDIS_URL);

async function serve(postgresUrl: string, redisUrl: string): Promise<void> {
  const pool = new pg.Pool({ connectionString: postgresUrl, max: 8, connectionTimeoutMillis: PATIENCE_MS });
  pool.on("error", () => {});
  const publisher = createClient({ url: redisUrl, socket: { reconnectStrategy: 200 } });
  const subscriber = publisher.duplicate();
  for (const client of [publisher, subscriber]) client.on("error", () => {});
  await Promise.all([publisher.connect(), subscriber.connect()]);

  const database = postgresStore(pool);
  await database.migrate();
  const store = cachedStore(database, {
    ttl: `${TTL_SECONDS}s`,
    max: MAX_REMEMBERED,
    bus: redisBus({ publisher, subscriber }),
    storeTimeout: `${PATIENCE_MS}ms`,
  });
  const [usage, trail] = [lastUsed(store, { interval: "2000ms" }), auditLog(store, { denied: true })];
  const observers = [usage.observer, trail.observer];
  const rateLimiter = createRateLimiter({
    store: memoryLimits({ max: MAX_REMEMBERED }),
    windows: [{ name: "second", per: "key", limit: 1_000_000, windowSeconds: 1 }],
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
    storeTimeout: `${PATIENCE_MS}ms`,
    observers,
    rateLimiter,
  });
  const manager = createKeyManager({ store, scopes, format, observers });
  const requires = { read: "fleet:admin", write: "fleet:admin" } as const;
  const management = toNodeListener(
    createManagementApi({ manager, verifier, requires, basePath: "/admin", onError: () => {} }),
  );
  const auth = nodeAuth(verifier, { onError: () => {} });
  const list = auth("vehicles:read", (req, res) => res.end(req.auth.ownerId));
  const add = auth("vehicles:write", (req, res) => res.end(req.auth.ownerId));

  const server = createServer((req, res) => {
    if (req.url?.startsWith("/admin")) return management(req, res);
    return req.method === "POST" ? add(req, res) : list(req, res);
  });
  server.listen(0, "127.0.0.1", () => tell({ port: (server.address() as { port: number }).port }));

  process.on("message", async (order: Order) => {
    if (order === "sample") return tell(sample());
    server.closeAllConnections();
    server.close();
    await Promise.all([usage.close(), trail.close(), store.close()]);
    for (const client of [publisher, subscriber]) client.destroy();
    await pool.end();
    tell(sample());
    process.disconnect();
  });
}

/** An event of a key that is not there: `lastUsed` remembers 10,000 keys, and is to be full when the test begins. */
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
  return { heapBytes: process.memoryUsage().heapUsed, resources, faults: faults.splice(0) };
}

function tell(report: Report): void {
  process.send?.(report);
}
