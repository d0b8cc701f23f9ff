import {
  createKeyManager,
  createVerifier,
  type Duration,
  defineScopes,
  hashSecret,
  type KeyRecord,
  type KeyStore,
  keyFormat,
  type RateLimiter,
  type ScopeName,
  type Verifier,
  type VerifierOptions,
} from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";

export const scopes = defineScopes({
  "vehicles:read": {},
  "vehicles:write": { implies: ["vehicles:read"] },
  "drivers:read": {},
  "drivers:write": { implies: ["drivers:read"] },
  "fleet:admin": { implies: ["*"] },
  "reports:read": { status: "planned" },
});

export type FleetScope = ScopeName<typeof scopes>;

export const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });

const HOUR = 3_600_000;
const ISSUED = Date.parse("2030-01-01T00:00:00Z");
/** The time of every verifier: two hours after the keys were issued. */
export const NOW = new Date(ISSUED + 2 * HOUR);

const memory = memoryStore();

/** The number of store lookups. */
export const lookups = { count: 0 };

export const store: KeyStore = {
  async findByHash(hash) {
    lookups.count++;
    return memory.findByHash(hash);
  },
};

async function issueKeys() {
  let time = ISSUED;
  const manager = createKeyManager({ store: memory, scopes, format, clock: () => new Date(time) });
  type Input = Parameters<typeof manager.create>[0];
  const issue = (ownerId: string, granted: readonly FleetScope[], more: Partial<Input> = {}) =>
    manager.create({ ownerId, scopes: granted, environment: "live", ...more });
  const secret = async (...args: Parameters<typeof issue>) => (await issue(...args)).secret;
  const restricted = (ownerId: string, ipAllowlist: readonly string[]) =>
    secret(ownerId, ["vehicles:read"], { ipAllowlist });

  /** Inserts a key that a manager would reject, such as one with an undefined scope. */
  const plant = async (ownerId: string, change: Partial<KeyRecord>) => {
    const { key } = await issue(ownerId, []);
    const plantedSecret = format.generate("live");
    const record = (await memory.findById(key.id)) as KeyRecord;
    const planted = { ...record, ...change, id: `${key.id}_planted`, hash: hashSecret(plantedSecret) };
    const audit = { action: "created", actor: null, at: new Date(time), keyId: planted.id, ownerId } as const;
    await memory.insert(planted, { ...audit, id: planted.id, details: {} });
    return plantedSecret;
  };

  const revoked = await issue("revoked", ["vehicles:read"]);
  await manager.revoke(revoked.key.id, { reason: "leaked" });
  const disabled = await issue("disabled", ["vehicles:read"]);
  await manager.disable(disabled.key.id);
  const suspended = await manager.create({
    ...{ ownerId: "suspended", scopes: ["vehicles:read"], environment: "live" },
  });
  await manager.suspendOwner("suspended");
  const enabled = await issue("enabled", ["vehicles:read"]);
  await manager.disable(enabled.key.id);
  await manager.enable(enabled.key.id);
  const retiring = await issue("retiring", ["vehicles:read"]);
  const successor = await manager.rotate(retiring.key.id, { overlap: "24h" });
  const retired = await issue("retired", ["vehicles:read"]);
  await manager.rotate(retired.key.id, { overlap: "1h" });
  time += HOUR;

  return {
    reader: await secret("reader", ["vehicles:read"]),
    writer: await secret("writer", ["vehicles:write"]),
    dispatcher: await secret("dispatcher", ["drivers:write"]),
    admin: await secret("admin", ["fleet:admin"]),
    scopeless: await secret("scopeless", []),
    detailed: await secret("detailed", ["vehicles:read", "drivers:read"], {
      metadata: { plan: { tier: "gold", tags: ["a"] } },
      expiresAt: "2031-01-01T00:00:00Z",
      ipAllowlist: ["127.0.0.0/8", "::1"],
    }),
    revoked: revoked.secret,
    disabled: disabled.secret,
    suspended: suspended.secret,
    enabled: enabled.secret,
    retiring: retiring.secret,
    successor: successor.secret,
    retired: retired.secret,
    expired: await secret("expired", ["vehicles:read"], { expiresAt: new Date(NOW.getTime() - 1) }),
    expiringNow: await secret("expiringNow", ["vehicles:read"], { expiresAt: NOW }),
    expiringSoon: await secret("expiringSoon", ["vehicles:read"], {
      expiresAt: new Date(NOW.getTime() + 1),
    }),
    testing: await secret("testing", ["vehicles:read"], { environment: "test" }),
    unknown: format.generate("live"),
    unknownTesting: format.generate("test"),
    mismatched: await plant("mismatched", { environment: "test", scopes: ["vehicles:read"] }),
    undefinedScope: await plant("undefinedScope", {
      scopes: ["vehicles:delete", "vehicles", "*", "vehicles:*", "VEHICLES:READ", "__proto__", "constructor"],
    }),
    planned: await plant("planned", { scopes: ["reports:read", "drivers:read"] }),
    local: await restricted("local", ["127.0.0.0/8", "::1"]),
    mapped: await restricted("mapped", ["::ffff:127.0.0.1"]),
    office: await restricted("office", ["203.0.113.0/24", "2001:db8:1::/48"]),
    nowhere: await restricted("nowhere", []),
    localAndLimited: await secret("localAndLimited", ["vehicles:read"], {
      ipAllowlist: ["203.0.113.7"],
      rateLimit: { limit: 1, windowSeconds: 60 },
    }),
    metered: await secret("metered", ["vehicles:read"], { rateLimit: { limit: 100, windowSeconds: 60 } }),
    exhausted: await secret("exhausted", ["vehicles:read"], { rateLimit: { limit: 1, windowSeconds: 60 } }),
  };
}

/** A secret of each kind of key. The owner has the same name, except that the owner of `successor` is `retiring`. */
export const secrets: Awaited<ReturnType<typeof issueKeys>> = await issueKeys();

/** Does not count; denies keys with a limit of one request. */
const rateLimiter: RateLimiter = {
  consume({ rateLimit }) {
    if (!rateLimit) return { allowed: true, states: [] };
    const state = { name: "key", ...rateLimit, remaining: rateLimit.limit - 1, resetSeconds: 30 };
    return { allowed: state.remaining > 0, states: [state] };
  },
};

/** The proxy between clients and service, by the header it writes. */
export const UPSTREAMS = ["none", "x-forwarded-for", "forwarded", "x-real-ip"] as const;
export type Upstream = (typeof UPSTREAMS)[number];

/** Further options of a test verifier. */
export type ExtraOptions = Pick<VerifierOptions<FleetScope>, "observers" | "pepper">;

export function verifierBehind(upstream: Upstream, extra: ExtraOptions = {}): Verifier<FleetScope> {
  return createVerifier({
    store,
    scopes,
    format,
    environment: "live",
    realm: "fleet",
    clock: () => NOW,
    storeTimeout: "30s",
    rateLimiter,
    ...(upstream === "none" ? {} : { trustedProxies: ["loopback"], clientIpHeader: upstream }),
    ...extra,
  });
}

/** Creates a verifier of the same service over another store. */
export function verifierOver(
  faulty: KeyStore,
  storeTimeout: Duration = "5s",
  extra: ExtraOptions = {},
): Verifier<FleetScope> {
  return createVerifier({
    store: faulty,
    scopes,
    format,
    environment: "live",
    realm: "fleet",
    storeTimeout,
    clock: () => NOW,
    ...extra,
  });
}
