import {
  type ApiKey,
  type AuthRequest,
  createKeyManager,
  createVerifier,
  type IssuedKey,
  type KeyManager,
  type ManagedKeyStore,
  type Principal,
  type RateLimiter,
  type Verifier,
  type VerifierOptions,
} from "../../../src/index.js";
import { createVerifierBase, createVerifierFrom } from "../../../src/kit.js";
import { createManagementApi, type ManagementOptions } from "../../../src/management/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { type FleetScope, format, START, scopes, stoppedClock } from "../core/fixtures.js";

/** The subject of a token. */
export interface User {
  readonly id: string;
  readonly ownerId: string;
  readonly scopes: readonly FleetScope[];
  readonly environment?: string;
  /** For a token made from a key. */
  readonly key?: ApiKey;
  readonly claims?: Readonly<Record<string, unknown>>;
}

/** Verifies tokens such as `jwt-ann`, which `users` maps to principals. */
export function tokenVerifier(users: Readonly<Record<string, User>>): Verifier<FleetScope> {
  const base = createVerifierBase<FleetScope>({ scopes }, { where: "tokens", noun: "token" });
  return createVerifierFrom(base, (context) => {
    const token = base.credential(context.request);
    if (typeof token !== "string") return base.deny(context, token.fault);
    const user = Object.hasOwn(users, token) ? users[token] : undefined;
    if (user === undefined) return base.deny(context, "invalid_token");
    context.subject = user;
    const { requirement } = context.route;
    if (requirement !== undefined && !scopes.explain(user.scopes, requirement).granted) {
      return base.deny(context, "insufficient_scope");
    }
    const principal: Principal<FleetScope> = Object.freeze({
      type: "jwt",
      environment: undefined,
      ...user,
      requestId: "",
      can: (scope: FleetScope) => scopes.holds(user.scopes, scope),
    });
    return base.allow(context, principal);
  });
}

/** Verifies API keys with one verifier and tokens with the other. */
export function either(keys: Verifier<FleetScope>, tokens: Verifier<FleetScope>): Verifier<FleetScope> {
  const isKey = ({ headers }: AuthRequest) =>
    /bearer ezt_/i.test((headers as Headers).get("authorization") ?? "");
  return {
    assertRequirement: keys.assertRequirement,
    verify: (request, required) => (isKey(request) ? keys : tokens).verify(request, required),
  };
}

export const USERS: Readonly<Record<string, User>> = {
  "jwt-ann": { id: "ann", ownerId: "acme", scopes: ["fleet:admin"] },
  "jwt-bob": { id: "bob", ownerId: "acme", scopes: ["vehicles:read"] },
  "jwt-eve": { id: "eve", ownerId: "evil", scopes: ["fleet:admin"] },
  "jwt-tess": { id: "tess", ownerId: "acme", scopes: ["fleet:admin"], environment: "test" },
};

export interface ApiResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: each test knows the shape of its body
  readonly body: any;
}

export interface Call {
  readonly as?: string | undefined;
  readonly json?: unknown;
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Api {
  readonly store: ManagedKeyStore;
  readonly manager: KeyManager<FleetScope>;
  readonly verifier: Verifier<FleetScope>;
  readonly clock: ReturnType<typeof stoppedClock>;
  readonly errors: unknown[];
  readonly handler: ReturnType<typeof createManagementApi>;
  /** Sends a request such as `"POST /api-keys"`. */
  call(line: string, call?: Call): Promise<ApiResponse>;
  /** Creates a key of acme for the live environment. */
  issue(input?: Partial<Parameters<KeyManager<FleetScope>["create"]>[0]>): Promise<IssuedKey>;
}

/** What {@link managementApi} can set apart from options of the API. */
export interface Setup {
  readonly store?: ManagedKeyStore;
  readonly users?: Readonly<Record<string, User>>;
  readonly rateLimiter?: RateLimiter;
  readonly maxLifetime?: `${number}d`;
  readonly verifierOptions?: Partial<VerifierOptions<FleetScope>>;
}

/** Creates a management API over one store, for users with tokens and for keys. */
export function managementApi(
  options: Partial<ManagementOptions<FleetScope>> = {},
  { store = memoryStore(), users = USERS, rateLimiter, maxLifetime, verifierOptions }: Setup = {},
): Api {
  const clock = stoppedClock();
  const errors: unknown[] = [];
  const manager: KeyManager<FleetScope> = createKeyManager({
    store,
    scopes,
    format,
    clock: clock.now,
    ...(maxLifetime && { maxLifetime }),
    ...(verifierOptions?.pepper && { pepper: verifierOptions.pepper }),
    ...(verifierOptions?.observers && { observers: verifierOptions.observers }),
  });
  const keys = createVerifier({
    store,
    scopes,
    format,
    clock: clock.now,
    ...(rateLimiter && { rateLimiter }),
    ...verifierOptions,
  });
  const verifier = either(keys, tokenVerifier(users));
  const handler = createManagementApi<FleetScope>({
    keys: manager,
    verifier,
    onError: (error) => errors.push(error),
    ...options,
  });
  return {
    store,
    manager,
    verifier: keys,
    clock,
    errors,
    handler,
    call: (line, call) => send(handler, line, call),
    issue: (input) =>
      manager.create({ ownerId: "acme", scopes: ["vehicles:read"], environment: "live", ...input }),
  };
}

export async function send(handler: Api["handler"], line: string, call: Call = {}): Promise<ApiResponse> {
  const [method = "", target = ""] = line.split(" ");
  const { as = "jwt-ann", json, text = json === undefined ? undefined : JSON.stringify(json) } = call;
  const headers: Record<string, string> = {};
  if (!("as" in call) || call.as !== undefined) headers.authorization = `Bearer ${as}`;
  if (text !== undefined) headers["content-type"] = "application/json";
  const request = new Request(`http://localhost${target}`, {
    method,
    headers: { ...headers, ...call.headers },
    ...(text !== undefined && { body: text }),
  });
  const response = await handler(request, { remoteAddress: "203.0.113.7" });
  const body = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text: body,
    body: body === "" ? undefined : JSON.parse(body),
  };
}

export const later = (ms: number): Date => new Date(START.getTime() + ms);
export const DAY = 86_400_000;
