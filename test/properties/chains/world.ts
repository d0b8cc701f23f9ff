import { generateKeyPairSync } from "node:crypto";
import {
  type AuthResult,
  anyVerifier,
  createKeyManager,
  createVerifier,
  defineScopes,
  type KeyEvent,
  type KeyManager,
  type RateLimiter,
  type Verifier,
} from "../../../src/index.js";
import { createJwtVerifier } from "../../../src/jwt/index.js";
import { createManagementApi } from "../../../src/management/index.js";
import { createTokenService, type TokenService } from "../../../src/oauth/index.js";
import { createRateLimiter, memoryLimits } from "../../../src/rate-limit/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { format, START, stoppedClock } from "../../unit/core/fixtures.js";
import { type Address, ENVIRONMENTS, type Environment, type Scope, type Sent } from "./oracle.js";

export const OWN = "https://api.example.com";
export const PARTNER = "https://partner.example.com";
export const TTL_MS = 600_000;
const signingKey = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;

const scopes = defineScopes({
  "keys:manage": {},
  "vehicles:read": {},
  "vehicles:write": { implies: ["vehicles:read"] },
  "drivers:read": {},
});

/** The service of one environment. */
export interface Service {
  readonly tokens: TokenService<Scope>;
  readonly verifier: Verifier<Scope>;
  /** Accepts the tokens for another audience. */
  readonly partner: Verifier<Scope>;
  /** The same keys and tokens, with a rate limiter. */
  readonly limited: Verifier<Scope>;
  readonly handler: ReturnType<typeof createManagementApi>;
}

export interface World {
  /** Receives the events of the verifiers. */
  observe: (event: KeyEvent) => void;
  readonly clock: ReturnType<typeof stoppedClock>;
  readonly keys: KeyManager<Scope>;
  readonly services: Readonly<Record<Environment, Service>>;
  verify(credential: string, sent: Sent): Promise<AuthResult<Scope>>;
}

const worlds = new Map<boolean, World>();

/** Returns a world that chains share one after another, because its schemas take long to create. */
export function worldOf(tokensMayGrant: boolean, observe: World["observe"]): World {
  const world = worlds.get(tokensMayGrant) ?? createWorld(tokensMayGrant);
  worlds.set(tokensMayGrant, world);
  world.observe = observe;
  world.clock.set(START);
  return world;
}

/** Creates the services of both environments over one store. */
function createWorld(tokensMayGrant: boolean): World {
  const clock = stoppedClock();
  const observe = (event: KeyEvent) => world.observe(event);
  const store = memoryStore();
  const common = { scopes, clock: clock.now, observers: [observe] };
  const rateLimiter: RateLimiter = { consume: () => ({ allowed: true, states: [] }) };
  const keys = createKeyManager<Scope, Environment>({ store, scopes, format, clock: clock.now });

  const serviceOf = (environment: Environment): Service => {
    const verifier = createVerifier({ ...common, store, format, environment, rateLimiter });
    const tokensOf = (issuing: Verifier<Scope>) =>
      createTokenService<Scope>({
        issuer: OWN,
        audience: OWN,
        otherAudiences: [PARTNER],
        signingKey: { key: signingKey, kid: "1" },
        ttl: `${TTL_MS}ms`,
        verifier: issuing,
        store,
        keyTtl: "0s",
        revocations: "per-process",
      });
    const tokens = tokensOf(verifier);
    const partner = createJwtVerifier<Scope>({
      ...{ scopes, clock: clock.now, environment, rateLimiter, keyStore: store, keyTtl: "0s", typ: "at+jwt" },
      ...{ issuer: OWN, audience: PARTNER, algorithms: ["ES256"], jwks: tokens.jwks() },
    });
    const counting = createRateLimiter({ store: memoryLimits({ clock: clock.now }) });
    const limitedKeys = createVerifier({ ...common, store, format, environment, rateLimiter: counting });
    return {
      tokens,
      verifier: anyVerifier(verifier, tokens.verifier),
      partner,
      limited: anyVerifier(limitedKeys, tokensOf(limitedKeys).verifier),
      handler: createManagementApi<Scope>({
        keys,
        verifier: anyVerifier(verifier, tokens.verifier),
        requires: { read: "keys:manage", write: "keys:manage" },
        tokensMayGrant,
      }),
    };
  };
  const services = Object.fromEntries(ENVIRONMENTS.map((name) => [name, serviceOf(name)])) as Record<
    Environment,
    Service
  >;

  const world: World = {
    observe: () => {},
    clock,
    keys: keys as KeyManager<Scope>,
    services,
    verify(credential, { audience, environment, scope, address }) {
      const service = services[environment];
      const verifier = audience === "own" ? service.verifier : service.partner;
      return verifier.verify(requestOf(credential, address), scope);
    },
  };
  return world;
}

export function requestOf(credential: string, address: Address) {
  const headers = { authorization: `Bearer ${credential}` };
  return address === undefined ? { headers } : { headers, remoteAddress: address };
}

export interface Reply {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: each caller knows the shape of its body
  readonly body: any;
}

/** Sends a request such as `POST /api-keys` to the management API of a service. */
export async function call(
  { handler }: Service,
  line: string,
  credential: string,
  address: Address,
  json?: unknown,
): Promise<Reply> {
  const [method = "", path = ""] = line.split(" ");
  const headers: Record<string, string> = { authorization: `Bearer ${credential}` };
  if (json !== undefined) headers["content-type"] = "application/json";
  const request = new Request(`http://localhost${path}`, {
    method,
    headers,
    ...(json !== undefined && { body: JSON.stringify(json) }),
  });
  const response = await handler(request, address === undefined ? {} : { remoteAddress: address });
  const text = await response.text();
  return { status: response.status, body: text === "" ? {} : JSON.parse(text) };
}
