import { crc32 } from "node:zlib";
import {
  type AuthRequest,
  type AuthResult,
  createKeyManager,
  createVerifier,
  defineScopes,
  type KeyEvent,
  type KeyHash,
  type KeyManager,
  type KeyStore,
  keyFormat,
  type ManagedKeyStore,
  type VerifiableRecord,
  type Verifier,
  type VerifierOptions,
} from "../../../src/index.js";
import { memoryStore } from "../../../src/stores/memory.js";

/** The scopes that most tests use: a chain, a wildcard, and one that is planned. */
export const scopes = defineScopes({
  "vehicles:read": { description: "List vehicles" },
  "vehicles:write": { description: "Change vehicles", implies: ["vehicles:read"], audit: true },
  "drivers:read": {},
  "fleet:admin": { implies: ["*"] },
  "reports:read": { status: "planned" },
});

export type FleetScope = (typeof scopes.names)[number];

export const format = keyFormat({ prefix: "ezt", environments: ["live", "test"] });

const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** The checksum as the documentation has it, with the CRC-32 of zlib. */
export function checksum(text: string): string {
  let rest = BigInt(crc32(text));
  let digits = "";
  for (let i = 0; i < 6; i++, rest /= 62n) digits = BASE62[Number(rest % 62n)] + digits;
  return digits;
}

export const START: Date = new Date("2030-01-01T00:00:00Z");

/** A clock that stands still until it is moved. */
export function stoppedClock(at: Date = START): { now: () => Date; set(at: Date | number): void } {
  let time = at.getTime();
  return {
    now: () => new Date(time),
    set(to) {
      time = Number(to);
    },
  };
}

export interface Service {
  readonly store: ManagedKeyStore;
  readonly manager: KeyManager<FleetScope>;
  readonly verifier: Verifier<FleetScope>;
  readonly clock: ReturnType<typeof stoppedClock>;
  readonly events: KeyEvent[];
}

/** A manager and a verifier over one memory store, with a stopped clock and every event kept. */
export function service(options: Partial<VerifierOptions<FleetScope>> = {}): Service {
  const store = memoryStore();
  const clock = stoppedClock();
  const events: KeyEvent[] = [];
  const observers = [(event: KeyEvent) => events.push(event)];
  const pepper = options.pepper === undefined ? {} : { pepper: options.pepper };
  return {
    store,
    clock,
    events,
    manager: createKeyManager({ store, scopes, format, clock: clock.now, observers, ...pepper }),
    verifier: createVerifier({ store, scopes, format, clock: clock.now, observers, ...options }),
  };
}

/** A request with `Authorization: Bearer <secret>`. */
export function bearer(secret: string, more: Partial<AuthRequest> = {}): AuthRequest {
  return { headers: { authorization: `Bearer ${secret}` }, ...more };
}

/** A store with the one method that verification needs. */
export function storeOf(answer: (hash: KeyHash) => ReturnType<KeyStore["findByHash"]>): KeyStore {
  return { findByHash: answer };
}

/** The least that a store may answer, and whatever a test adds to it. */
export function recordOf(hash: KeyHash, more: Partial<VerifiableRecord> = {}): VerifiableRecord {
  return { id: "key_1", hash, ownerId: "acme", scopes: ["vehicles:read"], ...more };
}

/** The error of a refusal. */
export function refused(result: AuthResult): Extract<AuthResult, { ok: false }>["error"] {
  if (result.ok) throw new Error("the request was let through");
  return result.error;
}

/** The principal of a request that was let through. */
export function allowed<S extends string>(
  result: AuthResult<S>,
): Extract<AuthResult<S>, { ok: true }>["principal"] {
  if (!result.ok) throw new Error(`the request was refused: ${result.error.code}`);
  return result.principal;
}

/** What a function throws, or a promise is rejected with. */
export async function thrownBy(action: () => unknown): Promise<unknown> {
  try {
    await action();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

/** Runs while members stand on the prototype of every object. */
export async function polluted(members: object, run: () => unknown): Promise<void> {
  const names = Object.keys(members);
  try {
    for (const name of names) {
      const value = (members as Record<string, unknown>)[name];
      Object.defineProperty(Object.prototype, name, { value, configurable: true, writable: true });
    }
    await run();
  } finally {
    for (const name of names) delete (Object.prototype as Record<string, unknown>)[name];
  }
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
