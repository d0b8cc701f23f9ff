import { readDuration } from "../../internal/duration.js";
import { checkFunction, checkMethods, checkOptions, rejectUndefined } from "../../internal/validate.js";
import { KeyInputError } from "../errors.js";
import { checkObservers, type Observer } from "../events.js";
import type { KeyFormat } from "../keys/format.js";
import { createHashers, type Hashers, ownHashKinds } from "../keys/hash.js";
import type { Scopes } from "../keys/scopes.js";
import type { ManagedKeyStore } from "../keys/store.js";
import type { KeyManagerOptions } from "./api.js";

const WHERE = "createKeyManager";
const OPTIONS = [
  "store",
  "scopes",
  "format",
  "pepper",
  "legacyHashes",
  "maxLifetime",
  "storeTimeout",
  "clock",
  "observers",
];
// Longer than the stores of this package retry while a database is busy.
const STORE_TIMEOUT = "10s";
const STORE_METHODS = [
  "findByHash",
  "findById",
  "list",
  "insert",
  "update",
  "replace",
  "touch",
  "auditTrail",
];

/** The checked options of a manager. */
export interface PreparedManager<S extends string> {
  readonly store: ManagedKeyStore;
  /** The time limit of one store call, in milliseconds. */
  readonly timeoutMs: number;
  readonly scopes: Scopes<S>;
  readonly format: KeyFormat;
  readonly hashers: Hashers;
  /** The kinds of hash, without the legacy ones, that a verifier with the same pepper looks up. */
  readonly hashKinds: readonly string[];
  /** The names of the legacy hashes. */
  readonly legacyNames: readonly string[];
  readonly observers: readonly Observer[];
  /** @throws TypeError if the clock does not return a valid Date. */
  now(): Date;
  /** Returns the latest expiry of a key that was created then; `null` without `maxLifetime`. */
  latestExpiry(createdAt: Date): Date | null;
  /**
   * Applies `maxLifetime` to an expiry.
   *
   * @throws KeyInputError if the expiry is too late, or if the key is already older than `maxLifetime`.
   */
  boundExpiry(expiresAt: Date | null, createdAt: Date, at: Date): Date | null;
}

/** @throws TypeError if an option is unknown, missing or invalid. */
export function prepareManager<S extends string>(given: KeyManagerOptions<S>): PreparedManager<S> {
  const options = checkOptions(WHERE, given, OPTIONS);
  for (const name of ["pepper", "legacyHashes", "maxLifetime"] as const)
    rejectUndefined(WHERE, options, name);
  const { store, scopes, format, maxLifetime, clock } = options;
  const { storeTimeout = STORE_TIMEOUT, observers = [], legacyHashes = [] } = options;
  const timeoutMs = readDuration(WHERE, "storeTimeout", storeTimeout);
  checkMethods(WHERE, "store", store, STORE_METHODS);
  checkMethods(WHERE, "scopes", scopes, ["isGrantable", "get"]);
  checkMethods(WHERE, "format", format, ["parse", "generate"]);
  checkFunction(WHERE, "clock", clock);
  checkObservers(WHERE, observers);
  const hashers = createHashers(options.pepper, legacyHashes);
  const lifetime =
    maxLifetime === undefined
      ? undefined
      : readDuration(WHERE, "maxLifetime", maxLifetime, { max: "36500d" });

  const latestExpiry = (createdAt: Date): Date | null =>
    lifetime === undefined ? null : new Date(createdAt.getTime() + lifetime);

  return {
    store,
    timeoutMs,
    scopes,
    format,
    hashers,
    hashKinds: ownHashKinds(options.pepper),
    legacyNames: legacyHashes.map(({ name }) => name),
    observers: [...observers],
    latestExpiry,

    now() {
      const date: unknown = clock === undefined ? new Date() : clock();
      if (date instanceof Date && !Number.isNaN(date.getTime())) return new Date(date);
      throw new TypeError(`${WHERE}: "clock" must return a valid Date`);
    },

    boundExpiry(expiresAt, createdAt, at) {
      const latest = latestExpiry(createdAt);
      if (latest === null) return expiresAt;
      const bounded = expiresAt ?? latest;
      if (bounded <= latest && bounded > at) return bounded;
      throw new KeyInputError("expiresAt", `must be within ${maxLifetime} of creation`);
    },
  };
}
