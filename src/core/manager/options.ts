import { type Duration, readDuration } from "../../internal/duration.js";
import {
  checkFunction,
  checkMethods,
  checkOptions,
  hasMethod,
  readInteger,
  rejectUndefined,
} from "../../internal/validate.js";
import { KeyInputError } from "../errors.js";
import { checkObservers, type Observer } from "../events.js";
import type { KeyFormat } from "../keys/format.js";
import { createHashers, type Hashers, type LegacyHash, ownHashKinds, type Pepper } from "../keys/hash.js";
import type { OwnerQuota } from "../keys/owner-quota.js";
import type { Scopes } from "../keys/scopes.js";
import type { ManagedKeyStore } from "../keys/store.js";

const WHERE = "createKeyManager";
const OPTIONS = [
  "store",
  "scopes",
  "format",
  "pepper",
  "legacyHashes",
  "maxLifetime",
  "maxOverlap",
  "maxKeysPerOwner",
  "maxBytesPerOwner",
  "storeTimeout",
  "clock",
  "observers",
];
const MAX_OVERLAP = "30d";
const MAX_KEYS = 1_000;
const MAX_BYTES = 4 * 1_024 ** 2;
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

/** Options of {@link createKeyManager}. */
export interface KeyManagerOptions<S extends string = string, E extends string = string> {
  /** Where key records are kept. */
  readonly store: ManagedKeyStore;
  /** The scopes that keys can be granted. */
  readonly scopes: Scopes<S>;
  /** The format of new secrets. */
  readonly format: KeyFormat<E>;
  /** The pepper of the hashes; the same as the verifier's. None by default. */
  readonly pepper?: Pepper;
  /** The hashes of another system, for keys that are imported from it; the same as the verifier's. None by default. */
  readonly legacyHashes?: readonly LegacyHash[];
  /** The longest lifetime of a key, counted from its creation. A key created without an expiry gets this one. No limit by default. */
  readonly maxLifetime?: Duration;
  /** The longest overlap of a rotation. `"30d"` by default. */
  readonly maxOverlap?: Duration;
  /**
   * The most keys of one owner that are neither revoked nor expired; `Infinity` for no ceiling. A rotated key counts until
   * its overlap ends. 1,000 by default. The store must have `suspendOwner` and `resumeOwner`.
   */
  readonly maxKeysPerOwner?: number;
  /**
   * The most bytes of allowlists and metadata, as JSON, in those keys of one owner; `Infinity` for no ceiling. 4,194,304
   * (4 MiB) by default. The store must have `suspendOwner` and `resumeOwner`.
   */
  readonly maxBytesPerOwner?: number;
  /**
   * The time limit of one store call; then the method rejects with a {@link StoreError}. `"10s"` by default. After a
   * timeout the outcome of a write is unknown: read the key. Raise it for slow pages, such as `list` and `purge` over a
   * Redis with a million keys.
   */
  readonly storeTimeout?: Duration;
  /** Returns the current time; for tests. The system clock by default. */
  readonly clock?: () => Date;
  /** Called with an event for every committed change. None by default. */
  readonly observers?: readonly Observer[];
}

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
  /** The ceilings of an owner. */
  readonly ceilings: Pick<OwnerQuota, "maxKeys" | "maxBytes">;
  /** The longest overlap of a rotation. */
  readonly maxOverlap: Duration;
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
  for (const name of ["pepper", "legacyHashes", "maxLifetime", ...CEILINGS] as const)
    rejectUndefined(WHERE, options, name);
  const { store, scopes, format, maxLifetime, clock } = options;
  const {
    storeTimeout = STORE_TIMEOUT,
    observers = [],
    legacyHashes = [],
    maxOverlap = MAX_OVERLAP,
  } = options;
  const timeoutMs = readDuration(WHERE, "storeTimeout", storeTimeout);
  checkMethods(WHERE, "store", store, STORE_METHODS);
  checkMethods(WHERE, "scopes", scopes, ["isGrantable", "get"]);
  checkMethods(WHERE, "format", format, ["parse", "generate"]);
  checkFunction(WHERE, "clock", clock);
  checkObservers(WHERE, observers);
  readDuration(WHERE, "maxOverlap", maxOverlap, { min: "0ms", max: "36500d" });
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
    ceilings: readCeilings(options),

    maxOverlap,
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

const CEILINGS = ["maxOverlap", "maxKeysPerOwner", "maxBytesPerOwner"] as const;

/** @throws TypeError if a ceiling is not a positive integer or `Infinity`, or is set for a store that ignores it. */
function readCeilings(options: KeyManagerOptions): PreparedManager<string>["ceilings"] {
  const { store, maxKeysPerOwner = MAX_KEYS, maxBytesPerOwner = MAX_BYTES } = options;
  const read = (name: "maxKeysPerOwner" | "maxBytesPerOwner", value: number): number => {
    if (Object.hasOwn(options, name) && !hasMethod(store, "suspendOwner")) {
      throw new TypeError(
        `${WHERE}: "${name}" has no effect, because "store" has no methods suspendOwner() and resumeOwner()`,
      );
    }
    return value === Number.POSITIVE_INFINITY
      ? value
      : readInteger(WHERE, name, value, 1, Number.MAX_SAFE_INTEGER);
  };
  return {
    maxKeys: read("maxKeysPerOwner", maxKeysPerOwner),
    maxBytes: read("maxBytesPerOwner", maxBytesPerOwner),
  };
}
