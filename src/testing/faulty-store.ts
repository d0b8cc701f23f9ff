import { readDuration } from "../internal/duration.js";
import { checkFunction, checkMethods, checkOptions, describe, readInteger } from "../internal/validate.js";
import type { KeyStore, ManagedKeyStore } from "../kit.js";
import { type Fault, type FaultControl, withFaults } from "./faults.js";

/** A method that a store may have. */
export type StoreMethod = keyof ManagedKeyStore;

/** A fault of a store, and the calls that it applies to. */
export type StoreFault = Fault<StoreMethod>;

/** The methods of a store, with planned faults. */
export type FaultyStore<S extends KeyStore> = Pick<S, keyof S & StoreMethod> & FaultControl;

/** Options of {@link faultyStore}. */
export interface FaultyStoreOptions {
  /** The seed of the generator for `probability`, an integer. 1 by default. */
  readonly seed?: number;
}

/** Every method of {@link ManagedKeyStore}, including the optional ones. */
export const STORE_METHODS: readonly StoreMethod[] = Object.keys({
  findByHash: true,
  findManyByHash: true,
  findById: true,
  list: true,
  insert: true,
  update: true,
  replace: true,
  rehash: true,
  remove: true,
  touch: true,
  auditTrail: true,
  appendAudit: true,
  suspendOwner: true,
  resumeOwner: true,
  changes: true,
} satisfies Record<StoreMethod, true>) as StoreMethod[];

const PLACE = ["method", "call", "when", "probability"];
const KINDS: Readonly<Record<StoreFault["fault"], readonly string[]>> = {
  throw: ["error"],
  reject: ["error"],
  lose: ["error"],
  hang: [],
  delay: ["delay"],
  return: ["value"],
  foreign: [],
  partial: [],
};

/**
 * Wraps a store so that its calls fail as planned, to test how a service handles it: calls that throw, reject, hang,
 * are slow, return wrong or incomplete values, or write and lose the acknowledgement. The first fault that matches a
 * call is applied. The result has only the methods of the store interfaces.
 *
 * @throws TypeError if the store has no `findByHash`, or a fault of the plan is invalid.
 *
 * @example
 * const store = faultyStore(memoryStore(), [
 *   { method: "findByHash", call: [1, 2], fault: "hang" },
 *   { method: ["update", "replace"], fault: "lose" },
 *   { probability: 0.1, fault: "reject" },
 * ]);
 * const verifier = createVerifier({ store, scopes, format });
 * // Requests are now denied with 503, within the time limit.
 * store.heal();
 */
export function faultyStore<S extends KeyStore>(
  store: S,
  plan: readonly StoreFault[],
  options: FaultyStoreOptions = {},
): FaultyStore<S> {
  const where = "faultyStore";
  checkMethods(where, "store", store, ["findByHash"]);
  const { seed = 1 } = checkOptions(where, options, ["seed"]);
  readInteger(where, "seed", seed, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  if (!Array.isArray(plan)) {
    throw new TypeError(`${where}: the plan must be an array of faults; received ${describe(plan)}`);
  }
  const methods = STORE_METHODS.filter(
    (method) => typeof (store as Partial<ManagedKeyStore>)[method] === "function",
  );
  for (const [index, fault] of plan.entries()) checkFault(`${where}: plan[${index}]`, fault, methods);
  return withFaults(store, methods, [...plan], seed) as unknown as FaultyStore<S>;
}

function checkFault(where: string, fault: StoreFault, methods: readonly string[]): void {
  const kind = fault?.fault;
  if (!Object.hasOwn(KINDS, kind ?? "")) {
    throw new TypeError(`${where}: "fault" must be one of ${Object.keys(KINDS).join(", ")}`);
  }
  const {
    method = [],
    call = [],
    when,
    probability = 1,
  } = checkOptions(where, fault, ["fault", ...PLACE, ...KINDS[kind]]);
  const unknown = [method].flat().find((one) => !methods.includes(one));
  if (unknown !== undefined) {
    throw new TypeError(
      `${where}: the store has no method ${JSON.stringify(unknown)}; it has ${methods.join(", ")}`,
    );
  }
  if (![call].flat().every((number) => Number.isSafeInteger(number) && number > 0)) {
    throw new TypeError(`${where}: "call" must be a positive integer or an array of them`);
  }
  checkFunction(where, "when", when);
  if (!(typeof probability === "number" && probability >= 0 && probability <= 1)) {
    throw new TypeError(`${where}: "probability" must be a number from 0 to 1`);
  }
  if (fault.fault === "delay") readDuration(where, "delay", fault.delay, { min: "0ms" });
}
