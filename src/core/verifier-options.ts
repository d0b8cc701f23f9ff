import { type ClientIpOptions, type ClientIpResolver, clientIpResolver } from "./client-ip.js";
import { type CredentialOptions, type CredentialSource, credentialSource } from "./credential.js";
import { StoreError } from "./errors.js";
import { checkObservers, type Observer } from "./events.js";
import { createHashers, type LegacyHash, newerVersions, type Pepper } from "./hash.js";
import type { KeyFormat } from "./key-format.js";
import { createFinder, type Finder, failed, withinTime } from "./lookup.js";
import {
  checkFunction,
  checkMethods,
  checkOptions,
  describe,
  isPromiseLike,
  refuseUndefined,
  warn,
} from "./options.js";
import { isRateLimitDecision, type RateLimitDecision, type RateLimiter } from "./rate-limit.js";
import type { VerifiableRecord } from "./record.js";
import { createRefusals, type Refusals } from "./refusals.js";
import { createRehash, type Rehash } from "./rehash.js";
import type { AuthRequest } from "./request.js";
import type { Scopes } from "./scopes.js";
import type { Awaitable, KeyStore } from "./store.js";

/** Options of {@link createVerifier}. */
export interface VerifierOptions<S extends string = string> extends ClientIpOptions {
  /** Where keys are looked up. */
  readonly store: KeyStore;
  /** What routes may ask for, from `defineScopes`. */
  readonly scopes: Scopes<S>;
  /** How secrets look, from `keyFormat`; the first of a list that recognises a secret decides. */
  readonly format: KeyFormat | readonly KeyFormat[];
  /** The environment, or environments, that this service serves. Absent: every one of the format. */
  readonly environment?: string | readonly string[];
  /** The same as the manager has. */
  readonly pepper?: Pepper;
  /** How the hashes were made that were imported from another system; asked for keys that are not found else. */
  readonly legacyHashes?: readonly LegacyHash[];
  /**
   * Move keys to the current hash when they are used: of an older pepper, stored before there was one, or
   * imported. `true` by default, for stores that can. Keys work either way.
   */
  readonly rehash?: boolean;
  /** Named in challenges; `"api"` by default. */
  readonly realm?: string;
  /** The time, for tests; the system's by default. */
  readonly clock?: () => Date;
  /** How long the store, and the rate limiter, may take: 250 ms by default. */
  readonly storeTimeoutMs?: number;
  /** Asked last, for requests that everything else allows. */
  readonly rateLimiter?: RateLimiter;
  /** Told of every decision. */
  readonly observers?: readonly Observer[];
  /** Where the secret is sent; `Authorization: Bearer <token>` by default. */
  readonly credential?: CredentialOptions;
  /** Tell the holder of a key whether it is revoked, disabled or expired; by default it is just not valid. */
  readonly exposeKeyState?: boolean;
}

const OPTIONS: readonly (keyof VerifierOptions)[] = [
  "store",
  "scopes",
  "format",
  "environment",
  "pepper",
  "legacyHashes",
  "rehash",
  "trustedProxies",
  "clientIpHeader",
  "realm",
  "clock",
  "storeTimeoutMs",
  "rateLimiter",
  "observers",
  "credential",
  "exposeKeyState",
];

/** The options of a verifier, checked and compiled: what its steps work with. */
export interface PreparedVerifier<S extends string> {
  readonly scopes: Scopes<S>;
  readonly source: CredentialSource;
  readonly formats: readonly KeyFormat[];
  /** Whether this service serves an environment; a secret that names none is judged by its record. */
  readonly serves: (environment: string | undefined) => boolean;
  readonly find: Finder;
  /** Called for each request that is let through; `undefined` when no key can be under an older hash. */
  readonly rehash: Rehash | undefined;
  readonly clientIp: ClientIpResolver;
  readonly limit: (
    record: VerifiableRecord,
    request: AuthRequest,
  ) => Awaitable<RateLimitDecision | undefined>;
  readonly refusals: Refusals<S>;
  readonly observers: readonly Observer[];
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** @throws TypeError for options that are unknown, missing or cannot work, naming the option. */
export function prepareVerifier<S extends string>(given: VerifierOptions<S>): PreparedVerifier<S> {
  const where = "createVerifier";
  const options = checkOptions(where, given, OPTIONS);
  const { store, scopes, clock, observers = [], storeTimeoutMs = 250, rateLimiter } = options;
  checkMethods(where, "store", store, ["findByHash"]);
  checkFunction(where, "store.findManyByHash", store.findManyByHash);
  checkFunction(where, "store.rehash", store.rehash);
  checkMethods(where, "scopes", scopes, ["holds", "get", "assertRequirement"]);
  checkFunction(where, "clock", clock);
  checkObservers(where, observers);
  if (rateLimiter !== undefined) checkMethods(where, "rateLimiter", rateLimiter, ["consume"]);
  // setTimeout fires at once for anything longer than 2^31 - 1 ms.
  if (!(typeof storeTimeoutMs === "number" && storeTimeoutMs > 0 && storeTimeoutMs < 2 ** 31)) {
    throw new TypeError(`${where}: "storeTimeoutMs" must be a number of milliseconds above 0`);
  }
  for (const name of ["exposeKeyState", "rehash"] as const) {
    if (options[name] !== undefined && typeof options[name] !== "boolean") {
      throw new TypeError(`${where}: "${name}" must be true or false`);
    }
  }
  for (const name of ["environment", "pepper", "legacyHashes"] as const)
    refuseUndefined(where, options, name);
  const formats = readFormats(where, options.format);
  const source = credentialSource(options.credential);
  const hashers = createHashers(options.pepper, options.legacyHashes);
  const now = clock === undefined ? Date.now : () => clock().getTime();
  return {
    scopes,
    source,
    formats,
    serves: readEnvironments(where, options.environment, formats),
    find: createFinder(store, hashers, storeTimeoutMs),
    rehash:
      options.rehash === false
        ? undefined
        : createRehash(store, hashers, newerVersions(options.pepper), storeTimeoutMs, now, observers),
    clientIp: clientIpResolver(options),
    limit: boundedLimiter(rateLimiter, storeTimeoutMs),
    refusals: createRefusals(scopes, source, options.realm ?? "api", options.exposeKeyState ?? false),
    observers: [...observers],
    now,
  };
}

function readFormats(where: string, format: VerifierOptions["format"]): readonly KeyFormat[] {
  const formats: readonly KeyFormat[] = Array.isArray(format) ? [...format] : [format];
  if (formats.length === 0) throw new TypeError(`${where}: "format" must name at least one format`);
  for (const candidate of formats) checkMethods(where, "format", candidate, ["parse"]);
  return formats;
}

function readEnvironments(
  where: string,
  environment: VerifierOptions["environment"],
  formats: readonly KeyFormat[],
): (environment: string | undefined) => boolean {
  if (environment === undefined) return () => true;
  const names: readonly unknown[] = Array.isArray(environment) ? environment : [environment];
  // A format that lists none may still tell one from a secret.
  const known = formats.some((format) => format.environments === undefined)
    ? []
    : formats.flatMap((format) => format.environments ?? []);
  for (const name of names) {
    if (typeof name !== "string" || name === "") {
      throw new TypeError(`${where}: "environment" must be a name or a list of names, got ${describe(name)}`);
    }
    if (known.length > 0 && !known.includes(name)) {
      throw new TypeError(
        `${where}: "environment" names ${JSON.stringify(name)}; the format has ${known.join(", ")}`,
      );
    }
  }
  if (names.length === 0)
    throw new TypeError(`${where}: "environment" is empty; leave it out to serve every one`);
  const served = new Set(names);
  return (name) => name === undefined || served.has(name);
}

/** Without a limiter, a key's limit is not in force: the operator should know. */
function warningOfLimits(): PreparedVerifier<string>["limit"] {
  let warned = false;
  return ({ rateLimit }) => {
    if (rateLimit && !warned) {
      warned = true;
      warn("KEYBEARER_NO_RATE_LIMITER", 'A key has a "rateLimit", but the verifier has no "rateLimiter"');
    }
    return undefined;
  };
}

function boundedLimiter(
  limiter: RateLimiter | undefined,
  timeoutMs: number,
): PreparedVerifier<string>["limit"] {
  if (limiter === undefined) return warningOfLimits();
  const what = "The rate limiter";
  const trust = (decision: RateLimitDecision) => {
    if (!isRateLimitDecision(decision))
      throw new StoreError(`${what} answered something that is not a decision`);
    return decision;
  };
  return ({ id, ownerId, environment, rateLimit }, request) => {
    try {
      const decision = limiter.consume({ id, ownerId, environment, rateLimit }, request);
      return isPromiseLike(decision) ? withinTime(decision, timeoutMs, what).then(trust) : trust(decision);
    } catch (error) {
      throw failed(error, what);
    }
  };
}
