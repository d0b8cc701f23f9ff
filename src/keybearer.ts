import type { Duration } from "./internal/duration.js";
import { checkOptions, describe } from "./internal/validate.js";
import {
  checkObservers,
  createKeyManager,
  createVerifier,
  type KeyFormat,
  type KeyManager,
  type ManagedKeyStore,
  VERIFIER_OPTIONS,
  type Verifier,
  type VerifierOptions,
} from "./kit.js";
import { type LastUsedOptions, lastUsed } from "./observers/last-used.js";

/**
 * Options of {@link keybearer}: those of `createVerifier`, and some for creating keys. `storeTimeout` is the time limit
 * of the verifier; the calls of the manager have 10 seconds.
 */
export interface KeybearerOptions<S extends string = string, E extends string = string>
  extends VerifierOptions<S, E> {
  /** Where keys are kept. */
  readonly store: ManagedKeyStore;
  /** The format of secrets, from `keyFormat`. Of several formats, new keys have the first, and all are verified. */
  readonly format: KeyFormat<E> | readonly KeyFormat<E>[];
  /** The longest lifetime of a key, and the lifetime of a key that is created without `expiresAt`. No limit by default. */
  readonly maxLifetime?: Duration;
  /** The longest overlap of a rotation. `"30d"` by default. */
  readonly maxOverlap?: Duration;
  /** The most keys of one owner that are neither revoked nor expired; `Infinity` for no ceiling. 1,000 by default. */
  readonly maxKeysPerOwner?: number;
  /** The most bytes of allowlists and metadata in those keys; `Infinity` for no ceiling. 4,194,304 (4 MiB) by default. */
  readonly maxBytesPerOwner?: number;
  /**
   * Whether `lastUsedAt` of keys is kept up to date, in the background. Also accepts the options of `lastUsed` from
   * `keybearer/observers`. `true` by default.
   */
  readonly lastUsed?: boolean | LastUsedOptions;
}

/** The verifier and the manager of one service; created by {@link keybearer}. */
export interface Keybearer<S extends string = string, E extends string = string> {
  /** Verifies requests. Pass it to a guard. */
  readonly verifier: Verifier<S>;
  /** Creates, lists, changes and revokes keys. */
  readonly keys: KeyManager<S, E>;
  /**
   * Writes the last uses that are still pending. Call it when the service shuts down, before the client of the store is
   * closed. Rejects if the store fails for 5 seconds; then it can be called again.
   */
  close(): Promise<void>;
}

/** The options that only the manager has. */
const MANAGER_OPTIONS = ["maxLifetime", "maxOverlap", "maxKeysPerOwner", "maxBytesPerOwner"] as const;

/**
 * Creates the verifier and the key manager of a service from one set of options, so that they agree on store, scopes,
 * format and pepper. Use `createVerifier` or `createKeyManager` in a service that only verifies or only issues keys.
 *
 * @throws TypeError if an option is unknown, missing or invalid; the message names the option.
 *
 * @example
 * export const { verifier, keys, close } = keybearer({ store, scopes, format, environment: "live" });
 * const auth = expressAuth(verifier);
 * const { secret } = await keys.create({ ownerId: "acme", scopes: ["vehicles:read"] });
 */
export function keybearer<S extends string, E extends string = string>(
  given: KeybearerOptions<S, E>,
): Keybearer<S, E> {
  const options = checkOptions("keybearer", given, [...VERIFIER_OPTIONS, ...MANAGER_OPTIONS, "lastUsed"]);
  const { observers = [], lastUsed: tracking = true } = options;
  checkObservers("keybearer", observers);
  if (typeof tracking !== "boolean" && (typeof tracking !== "object" || tracking === null)) {
    throw new TypeError(
      `keybearer: "lastUsed" must be true, false or an object of options; received ${describe(tracking)}`,
    );
  }

  const keys = createKeyManager<S, E>({
    ...pick(options, ["store", "scopes", "pepper", "legacyHashes", "clock", ...MANAGER_OPTIONS]),
    observers,
    format: Array.isArray(options.format) ? options.format[0] : options.format,
  });
  const usage = tracking === false ? undefined : lastUsed(options.store, tracking === true ? {} : tracking);
  const verifying = pick(options, VERIFIER_OPTIONS);
  const verifier = createVerifier<S, E>({
    ...verifying,
    observers: usage === undefined ? observers : [...observers, usage.observer],
  });

  return Object.freeze({ verifier, keys, close: () => usage?.close() ?? Promise.resolve() });
}

/** Copies own members, including those that are `undefined`: `createKeyManager` rejects them by name. */
function pick<T extends object, K extends keyof T & string>(source: T, names: readonly K[]): Pick<T, K> {
  const own = names.filter((name) => Object.hasOwn(source, name));
  return Object.fromEntries(own.map((name) => [name, source[name]])) as Pick<T, K>;
}
