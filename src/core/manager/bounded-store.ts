import { isPromiseLike } from "../../internal/awaitable.js";
import { withTimeout } from "../../internal/timeout.js";
import { StoreError } from "../errors.js";
import type { ManagedKeyStore } from "../keys/store.js";

const READS = ["findByHash", "findById", "list", "auditTrail"] as const;
const WRITES = ["insert", "update", "replace", "remove"] as const;

/** What a manager asks of its store. */
export type ManagerStore = Pick<ManagedKeyStore, (typeof READS)[number] | (typeof WRITES)[number]>;

type Method = (...parameters: unknown[]) => unknown;

/**
 * Puts every call of a manager behind a time limit. What the store fails with stays what it is. A write that is given up
 * goes on, and nobody knows what becomes of it: its error says so.
 */
export function boundedStore(store: ManagedKeyStore, timeoutMs: number): ManagerStore {
  const bounded = (method: keyof ManagerStore, consequence: string): [string, Method] => [
    method,
    (...parameters) => {
      const answer = (store[method] as Method)(...parameters);
      const onTimeout = () =>
        new StoreError(`The key store did not respond within ${timeoutMs} ms${consequence}`);
      return isPromiseLike(answer) ? withTimeout(answer, timeoutMs, { onTimeout }) : answer;
    },
  ];
  const writes = WRITES.filter((method) => typeof store[method] === "function"); // purge alone needs remove
  return Object.fromEntries([
    ...READS.map((method) => bounded(method, "")),
    ...writes.map((method) => bounded(method, "; what it was to write may have happened")),
  ]) as unknown as ManagerStore;
}
