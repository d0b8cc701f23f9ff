import type { Awaitable } from "../internal/awaitable.js";
import { checkBoolean, checkOptions, describe, readInteger } from "../internal/validate.js";
import type { ManagedKeyStore } from "../kit.js";
import { AUDIT_RULES } from "./audit-rules.js";
import { CHANGE_RULES } from "./change-rules.js";
import { CONCURRENCY_RULES } from "./concurrency-rules.js";
import { FEED_RULES } from "./feed-rules.js";
import type { Rule } from "./fixtures.js";
import { LINEAGE_RULES } from "./lineage-rules.js";
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

/** A store for one case, and how to close it. */
export interface StoreUnderTest {
  readonly store: ManagedKeyStore;
  /** Called after the case, whether it passed or failed. */
  close?(): Awaitable<unknown>;
}

/** Limits of a store that the contract takes into account. */
export interface KeyStoreCapabilities {
  /** The number of concurrent changes in cases about concurrency, at least 2. 50 by default. */
  readonly concurrency?: number;
  /** The latest date that the store can keep. The end of the year 9999 by default. */
  readonly latest?: Date;
  /**
   * Whether `findByHash` may return the record that the store itself keeps, as a cache does to save a copy. All other
   * methods must return copies. `false` by default.
   */
  readonly sharedLookups?: boolean;
}

/** A case of the contract. */
export interface ContractCase {
  /** The title of the test. */
  readonly name: string;
  /** Runs the case on a new store. Rejects with an `AssertionError` if the store breaks the rule. */
  run(): Promise<void>;
}

const WHERE = "keyStoreContract";
const CAPABILITIES = ["concurrency", "latest", "sharedLookups"];
const END_OF_9999 = new Date("9999-12-31T23:59:59.999Z");
const RULES: readonly Rule[] = [
  ...LOOKUP_RULES,
  ...CHANGE_RULES,
  ...TOUCH_RULES,
  ...CONCURRENCY_RULES,
  ...LIST_RULES,
  ...AUDIT_RULES,
  ...LINEAGE_RULES,
  ...MAINTENANCE_RULES,
  ...FEED_RULES,
];

/**
 * Returns the contract of a `ManagedKeyStore` as cases for any test runner. Run them against your own store before you
 * use it.
 *
 * `create` is called once per case. It returns a new, empty, migrated store, or `{ store, close }` if something must be
 * closed afterwards. Cases may run concurrently if their stores do not share data.
 *
 * @throws TypeError if `create` is not a function, or a capability is unknown or out of range.
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
  if (typeof create !== "function") {
    throw new TypeError(`${WHERE}: expected a function that creates a store; received ${describe(create)}`);
  }
  const {
    concurrency = 50,
    latest = END_OF_9999,
    sharedLookups = false,
  } = checkOptions(WHERE, capabilities, CAPABILITIES);
  readInteger(WHERE, "concurrency", concurrency, 2, Number.MAX_SAFE_INTEGER);
  if (!(latest instanceof Date) || Number.isNaN(latest.getTime()))
    throw new TypeError(`${WHERE}: "latest" must be a valid Date`);
  checkBoolean(WHERE, "sharedLookups", sharedLookups);

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
