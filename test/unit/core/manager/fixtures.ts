import {
  createKeyManager,
  type KeyManager,
  type KeyManagerOptions,
  type ManagedKeyStore,
} from "../../../../src/index.js";
import { memoryStore } from "../../../../src/stores/memory.js";
import { type FleetScope, format, START, scopes, stoppedClock } from "../fixtures.js";

/** A valid input of `create`. */
export const INPUT = { ownerId: "acme", scopes: ["vehicles:read"], environment: "live" } as const;

/** The start of the stopped clock plus some milliseconds. */
export function later(ms: number): Date {
  return new Date(START.getTime() + ms);
}

/** A manager over a memory store with a stopped clock, unless the options name others. */
export function createManager(options: Partial<KeyManagerOptions<FleetScope>> = {}): {
  readonly store: ManagedKeyStore;
  readonly clock: ReturnType<typeof stoppedClock>;
  readonly manager: KeyManager<FleetScope>;
} {
  const store = options.store ?? memoryStore();
  const clock = stoppedClock();
  return { store, clock, manager: createKeyManager({ store, scopes, format, clock: clock.now, ...options }) };
}
