import { checkFunction, checkMethods, checkOptions } from "../internal/validate.js";
import type { KeyStore, ManagedKeyStore } from "../kit.js";
import { type Fault, type FaultControl, withFaults } from "./faults.js";

/** A method that a store may have. */
export type StoreMethod = keyof ManagedKeyStore;

/** What goes wrong in a store, and at which of its calls. */
export type StoreFault = Fault<StoreMethod>;

/** The methods that a store of this kind has, with faults in them. */
export type FaultyStore<S extends KeyStore> = Pick<S, keyof S & StoreMethod> & FaultControl;

/** Options of {@link faultyStore}. */
export interface FaultyStoreOptions {
  /** Where the generator behind `probability` begins, a whole number: 1 by default. */
  readonly seed?: number;
}

/** Every method that there is, whether a store has it or not. */
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
} satisfies Record<StoreMethod, true>) as StoreMethod[];

const PLACE = ["method", "call", "when", "probability"];
const KINDS: Readonly<Record<StoreFault["fault"], readonly string[]>> = {
  throw: ["error"],
  reject: ["error"],
  lose: ["error"],
  hang: [],
  delay: ["ms"],
  answer: ["answer"],
  foreign: [],
  partial: [],
};

/**
 * A store in which things go wrong as planned, to see what a service makes of it: calls that throw, reject, hang,
 * take long, answer the wrong thing or half of it, or write and lose the acknowledgement. Of several faults that fit
 * a call the first one is taken. It has the methods of the interface only; the store itself keeps what else it can do.
 *
 * @throws TypeError for a store without `findByHash`, and for a plan that is no list of faults, naming the member.
 *
 * @example
 * const store = faultyStore(memoryStore(), [
 *   { method: "findByHash", call: [1, 2], fault: "hang" },
 *   { method: ["update", "replace"], fault: "lose" },
 *   { probability: 0.1, fault: "reject" },
 * ]);
 * const verifier = createVerifier({ store, scopes, format });
 * await service.isUnavailable(); // 503, and within the time limit
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
  if (!Number.isSafeInteger(seed)) throw new TypeError(`${where}: "seed" must be a whole number`);
  if (!Array.isArray(plan)) throw new TypeError(`${where}: the plan must be a list of faults`);
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
      `${where}: "method" names ${JSON.stringify(unknown)}; the store has ${methods.join(", ")}`,
    );
  }
  if (![call].flat().every((number) => Number.isSafeInteger(number) && number > 0)) {
    throw new TypeError(`${where}: "call" must be whole numbers above 0`);
  }
  checkFunction(where, "when", when);
  if (!(typeof probability === "number" && probability >= 0 && probability <= 1)) {
    throw new TypeError(`${where}: "probability" must be a number from 0 to 1`);
  }
  if (fault.fault === "delay" && !(typeof fault.ms === "number" && fault.ms >= 0 && fault.ms < 2 ** 31)) {
    throw new TypeError(`${where}: "ms" must be a number of milliseconds`);
  }
}
