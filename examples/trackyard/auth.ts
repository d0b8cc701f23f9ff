import {
  type ApiKey,
  anyVerifier,
  createKeyManager,
  type KeyManager,
  keybearer,
  keyFormat,
  type RateLimiter,
  type Verifier,
} from "keybearer";
import { createDashboard } from "keybearer/dashboard";
import { createJwtVerifier } from "keybearer/jwt";
import { createManagementApi, type RequestHandler } from "keybearer/management";
import { lastUsed } from "keybearer/observers";
import { createRateLimiter } from "keybearer/rate-limit";
import { memoryStore } from "keybearer/stores/memory";
import type { IdentityProvider } from "../identity.js";
import { userOfCookie } from "../session.js";
import { requireConfirmation } from "./confirmation.js";
import { errorBody } from "./errors.js";
import { DEFAULT_SCOPES, scopes, type TrackyardScope } from "./scopes.js";
import type { RequestLog } from "./usage.js";

/** The rate limits of one environment, for each key. */
export interface Limits {
  readonly perMinute: number;
  readonly perDay: number;
}

export type Environment = "live" | "test";

export interface Auth {
  /** Verifies requests for data, in both environments. */
  readonly verifier: Verifier<TrackyardScope>;
  /** Serves `/account/api-keys` for users of an account and for keys with `keys:manage`. */
  readonly management: RequestHandler;
  /** Serves `/account/keys`, the page for users of an account. */
  readonly keyPage: RequestHandler;
  /** Returns a manager with its own clock, to create keys with an earlier date. */
  keysAt(clock: () => Date): KeyManager<TrackyardScope>;
  close(): Promise<void>;
}

const DAY = 86_400_000;
const ROTATION_AGE_DAYS = 90;

export function createAuth(
  identity: IdentityProvider,
  requests: RequestLog,
  limits: Readonly<Record<Environment, Limits>>,
): Auth {
  const store = memoryStore();
  const format = keyFormat({ prefix: "ty", environments: ["live", "test"] });
  const usage = lastUsed(store, { onError: console.error });

  const { verifier, keys } = keybearer({
    store,
    scopes,
    format,
    realm: "trackyard",
    rateLimiter: limitByEnvironment(limits),
    rotationAge: `${ROTATION_AGE_DAYS}d`, // responses to older keys have the header API-Key-Notice
    lastUsed: false, // replaced by `usage`, which is flushed before keys are listed
    observers: [usage.observer],
  });
  const users = createJwtVerifier({
    issuer: identity.issuer,
    audience: identity.audience,
    algorithms: identity.algorithms,
    key: identity.publicKey,
    scopes,
    realm: "trackyard",
    principal: ({ account, role }) => {
      if (typeof account !== "string") return undefined;
      return { ownerId: account, scopes: role === "admin" ? ["admin"] : [...DEFAULT_SCOPES, "keys:manage"] };
    },
  });
  const management = createManagementApi({
    keys,
    verifier: anyVerifier(verifier, users),
    // Allows keys to manage keys of their own environment. A new key has no scope that its creator lacks.
    requires: { read: "keys:manage", write: "keys:manage" },
    basePath: "/account",
    routes: ["list", "create", "get", "update", "revoke", "rotate", "audit"],
    input: {
      create: ["name", "scopes", "environment", "ipAllowlist", "expiresAt"],
      update: ["name", "ipAllowlist", "expiresAt"],
    },
    defaults: ({ environment = "live" }) => ({ scopes: DEFAULT_SCOPES, environment }),
    presenter: {
      naming: "snake_case",
      key: (key) => view(key, requests),
      error: (problem) => ({ body: errorBody(problem, problem.requestId) }),
    },
    onError: console.error,
  });
  const keyPage = createDashboard({
    keys,
    title: "Trackyard API keys",
    theme: { accent: "#0f766e", accentDark: "#2dd4bf" },
    signInUrl: identity.issuer,
    signedIn: async (request) => {
      await usage.flush();
      return userOfCookie(users, request);
    },
    defaults: () => ({ scopes: DEFAULT_SCOPES, environment: "live" }),
    onError: console.error,
  });
  const confirmed = requireConfirmation(management);

  return {
    verifier,
    management: async (request, connection) => {
      await usage.flush();
      return confirmed(request, connection);
    },
    keyPage,
    keysAt: (clock) => createKeyManager({ store, scopes, format, clock }),
    close: () => usage.close(),
  };
}

/**
 * Creates a rate limiter with limits that depend on the environment of the key. The day is counted for the account, so that
 * more keys are not more requests.
 */
function limitByEnvironment(limits: Readonly<Record<Environment, Limits>>): RateLimiter {
  const limiterOf = ({ perMinute, perDay }: Limits) =>
    createRateLimiter({
      windows: [
        { name: "minute", per: "key", limit: perMinute, window: "1m" },
        { name: "day", per: "environment", limit: perDay, window: "1d" },
      ],
    });
  const [live, test] = [limiterOf(limits.live), limiterOf(limits.test)];
  return {
    consume: (key, request) => (key.environment === "test" ? test : live).consume(key, request),
  };
}

/** Returns the view of a key for its account. */
function view(key: ApiKey, requests: RequestLog) {
  const { id, name, start, environment, scopes, status, createdAt, expiresAt, lastUsedAt } = key;
  const due = new Date((createdAt?.getTime() ?? 0) + ROTATION_AGE_DAYS * DAY);
  return {
    id,
    name,
    start,
    environment,
    scopes,
    status: status === "active" || status === "retiring" ? "active" : "revoked",
    created_at: createdAt,
    expires_at: expiresAt,
    last_used_at: lastUsedAt,
    rotation_due_at: due,
    rotation_due: due <= new Date(),
    requests: requests.countOf(id),
  };
}
