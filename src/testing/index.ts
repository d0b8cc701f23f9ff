import type { Awaitable } from "../internal/awaitable.js";
import type { ManagedKeyStore } from "../kit.js";
import { AUDIT_RULES } from "./audit-rules.js";
import { CHANGE_RULES } from "./change-rules.js";
import { CONCURRENCY_RULES } from "./concurrency-rules.js";
import type { Rule } from "./fixtures.js";
import { LIST_RULES } from "./list-rules.js";
import { LOOKUP_RULES } from "./lookup-rules.js";
import { MAINTENANCE_RULES } from "./maintenance-rules.js";
import { TOUCH_RULES } from "./touch-rules.js";

export type { Fault, FaultControl, FaultKind, FaultPlace, FaultyCall } from "./faults.js";
export {
  type FaultyStore,
  type FaultyStoreOptions,
  faultyStore,
  type StoreFault,
  type StoreMethod,
} from "./faulty-store.js";

/** A store for one case, and what to do with it afterwards. */
export interface StoreUnderTest {
  readonly store: ManagedKeyStore;
  /** Called when the case is over, whether it passed or not. */
  close?(): Awaitable<unknown>;
}

/** What a store cannot do, or need not. By default it does everything. */
export interface KeyStoreCapabilities {
  /** How many changes run at once in a case about concurrency: 2 or more, 50 by default. */
  readonly concurrency?: number;
  /** The latest date that the store can keep; the end of the year 9999 by default. */
  readonly latest?: Date;
  /**
   * Whether `findByHash` may hand out the record that the store itself keeps, as a cache does to save a copy;
   * verifiers do not change it. `false` by default. Everything else is copied in any case.
   */
  readonly sharedLookups?: boolean;
}

/** One case of the contract; fails by throwing an `AssertionError`. */
export interface ContractCase {
  /** Says what holds, to be the title of a test. */
  readonly name: string;
  /** Tries it, on a store of its own. */
  run(): Promise<void>;
}

const CAPABILITIES = ["concurrency", "latest", "sharedLookups"];
const END_OF_9999 = new Date("9999-12-31T23:59:59.999Z");
const RULES: readonly Rule[] = [
  ...LOOKUP_RULES,
  ...CHANGE_RULES,
  ...TOUCH_RULES,
  ...CONCURRENCY_RULES,
  ...LIST_RULES,
  ...AUDIT_RULES,
  ...MAINTENANCE_RULES,
];

/**
 * The contract of a `ManagedKeyStore`, as cases for any test runner. Run them over a store of your own before
 * you trust keys to it.
 *
 * `create` is called once for each case. It answers a store that is fresh, empty and migrated, or
 * `{ store, close }` when something has to be closed afterwards. Cases share nothing and may run at once if
 * their stores do not share data.
 *
 * @throws TypeError for a `create` that is no function, or a capability that is unknown or out of range.
 *
 * @example
 * for (const { name, run } of keyStoreContract(() => memoryStore())) test(name, run);
 *
 * @example
 * const create = async () => {
 *   const database = new Database(":memory:");
 *   const store = sqliteStore(database);
 *   await store.migrate();
 *   return { store, close: () => database.close() };
 * };
 * describe("sqliteStore", () => {
 *   for (const { name, run } of keyStoreContract(create)) test(name, run);
 * });
 */
export function keyStoreContract(
  create: () => Awaitable<ManagedKeyStore | StoreUnderTest>,
  capabilities: KeyStoreCapabilities = {},
): readonly ContractCase[] {
  const { concurrency = 50, latest = END_OF_9999, sharedLookups = false } = capabilities;
  if (typeof create !== "function") throw new TypeError("keyStoreContract: expected a function that creates");
  const unknown = Object.keys(capabilities).find((name) => !CAPABILITIES.includes(name));
  if (unknown !== undefined) throw new TypeError(`keyStoreContract: unknown capability "${unknown}"`);
  if (!Number.isInteger(concurrency) || concurrency < 2)
    throw new TypeError('keyStoreContract: "concurrency" must be a whole number above 1');
  if (!(latest instanceof Date) || Number.isNaN(latest.getTime()))
    throw new TypeError('keyStoreContract: "latest" must be a valid Date');
  if (typeof sharedLookups !== "boolean")
    throw new TypeError('keyStoreContract: "sharedLookups" must be true or false');

  return RULES.map(({ name, check }) => ({
    name,
    async run() {
      const created = await create();
      const { store, close }: StoreUnderTest = "store" in created ? created : { store: created };
      try {
        await check(store, { concurrency, latest, sharedLookups });
      } finally {
        await close?.();
      }
    },
  }));
}
