import type { Duration } from "../../internal/duration.js";
import {
  checkBoolean,
  checkFunction,
  checkMethods,
  checkOptions,
  rejectUndefined,
} from "../../internal/validate.js";
import type { KeyFormat } from "../keys/format.js";
import { createHashers, type LegacyHash, newerVersions, type Pepper } from "../keys/hash.js";
import type { KeyStore } from "../keys/store.js";
import { createVerifierBase, type VerifierBase } from "./base.js";
import { COMMON_VERIFIER_OPTIONS, type CommonVerifierOptions } from "./common-options.js";
import { createFindRecord, type FindRecord } from "./find-record.js";
import { type KeyNotices, keyNotices } from "./notices.js";
import { createReadSecret, type ReadSecret } from "./read-secret.js";
import { createRehash, type Rehash } from "./rehash.js";

/** Options of {@link createVerifier}. */
export interface VerifierOptions<S extends string = string, E extends string = string>
  extends CommonVerifierOptions<S, E> {
  /** Where keys are looked up. */
  readonly store: KeyStore;
  /** The format of secrets, from `keyFormat`. Of several formats, the first that recognizes a secret is used. */
  readonly format: KeyFormat<E> | readonly KeyFormat<E>[];
  /** The pepper of the hashes; the same as that of the manager. None by default. */
  readonly pepper?: Pepper;
  /** The hashes of another system, for keys that were imported from it. Tried last. None by default. */
  readonly legacyHashes?: readonly LegacyHash[];
  /**
   * Whether keys are moved to the current hash when they are used: from an older pepper, from before there was a
   * pepper, or from a legacy hash. `true` by default, if the store supports it.
   */
  readonly rehash?: boolean;
  /** Whether responses say that a key is revoked, disabled or expired, instead of not valid. `false` by default. */
  readonly exposeKeyState?: boolean;
  /**
   * The age from which the header `API-Key-Notice` reminds clients to rotate a key, or `false` for never. The notices of
   * keys that are retiring, or expire within 14 days, are always sent. `"90d"` by default.
   */
  readonly rotationAge?: Duration | false;
}

/** The names of {@link VerifierOptions}, for `checkOptions`. */
export const VERIFIER_OPTIONS: readonly (keyof VerifierOptions)[] = [
  "store",
  "format",
  "pepper",
  "legacyHashes",
  "rehash",
  "exposeKeyState",
  "rotationAge",
  ...COMMON_VERIFIER_OPTIONS,
];

/** The checked and compiled options of a verifier. */
export interface PreparedVerifier<S extends string> {
  readonly base: VerifierBase<S>;
  readonly readSecret: ReadSecret;
  readonly findRecord: FindRecord;
  /** Called for each allowed request; `undefined` if no key can be stored under an older hash. */
  readonly rehash: Rehash | undefined;
  readonly notices: KeyNotices;
}

/** @throws TypeError if an option is unknown, missing or invalid; the message names the option. */
export function prepareVerifier<S extends string>(given: VerifierOptions<S>): PreparedVerifier<S> {
  const where = "createVerifier";
  const options = checkOptions(where, given, VERIFIER_OPTIONS);
  const { store, exposeKeyState } = options;
  checkMethods(where, "store", store, ["findByHash"]);
  checkFunction(where, "store.findManyByHash", store.findManyByHash);
  checkFunction(where, "store.rehash", store.rehash);
  checkBoolean(where, "exposeKeyState", exposeKeyState);
  checkBoolean(where, "rehash", options.rehash);
  rejectUndefined(where, options, "environment");
  rejectUndefined(where, options, "pepper");
  rejectUndefined(where, options, "legacyHashes");
  const formats = readFormats(where, options.format);
  const base = createVerifierBase(options, {
    where,
    noun: "API key",
    environments: environmentsOf(formats),
    formats,
    exposeKeyState,
  });
  const hashers = createHashers(options.pepper, options.legacyHashes);
  const { timeoutMs, now, observers } = base;
  return {
    base,
    readSecret: createReadSecret(base.source, formats),
    findRecord: createFindRecord(store, hashers, timeoutMs),
    rehash:
      options.rehash === false
        ? undefined
        : createRehash(store, hashers, newerVersions(options.pepper), timeoutMs, now, observers),
    notices: keyNotices(where, options.rotationAge),
  };
}

function readFormats(where: string, format: VerifierOptions["format"]): readonly KeyFormat[] {
  const formats: readonly KeyFormat[] = Array.isArray(format) ? [...format] : [format];
  if (formats.length === 0) throw new TypeError(`${where}: "format" must have at least one format`);
  for (const candidate of formats) checkMethods(where, "format", candidate, ["parse"]);
  return formats;
}

/** The environments that secrets can name; `undefined` if a format does not list them. */
function environmentsOf(formats: readonly KeyFormat[]): readonly string[] | undefined {
  return formats.some((format) => format.environments === undefined)
    ? undefined
    : formats.flatMap((format) => format.environments ?? []);
}
