import { cachedStore } from "../../cache/cached-store.js";
import { createDashboard } from "../../dashboard/dashboard.js";
import { memoryPortalStore, redisPortalStore } from "../../dashboard/portal-store.js";
import type { RequestHandler } from "../../http/handler.js";
import { type Observer, withStoreTimeout } from "../../kit.js";
import { createManagementApi } from "../../management/api.js";
import type { TokenService } from "../../oauth/token-service.js";
import { lastUsed } from "../../observers/last-used.js";
import { metrics } from "../../observers/metrics.js";
import { createRateLimiter } from "../../rate-limit/limiter.js";
import { redisLimits } from "../../rate-limit/redis.js";
import type { Config } from "../config.js";
import type { Connection } from "../connect.js";
import { createApiVerifier } from "./administrators.js";
import { bootstrapEndpoint } from "./bootstrap.js";
import { type CreateEndpoint, createEndpoints } from "./endpoint.js";
import type { Log } from "./log.js";
import { createGateway, createLeaks, createTokens } from "./optional-parts.js";
import { createPrometheus } from "./prometheus.js";
import { type CheckSecret, createSecretCheck } from "./secret-check.js";
import type { Settings } from "./settings.js";
import { sampleCollector } from "./workers.js";

/** What the routes of the service are made of. */
export interface Service {
  readonly config: Config;
  readonly settings: Settings;
  readonly endpoint: CreateEndpoint;
  readonly checkSecret: CheckSecret;
  readonly management: RequestHandler;
  readonly dashboard: ReturnType<typeof createDashboard> | undefined;
  readonly tokens: TokenService | undefined;
  readonly leaks: RequestHandler | undefined;
  readonly gateway: RequestHandler | undefined;
  readonly bootstrap: RequestHandler;
  readonly collectSamples: ReturnType<typeof sampleCollector>;
  /** Rejects if the store does not respond within a second. */
  ping(): Promise<void>;
  /** Stops the cache, and writes the last uses that are pending. */
  close(): Promise<void>;
}

export const MANAGEMENT_PATH = "/v1";
const STORE_TIMEOUT = "2s"; // one process serves many callers that have time limits of their own
const PING_TIMEOUT_MS = 1_000;

/**
 * Creates the parts of the service over an open store.
 *
 * @throws TypeError or CommandError if a setting is invalid.
 */
export function createService(
  config: Config,
  settings: Settings,
  { store: direct, redis }: Connection,
  log: Log,
): Service {
  const prometheus = createPrometheus();
  const observers: Observer[] = [
    log.observer,
    metrics({ meter: prometheus.meter, environments: config.format.environments }).observer,
  ];
  const { ttl, heartbeat } = settings.cache;
  const store = cachedStore(direct, { ttl, heartbeat, storeTimeout: STORE_TIMEOUT, observers });
  const usage = lastUsed(store, { onError: (error) => log.failure(error) });
  const prefix = config.redisPrefix === undefined ? {} : { prefix: config.redisPrefix };
  const rateLimiter = createRateLimiter(redis === undefined ? {} : { store: redisLimits(redis, prefix) });
  const keys = config.manager(store, observers, "10s");
  const common = { store, storeTimeout: STORE_TIMEOUT, rateLimiter } as const;
  const used = [...observers, usage.observer];
  const { trustedProxies, operator, publicUrl } = settings;

  const keyVerifier = config.serviceVerifier({ ...common, observers: used, trustedProxies });
  const verifier = createApiVerifier(keyVerifier, settings, {
    ...{ observers, trustedProxies, scopes: config.scopes },
  });
  const endpoint = createEndpoints(verifier, log);
  const onError = (error: unknown, { requestId }: { readonly requestId: string }) =>
    log.failure(error, requestId);

  return {
    ...{ config, settings, endpoint },
    checkSecret: createSecretCheck(config, { store, operator, rateLimiter, observers: used }),
    management: createManagementApi({
      ...{ keys, verifier, keyVerifier, onError, basePath: MANAGEMENT_PATH, idempotency: "per-process" },
      requires: { read: "keybearer:read", write: "keybearer:write" },
      openapi: { info: { title: "keybearer" } },
    }),
    dashboard:
      publicUrl === undefined
        ? undefined
        : createDashboard({
            ...{ keys, publicUrl, trustedProxies, onError, portalSession: "15m" },
            portalStore: redis === undefined ? memoryPortalStore() : redisPortalStore(redis, prefix),
          }),
    tokens: createTokens(settings, keyVerifier, direct, onError),
    gateway: createGateway(settings, keyVerifier, onError),
    leaks: createLeaks(settings, config, keys, onError),
    bootstrap: endpoint(bootstrapEndpoint(config, direct, config.manager(direct, observers, "10s"))),
    collectSamples: sampleCollector(prometheus.samples),
    async ping() {
      const found = Promise.resolve().then(() => direct.findById("keybearer_ping"));
      await withStoreTimeout(found, PING_TIMEOUT_MS, "The store");
    },
    async close() {
      await usage.close();
      await store.close();
    },
  };
}
