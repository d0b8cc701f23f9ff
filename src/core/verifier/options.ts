import type { Duration } from "../../internal/duration.js";
import { checkFunction, checkMethods, checkOptions, rejectUndefined } from "../../internal/validate.js";
import type { KeyFormat } from "../keys/format.js";
import { createHashers, type LegacyHash, newerVersions, type Pepper } from "../keys/hash.js";
import type { KeyStore } from "../keys/store.js";
import {
  COMMON_VERIFIER_OPTIONS,
  type CommonVerifierOptions,
  createVerifierBase,
  type VerifierBase,
} from "./base.js";
import { createFinder, type Finder } from "./lookup.js";
import { type KeyNotices, keyNotices } from "./notices.js";
import { createRehash, type Rehash } from "./rehash.js";

/** Options of {@link createVerifier}. */
export interface VerifierOptions<S extends string = string> extends CommonVerifierOptions<S> {
  /** Where keys are looked up. */
  readonly store: KeyStore;
  /** How secrets look, from `keyFormat`; the first of a list that recognises a secret decides. */
  readonly format: KeyFormat | readonly KeyFormat[];
  /** The same as the manager has. */
  readonly pepper?: Pepper;
  /** How the hashes were made that were imported from another system; asked for keys that are not found else. */
  readonly legacyHashes?: readonly LegacyHash[];
  /**
   * Move keys to the current hash when they are used: of an older pepper, stored before there was one, or
   * imported. `true` by default, for stores that can. Keys work either way.
   */
  readonly rehash?: boolean;
  /** Tell the holder of a key whether it is revoked, disabled or expired; by default it is just not valid. */
  readonly exposeKeyState?: boolean;
  /**
   * The age from which responses to a key remind its holder to rotate it, in the header `API-Key-Notice`: 90 days
   * by default; `false` for never. That a key is retiring, or expires within 14 days, is always said.
   */
  readonly rotationAge?: Duration | false;
}

const OPTIONS: readonly (keyof VerifierOptions)[] = [
  "store",
  "format",
  "pepper",
  "legacyHashes",
  "rehash",
  "exposeKeyState",
  "rotationAge",
  ...COMMON_VERIFIER_OPTIONS,
];

/** The options of a verifier, checked and compiled: what its steps work with. */
export interface PreparedVerifier<S extends string> {
  readonly kit: VerifierBase<S>;
  readonly formats: readonly KeyFormat[];
  readonly find: Finder;
  /** Called for each request that is let through; `undefined` when no key can be under an older hash. */
  readonly rehash: Rehash | undefined;
  readonly notices: KeyNotices;
}

/** @throws TypeError for options that are unknown, missing or cannot work, naming the option. */
export function prepareVerifier<S extends string>(given: VerifierOptions<S>): PreparedVerifier<S> {
  const where = "createVerifier";
  const options = checkOptions(where, given, OPTIONS);
  const { store, exposeKeyState } = options;
  checkMethods(where, "store", store, ["findByHash"]);
  checkFunction(where, "store.findManyByHash", store.findManyByHash);
  checkFunction(where, "store.rehash", store.rehash);
  for (const name of ["exposeKeyState", "rehash"] as const) {
    if (options[name] !== undefined && typeof options[name] !== "boolean") {
      throw new TypeError(`${where}: "${name}" must be true or false`);
    }
  }
  for (const name of ["environment", "pepper", "legacyHashes"] as const)
    rejectUndefined(where, options, name);
  const formats = readFormats(where, options.format);
  const kit = createVerifierBase(options, {
    where,
    noun: "API key",
    environments: environmentsOf(formats),
    exposeKeyState,
  });
  const hashers = createHashers(options.pepper, options.legacyHashes);
  const { timeoutMs, now, observers } = kit;
  return {
    kit,
    formats,
    find: createFinder(store, hashers, timeoutMs),
    rehash:
      options.rehash === false
        ? undefined
        : createRehash(store, hashers, newerVersions(options.pepper), timeoutMs, now, observers),
    notices: keyNotices(where, options.rotationAge),
  };
}

function readFormats(where: string, format: VerifierOptions["format"]): readonly KeyFormat[] {
  const formats: readonly KeyFormat[] = Array.isArray(format) ? [...format] : [format];
  if (formats.length === 0) throw new TypeError(`${where}: "format" must name at least one format`);
  for (const candidate of formats) checkMethods(where, "format", candidate, ["parse"]);
  return formats;
}

/** Every environment that a secret can name. A format that lists none may still tell one from a secret. */
function environmentsOf(formats: readonly KeyFormat[]): readonly string[] | undefined {
  return formats.some((format) => format.environments === undefined)
    ? undefined
    : formats.flatMap((format) => format.environments ?? []);
}
