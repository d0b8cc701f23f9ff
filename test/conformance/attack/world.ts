import { anyVerifier } from "../../../src/core/verifier/any-verifier.js";
import { hashSecret, type KeyStore, type ManagedKeyStore, type Verifier } from "../../../src/index.js";
import { createJwtVerifier } from "../../../src/jwt/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import {
  type ExtraOptions,
  type FleetScope,
  scopes,
  secrets,
  type Upstream,
  verifierBehind,
  verifierOver,
} from "../../unit/adapters/fixtures.js";
import { AUDIENCE, ec, ISSUER, NOW } from "../../unit/jwt/fixtures.js";
import { type Api, DAY, later, managementApi } from "../../unit/management/fixtures.js";

/** The error message of a failing database, which must not reach a client. */
export const LEAK = "connect ECONNREFUSED db.internal:5432 password=hunter2";

/** The store of the management API. */
export const managedStore = memoryStore();
const store = managedStore;
const issuing = managementApi({}, { store });

/** What observes a service under attack. */
export interface Watch extends ExtraOptions {
  /** For the management API. */
  readonly onError?: (error: unknown) => void;
}

/** Creates a management API at `/manage`. Keys and people need `vehicles:write` to change keys. */
export function apiOver(over: ManagedKeyStore, upstream: Upstream, { onError, ...watched }: Watch = {}): Api {
  const trust = upstream === "none" ? {} : { trustedProxies: ["loopback"], clientIpHeader: upstream };
  return managementApi(
    {
      basePath: "/manage",
      requires: { read: "vehicles:read", write: "vehicles:write" },
      ...(onError && { onError }),
    },
    { store: over, verifierOptions: { ...trust, ...watched } },
  );
}

const issue = async (input: Parameters<typeof issuing.issue>[0]) => issuing.issue(input);
const creator = await issue({
  scopes: ["vehicles:write"],
  ipAllowlist: ["127.0.0.0/8", "::1", "203.0.113.0/24"],
  expiresAt: later(30 * DAY),
  rateLimit: { limit: 10, windowSeconds: 60 },
});
const revoked = await issue({ scopes: ["fleet:admin"] });
await issuing.manager.revoke(revoked.key.id);
const disabled = await issue({ scopes: ["fleet:admin"] });
await issuing.manager.disable(disabled.key.id);

/** The keys in the store of the management API. */
export const managed = {
  creator,
  revoked,
  disabled,
  reader: await issue({ scopes: ["vehicles:read"] }),
  admin: await issue({ scopes: ["fleet:admin"] }),
  testing: await issue({ environment: "test" }),
  foreign: await issue({ ownerId: "evil" }),
};

/** Returns the contents of the store of the management API, for comparison. */
export async function managedState(): Promise<string> {
  const { items } = await store.list({ now: later(0), limit: 1_000 });
  const trail = await Promise.all(items.map(({ id }) => store.auditTrail({ keyId: id, limit: 1_000 })));
  return JSON.stringify([items, trail]);
}

const jwt = ({ observers = [] }: ExtraOptions): Verifier<FleetScope> =>
  createJwtVerifier<FleetScope>({
    issuer: ISSUER,
    audience: AUDIENCE,
    algorithms: ["ES256"],
    key: ec.publicKey,
    scopes,
    realm: "fleet",
    clock: () => new Date(NOW * 1_000),
    observers,
  });

/** Creates the verifier of the service under attack, for keys and JWTs. */
export const verifierFor = (upstream: Upstream, { observers, pepper }: Watch = {}): Verifier<FleetScope> => {
  const watched = { ...(observers && { observers }), ...(pepper && { pepper }) };
  return anyVerifier(verifierBehind(upstream, watched), jwt(watched));
};

/** Creates an error like those of drivers, with details in every place. */
export function driverError(parameter = LEAK): Error {
  const message = `${LEAK} ${parameter}`;
  return Object.assign(new Error(message, { cause: new Error(message) }), {
    code: "ECONNREFUSED",
    parameters: [parameter],
    sql: `select * from api_keys -- ${message}`,
  });
}

const { reader, writer, dispatcher, admin, scopeless, detailed, enabled, metered, local } = secrets;
const good = { id: "key_1", ownerId: "reader", scopes: ["vehicles:read"] };
const FAULTS = new Map<string, (hash: string) => unknown>([
  [reader, (hash) => Promise.reject(driverError(hash))],
  [writer, () => Promise.reject(LEAK)],
  [dispatcher, () => new Promise(() => {})],
  [admin, () => ({ ...good, hash: hashSecret(writer) })],
  [scopeless, () => ({})],
  [detailed, () => Promise.reject(undefined)],
  [
    enabled,
    (hash) =>
      Promise.reject(Object.assign(new Error(LEAK), { name: LEAK, stack: LEAK, hash, toJSON: () => hash })),
  ],
  [metered, () => ({ ...good, hash: hashSecret(metered), scopes: LEAK })],
  [local, (hash) => Promise.reject(new AggregateError([driverError(hash)], LEAK))],
]);

function failing(pepper: ExtraOptions["pepper"]): KeyStore {
  const faults = new Map([...FAULTS].map(([secret, fault]) => [hashSecret(secret, pepper), fault]));
  return {
    findByHash(hash) {
      const fault = faults.get(hash);
      if (fault === undefined) throw driverError(hash);
      return fault(hash) as ReturnType<KeyStore["findByHash"]>;
    },
  };
}

/** Creates a verifier whose store fails in a different way for each key. */
export const brokenVerifier = ({ observers, pepper }: Watch = {}): Verifier<FleetScope> => {
  const watched = { ...(observers && { observers }), ...(pepper && { pepper }) };
  return anyVerifier(verifierOver(failing(pepper), "60ms", watched), jwt(watched));
};

/** Creates a management API whose store is down. */
export function brokenApi(watch: Watch = {}): Api {
  const members = Object.entries(store).map(([name, value]) => [
    name,
    typeof value === "function"
      ? (...given: unknown[]) => Promise.reject(driverError(JSON.stringify(given)))
      : value,
  ]);
  const down = Object.fromEntries(members) as ManagedKeyStore;
  return apiOver(down, "none", watch);
}

export const apiBehind = (upstream: Upstream, watch: Watch = {}): Api => apiOver(store, upstream, watch);
