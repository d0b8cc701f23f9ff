import type { Awaitable } from "../internal/awaitable.js";
import { type Duration, readDuration } from "../internal/duration.js";
import {
  checkFunction,
  checkMethods,
  checkOptions,
  describe,
  isNonEmptyString,
  rejectUndefined,
} from "../internal/validate.js";
import { warn, warnOnce } from "../internal/warn.js";
import {
  createVerifierBase,
  type GuardErrorContext,
  type ManagedKeyStore,
  type Requirement,
  StoreError,
  settingsOf,
  type Verifier,
  type VerifierBase,
  type VerifierSettings,
} from "../kit.js";
import { type PreparedDpop, prepareDpop, type TokenDpopOptions } from "./dpop.js";
import { createKeySet, type KeySet, type SharedKeys } from "./key-set.js";
import type { SigningKeyStore } from "./key-state.js";
import { memoryRevocationList, type RevocationList } from "./revocation-list.js";
import type { SigningKey } from "./signing-key.js";

/** Options of {@link createTokenService}. */
export interface TokenServiceOptions<S extends string = string> {
  /** The `iss` of the tokens. If it is the URL of this service, metadata (RFC 8414) is served too. */
  readonly issuer: string;
  /** The audience of this service: the `aud` of its tokens, and the only one that `verifier` of the service accepts. */
  readonly audience: string;
  /**
   * The audiences of other services, for which a client may request a token instead (RFC 8693, section 2.1). This service
   * does not accept such a token, so another service cannot use it here. None by default.
   */
  readonly otherAudiences?: readonly string[];
  /** The keys, at most 16. The first one signs; all are published, and their tokens accepted. */
  readonly signingKey: SigningKey | readonly SigningKey[];
  /**
   * Where processes share which key of `signingKey` signs and which are retired, so that `rotateSigningKey` and
   * `retireSigningKey` are in force in every process. By default they affect this process only.
   */
  readonly signingKeyStore?: SigningKeyStore;
  /** How long a reading of `signingKeyStore` is used: `"5s"` by default, `"1s"` to `"1m"`. */
  readonly signingKeyHeartbeat?: Duration;
  /** The lifetime of a token, unless its key expires before: whole seconds, at most `"24h"`. */
  readonly ttl: Duration;
  /**
   * The verifier of the API keys that are exchanged, from `keybearer` or `createVerifier`, also inside
   * `failedAuthLimiter`. The verifier of the tokens inherits its scopes, environment, trusted proxies, rate limiter,
   * observers, realm, clock and `storeTimeout`, so that a token is never more than its key.
   */
  readonly verifier: Verifier<S>;
  /** The store of the keys. It must return the current record: not a replica that lags behind. */
  readonly store: Pick<ManagedKeyStore, "findById">;
  /** The prefix of the paths of `handler`, such as `"/oauth"`; empty by default. */
  readonly basePath?: string;
  /** How long the key of a token is cached: `"5s"` by default, at most `"1m"`; `"0s"` disables the cache. */
  readonly keyTtl?: Duration;
  /** The maximum number of cached tokens: 10,000 by default; 0 disables the cache. */
  readonly cacheMax?: number;
  /**
   * The list of revoked tokens, shared by every process that accepts the tokens. `"per-process"`: in the memory of this
   * process, with at most 100,000 tokens and 1,000 of one key; after that, every token of that key that was issued so far
   * is revoked. Other processes accept a token that was revoked here. It is the default, but then emits the process
   * warning `KEYBEARER_LOCAL_REVOCATIONS`.
   */
  readonly revocations?: RevocationList | "per-process";
  /** The scopes with which a key may introspect the tokens of every owner; none by default. */
  readonly introspect?: Requirement<NoInfer<S>>;
  /**
   * Whether tokens are bound to a key of the client (DPoP, RFC 9449). `"optional"`: a token is bound if the request for it
   * has a proof. `"required"`: requests without a proof are denied. An object sets how proofs are checked. By default no
   * token is bound.
   */
  readonly dpop?: "optional" | "required" | TokenDpopOptions;
  /**
   * Called with every error that results in a 503. By default the first one is a process warning,
   * `KEYBEARER_UNAVAILABLE`.
   */
  readonly onError?: (error: unknown, context: GuardErrorContext) => unknown;
}

const WHERE = "createTokenService";
const OPTIONS: readonly (keyof TokenServiceOptions)[] = [
  "issuer",
  "audience",
  "otherAudiences",
  "signingKey",
  "signingKeyStore",
  "signingKeyHeartbeat",
  "ttl",
  "verifier",
  "store",
  "basePath",
  "keyTtl",
  "cacheMax",
  "revocations",
  "introspect",
  "dpop",
  "onError",
];

/** The checked options of a token service. */
export interface PreparedTokenService<S extends string> {
  readonly options: TokenServiceOptions<S>;
  /** Every audience that a client may request; the first is that of this service. */
  readonly audiences: readonly [own: string, ...others: string[]];
  readonly ttlSeconds: number;
  readonly basePath: string;
  readonly realm: string;
  /** What the verifier of API keys enforces and observes. */
  readonly settings: VerifierSettings<S>;
  readonly base: VerifierBase<S>;
  readonly keys: KeySet;
  readonly revocations: RevocationList;
  readonly introspect: Requirement<S> | undefined;
  readonly dpop: PreparedDpop | undefined;
  /** Calls `onError`. Never throws. */
  readonly report: (error: unknown, context: GuardErrorContext) => void;
}

/** @throws TypeError if an option is unknown, missing or invalid. */
export function prepareTokenService<S extends string>(
  given: TokenServiceOptions<S>,
): PreparedTokenService<S> {
  const options = checkOptions(WHERE, given, OPTIONS);
  const { issuer, verifier, store, basePath = "", introspect } = options;
  for (const name of [
    "otherAudiences",
    "introspect",
    "revocations",
    "keyTtl",
    "dpop",
    "signingKeyStore",
  ] as const) {
    rejectUndefined(WHERE, options, name);
  }
  if (!isNonEmptyString(issuer)) throw new TypeError(`${WHERE}: "issuer" must be a non-empty string`);
  const audiences = readAudiences(options);
  const ttlMs = readDuration(WHERE, "ttl", options.ttl, { min: "1s", max: "24h" });
  if (ttlMs % 1_000 !== 0) throw new TypeError(`${WHERE}: "ttl" must be in whole seconds, such as "90s"`);
  if (typeof basePath !== "string" || !/^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~-]+)*$/.test(basePath)) {
    throw new TypeError(`${WHERE}: "basePath" must be empty, or a path such as "/oauth" without a final "/"`);
  }
  const settings = readSettings(verifier);
  checkMethods(WHERE, "store", store, ["findById"]);
  checkFunction(WHERE, "onError", options.onError);
  const base = createVerifierBase(settings.options, { where: WHERE, noun: "token", type: "jwt" });
  base.scopes.assertRequirement(introspect);
  const revocations = readRevocations(options.revocations, base.now, ttlMs);
  return {
    options,
    audiences,
    ttlSeconds: ttlMs / 1_000,
    basePath,
    realm: settings.options.realm ?? "api",
    settings,
    base,
    keys: createKeySet(WHERE, options.signingKey, base.now, readSharedKeys(options, base.timeoutMs)),
    revocations,
    introspect: structuredClone(introspect), // the caller may change the array later
    dpop: options.dpop === undefined ? undefined : prepareDpop(WHERE, options.dpop, issuer, base),
    report: createReport(options.onError ?? warnOfFirstError()),
  };
}

function readSharedKeys(
  { signingKeyStore: store, signingKeyHeartbeat: heartbeat }: TokenServiceOptions,
  timeoutMs: number,
): SharedKeys | undefined {
  if (store === undefined) {
    if (heartbeat === undefined) return undefined;
    throw new TypeError(`${WHERE}: "signingKeyHeartbeat" has no effect without "signingKeyStore"`);
  }
  checkMethods(WHERE, "signingKeyStore", store, ["read", "replace"]);
  const bounds = { min: "1s", max: "1m" } as const;
  return {
    store,
    heartbeatMs: readDuration(WHERE, "signingKeyHeartbeat", heartbeat ?? "5s", bounds),
    timeoutMs,
  };
}

/** The tokens of a verifier with unknown settings could do more than its keys. */
function readSettings<S extends string>(verifier: Verifier<S>): VerifierSettings<S> {
  checkMethods(WHERE, "verifier", verifier, ["verify", "assertRequirement"]);
  const settings = settingsOf<S>(verifier);
  if (settings !== undefined && verifier.credentials?.some(({ type }) => type === "api_key")) return settings;
  throw new TypeError(
    `${WHERE}: "verifier" must be the verifier of API keys that keybearer() or createVerifier() returned; received ` +
      "another one, whose proxies, limits and observers its tokens cannot inherit",
  );
}

function readRevocations(
  given: TokenServiceOptions["revocations"],
  now: () => number,
  ttlMs: number,
): RevocationList {
  if (given === undefined) {
    warn(
      "KEYBEARER_LOCAL_REVOCATIONS",
      `${WHERE}: other processes accept tokens that are revoked here. Pass a shared list as "revocations", or "per-process" if there is one process`,
    );
  }
  if (given === undefined || given === "per-process") return memoryRevocationList(now, ttlMs);
  checkMethods(WHERE, "revocations", given, ["add", "has"]);
  return given;
}

function readAudiences({
  audience,
  otherAudiences: others = [],
}: Pick<TokenServiceOptions, "audience" | "otherAudiences">): PreparedTokenService<string>["audiences"] {
  if (!isNonEmptyString(audience)) {
    throw new TypeError(
      `${WHERE}: "audience" must be a non-empty string, the audience of this service; received ${describe(audience)}. ` +
        'Pass those of other services as "otherAudiences"',
    );
  }
  if (!Array.isArray(others) || !others.every(isNonEmptyString) || others.includes(audience)) {
    throw new TypeError(
      `${WHERE}: "otherAudiences" must be an array of non-empty strings without "audience"`,
    );
  }
  return Object.freeze([audience, ...others] as const);
}

type OnError = (error: unknown, context: GuardErrorContext) => Awaitable<unknown>;

function createReport(onError: OnError): PreparedTokenService<string>["report"] {
  return (error, context) => {
    try {
      Promise.resolve(onError(error, context)).catch(() => {});
    } catch {
      // The response is 503 in either case.
    }
  };
}

function warnOfFirstError(): OnError {
  const warn = warnOnce("KEYBEARER_UNAVAILABLE");
  return (error) => {
    const message = error instanceof StoreError ? error.message : "Tokens cannot be issued";
    warn(`${message}; responding with 503. Pass "onError" to see every error.`);
  };
}
