import { createVerifierBase } from "../../../src/core/verifier/base.js";
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
import { createManagementApi, type ManagementOptions } from "../../../src/management/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { type FleetScope, format, START, scopes, stoppedClock } from "../core/fixtures.js";

/** Whoever a token stands for. */
export interface Person {
  readonly id: string;
  readonly ownerId: string;
  readonly scopes: readonly FleetScope[];
  readonly environment?: string;
  /** For a token that was made of a key. */
  readonly key?: ApiKey;
  readonly claims?: Readonly<Record<string, unknown>>;
}

/** A verifier of tokens such as `jwt-ann`, of which a table says whose they are. */
export function tokenVerifier(people: Readonly<Record<string, Person>>): Verifier<FleetScope> {
  const kit = createVerifierBase<FleetScope>({ scopes }, { where: "tokens", noun: "token" });
  return {
    assertRequirement: scopes.assertRequirement,
    async verify(request, required) {
      const attempt = kit.begin(request, required);
      const token = kit.credential(request);
      if (typeof token !== "string") return kit.deny(attempt, token.fault);
      const person = Object.hasOwn(people, token) ? people[token] : undefined;
      if (person === undefined) return kit.deny(attempt, "invalid_token");
      attempt.subject = person;
      if (required !== undefined && !scopes.explain(person.scopes, required).granted) {
        return kit.deny(attempt, "insufficient_scope");
      }
      const principal: Principal<FleetScope> = Object.freeze({
        type: "jwt",
        environment: undefined,
        ...person,
        requestId: "",
        can: (scope: FleetScope) => scopes.holds(person.scopes, scope),
      });
      return kit.allow(attempt, principal);
    },
  };
}

/** Tokens to one verifier, keys to the other. */
export function either(keys: Verifier<FleetScope>, tokens: Verifier<FleetScope>): Verifier<FleetScope> {
  const isKey = ({ headers }: AuthRequest) =>
    /bearer ezt_/i.test((headers as Headers).get("authorization") ?? "");
  return {
    assertRequirement: keys.assertRequirement,
    verify: (request, required) => (isKey(request) ? keys : tokens).verify(request, required),
  };
}

export const PEOPLE: Readonly<Record<string, Person>> = {
  "jwt-ann": { id: "ann", ownerId: "acme", scopes: ["fleet:admin"] },
  "jwt-bob": { id: "bob", ownerId: "acme", scopes: ["vehicles:read"] },
  "jwt-eve": { id: "eve", ownerId: "evil", scopes: ["fleet:admin"] },
  "jwt-tess": { id: "tess", ownerId: "acme", scopes: ["fleet:admin"], environment: "test" },
};

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: bodies are whatever a test expects of them
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
  call(line: string, call?: Call): Promise<Answered>;
  /** Makes a key of acme for the live environment. */
  issue(input?: Partial<Parameters<KeyManager<FleetScope>["create"]>[0]>): Promise<IssuedKey>;
}

/** Settings of {@link managementApi} beside the options of the API. */
export interface Setting {
  readonly store?: ManagedKeyStore;
  readonly people?: Readonly<Record<string, Person>>;
  readonly rateLimiter?: RateLimiter;
  readonly maxLifetime?: `${number}d`;
  readonly verifierOptions?: Partial<VerifierOptions<FleetScope>>;
}

/** A management API over one store, for people with tokens and for keys. */
export function managementApi(
  options: Partial<ManagementOptions<FleetScope>> = {},
  { store = memoryStore(), people = PEOPLE, rateLimiter, maxLifetime, verifierOptions }: Setting = {},
): Api {
  const clock = stoppedClock();
  const errors: unknown[] = [];
  const manager = createKeyManager({
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
  const verifier = either(keys, tokenVerifier(people));
  const handler = createManagementApi<FleetScope>({
    manager,
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

export async function send(handler: Api["handler"], line: string, call: Call = {}): Promise<Answered> {
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
  const answer = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text: answer,
    body: answer === "" ? undefined : JSON.parse(answer),
  };
}

export const later = (ms: number): Date => new Date(START.getTime() + ms);
export const DAY = 86_400_000;
