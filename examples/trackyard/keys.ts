import {
  type ApiKey,
  anyVerifier,
  createKeyManager,
  createVerifier,
  type KeyManager,
  keyFormat,
  type RateLimiter,
  type Verifier,
} from "keybearer";
import { createJwtVerifier } from "keybearer/jwt";
import { createManagementApi, type RequestHandler } from "keybearer/management";
import { lastUsed } from "keybearer/observers";
import { createRateLimiter } from "keybearer/rate-limit";
import { memoryStore } from "keybearer/stores/memory";
import type { IdentityProvider } from "../identity.js";
import { confirmed } from "./confirmed.js";
import { errorBody } from "./failure.js";
import { scopes, type TrackyardScope, USUAL } from "./scopes.js";
import type { Usage } from "./usage.js";

/** What a key may send in each environment. */
export interface Limits {
  readonly perMinute: number;
  readonly perDay: number;
}

export type Environment = "live" | "test";

/** What the API needs to know of keys. */
export interface Keys {
  /** Decides over requests for data, in both environments. */
  readonly verifier: Verifier<TrackyardScope>;
  /** `/account/api-keys`, for the people of an account and for keys with `keys:manage`. */
  readonly management: RequestHandler;
  /** Issues keys at a time of one's choice, for a start with some. */
  issuer(clock: () => Date): KeyManager<TrackyardScope>;
  close(): Promise<void>;
}

const DAY = 86_400_000;
const ROTATION_AGE_DAYS = 90;

export function createKeys(
  identity: IdentityProvider,
  requests: Usage,
  limits: Readonly<Record<Environment, Limits>>,
): Keys {
  const store = memoryStore();
  const format = keyFormat({ prefix: "ty", environments: ["live", "test"] });
  const uses = lastUsed(store, { onError: console.error });
  const issuer = (clock: () => Date) => createKeyManager({ store, scopes, format, clock });

  const verifier = createVerifier({
    store,
    scopes,
    format,
    realm: "trackyard",
    rateLimiter: perEnvironment(limits),
    rotationAge: `${ROTATION_AGE_DAYS}d`, // from then on, responses have the header API-Key-Notice
    observers: [uses.observer],
  });
  const people = createJwtVerifier({
    issuer: identity.issuer,
    audience: identity.audience,
    algorithms: identity.algorithms,
    key: identity.publicKey,
    scopes,
    realm: "trackyard",
    principal: ({ account, role }) => {
      if (typeof account !== "string") return undefined;
      return { ownerId: account, scopes: role === "admin" ? ["admin"] : [...USUAL, "keys:manage"] };
    },
  });
  const management = createManagementApi({
    manager: issuer(() => new Date()),
    verifier: anyVerifier(verifier, people),
    // Else no key could manage keys. One that may gives away what it has at most, and in its own environment.
    requires: { read: "keys:manage", write: "keys:manage" },
    basePath: "/account",
    routes: ["list", "create", "get", "update", "revoke", "rotate", "audit"],
    input: {
      create: ["name", "scopes", "environment", "ipAllowlist", "expiresAt"],
      update: ["name", "ipAllowlist", "expiresAt"],
    },
    defaults: ({ environment = "live" }) => ({ scopes: USUAL, environment }),
    presenter: {
      naming: "snake_case",
      key: (key) => view(key, requests),
      error: (problem) => ({ body: errorBody(problem, problem.requestId) }),
    },
    onError: console.error,
  });

  return {
    verifier,
    management: async (request, connection) => {
      await uses.flush(); // the list shows the last use of a moment ago
      return confirmed(management)(request, connection);
    },
    issuer,
    close: () => uses.close(),
  };
}

/** Each key counts for itself, and how much it may depends on its environment. */
function perEnvironment(limits: Readonly<Record<Environment, Limits>>): RateLimiter {
  const limiterOf = ({ perMinute, perDay }: Limits) =>
    createRateLimiter({
      windows: [
        { name: "minute", per: "key", limit: perMinute, windowSeconds: 60 },
        { name: "day", per: "key", limit: perDay, windowSeconds: 86_400 },
      ],
    });
  const [live, test] = [limiterOf(limits.live), limiterOf(limits.test)];
  return {
    consume: (key, request) => (key.environment === "test" ? test : live).consume(key, request),
  };
}

/** A key in the list of its account. */
function view(key: ApiKey, requests: Usage) {
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
    requests: requests.requestsOf(id),
  };
}
