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

/** The scopes of most tests: an implication, a wildcard and a planned scope. */
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

/** Computes the documented checksum with the CRC-32 of zlib. */
export function checksum(text: string): string {
  let rest = BigInt(crc32(text));
  let digits = "";
  for (let i = 0; i < 6; i++, rest /= 62n) digits = BASE62[Number(rest % 62n)] + digits;
  return digits;
}

export const START: Date = new Date("2030-01-01T00:00:00Z");

/** Creates a clock that only `set` moves. */
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

/** Creates a manager and a verifier over one memory store, with a stopped clock and a list of all events. */
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

/** Returns a request with `Authorization: Bearer <secret>`. */
export function bearer(secret: string, more: Partial<AuthRequest> = {}): AuthRequest {
  return { headers: { authorization: `Bearer ${secret}` }, ...more };
}

/** Returns a store with only `findByHash`. */
export function storeOf(findByHash: (hash: KeyHash) => ReturnType<KeyStore["findByHash"]>): KeyStore {
  return { findByHash };
}

/** Returns a record with the required members, and `more`. */
export function recordOf(hash: KeyHash, more: Partial<VerifiableRecord> = {}): VerifiableRecord {
  return { id: "key_1", hash, ownerId: "acme", scopes: ["vehicles:read"], ...more };
}

/** Returns the error of a denied request. */
export function errorOf(result: AuthResult): Extract<AuthResult, { ok: false }>["error"] {
  if (result.ok) throw new Error("the request was allowed");
  return result.error;
}

/** Returns the principal of an allowed request. */
export function allowed<S extends string>(
  result: AuthResult<S>,
): Extract<AuthResult<S>, { ok: true }>["principal"] {
  if (!result.ok) throw new Error(`the request was denied: ${result.error.code}`);
  return result.principal;
}

/** Returns what a function throws or a promise rejects with. */
export async function thrownBy(action: () => unknown): Promise<unknown> {
  try {
    await action();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

/** Runs a function while `Object.prototype` has these members. */
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
