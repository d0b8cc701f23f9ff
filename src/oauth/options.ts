import type { Awaitable } from "../internal/awaitable.js";
import { type Duration, parseDuration } from "../internal/duration.js";
import { checkFunction, checkMethods, checkOptions, rejectUndefined } from "../internal/validate.js";
import { warn } from "../internal/warn.js";
import {
  COMMON_VERIFIER_OPTIONS,
  type CommonVerifierOptions,
  createVerifierBase,
  type GuardErrorContext,
  type ManagedKeyStore,
  type Requirement,
  StoreError,
  type Verifier,
  type VerifierBase,
} from "../kit.js";
import { memoryRevocationList, type RevocationList } from "./revocation-list.js";
import type { SigningKey } from "./signing-key.js";
import { createSigningKeys, type SigningKeys } from "./signing-keys.js";

/**
 * Options of {@link createTokenService}. Those that every verifier has are for the verifier of its tokens; keys
 * are judged by the one in `verifier`.
 */
export interface TokenServiceOptions<S extends string = string> extends CommonVerifierOptions<S> {
  /** Who issues: the `iss` of the tokens. With the URL of this service its metadata (RFC 8414) is served too. */
  readonly issuer: string;
  /** Whom the tokens are for: the `aud` of the tokens. A client may ask for some of a list (RFC 8693, 2.1). */
  readonly audience: string | readonly string[];
  /** The first of a list signs; all are published, and their tokens accepted. At most 16. */
  readonly signingKey: SigningKey | readonly SigningKey[];
  /** How long a token lives, unless its key expires before: whole seconds, `"24h"` at most. */
  readonly ttl: Duration;
  /**
   * The verifier of the keys that are exchanged: its environment, allowlists, limits and observers apply, and its
   * `storeTimeoutMs`. One that has not answered after 5 seconds, or the `storeTimeoutMs` of the token service when
   * that is longer, is a 503.
   */
  readonly verifier: Verifier<S>;
  /** Where the key of a token is read again. It must know of every change: no replica that lags. */
  readonly store: Pick<ManagedKeyStore, "findById">;
  /** What stands before the paths of `handler`, such as `"/oauth"`; nothing by default. */
  readonly basePath?: string;
  /** How old what is known of the key of a token may be: `"5s"` by default; `"0s"` asks the store each time. */
  readonly keyTtl?: Duration;
  /** How many verified tokens are remembered: 10,000 by default; 0 for none. */
  readonly cacheMax?: number;
  /** Where revoked tokens are remembered; in this process by default, 100,000 at most. */
  readonly revocations?: RevocationList;
  /** Which keys may introspect the tokens of every owner; by default none may. */
  readonly introspect?: Requirement<S>;
  /** Told what was answered with 503. Without it, the first is a process warning, `KEYBEARER_UNAVAILABLE`. */
  readonly onError?: (error: unknown, context: GuardErrorContext) => unknown;
}

const OPTIONS: readonly (keyof TokenServiceOptions)[] = [
  "issuer",
  "audience",
  "signingKey",
  "ttl",
  "verifier",
  "store",
  "basePath",
  "keyTtl",
  "cacheMax",
  "revocations",
  "introspect",
  "onError",
  ...COMMON_VERIFIER_OPTIONS,
];

/** The options of a token service, checked: what its parts work with. */
export interface PreparedTokenService<S extends string> {
  readonly options: TokenServiceOptions<S>;
  readonly audiences: readonly string[];
  readonly ttlSeconds: number;
  readonly basePath: string;
  readonly realm: string;
  readonly kit: VerifierBase<S>;
  readonly keys: SigningKeys;
  readonly revocations: RevocationList;
  readonly introspect: Requirement<S> | undefined;
  /** Tells the host of an error. Never throws. */
  readonly report: (error: unknown, context: GuardErrorContext) => void;
}

const DAY = 86_400_000;

/** @throws TypeError for options that are unknown, missing or cannot work, naming the option. */
export function prepareTokenService<S extends string>(
  given: TokenServiceOptions<S>,
): PreparedTokenService<S> {
  const where = "createTokenService";
  const options = checkOptions(where, given, OPTIONS);
  const { issuer, verifier, store, basePath = "", introspect } = options;
  for (const name of ["environment", "introspect", "revocations", "keyTtl"] as const) {
    rejectUndefined(where, options, name);
  }
  if (!isText(issuer)) throw new TypeError(`${where}: "issuer" must be a text`);
  const audiences: readonly string[] = Array.isArray(options.audience)
    ? [...options.audience]
    : [options.audience];
  if (audiences.length === 0 || !audiences.every(isText)) {
    throw new TypeError(`${where}: "audience" must be a text or a list of texts`);
  }
  const ttl = parseDuration(options.ttl) ?? 0;
  if (ttl === 0 || ttl % 1_000 !== 0 || ttl > DAY) {
    throw new TypeError(`${where}: "ttl" must be a duration of whole seconds, such as "15m"; at most "24h"`);
  }
  if (typeof basePath !== "string" || !/^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~-]+)*$/.test(basePath)) {
    throw new TypeError(
      `${where}: "basePath" must be empty, or a path such as "/oauth" without "/" at its end`,
    );
  }
  checkMethods(where, "verifier", verifier, ["verify", "assertRequirement"]);
  checkMethods(where, "store", store, ["findById"]);
  checkFunction(where, "onError", options.onError);
  const kit = createVerifierBase(options, { where, noun: "token" });
  kit.scopes.assertRequirement(introspect);
  const { revocations = memoryRevocationList(kit.now) } = options;
  checkMethods(where, "revocations", revocations, ["add", "has"]);
  return {
    options,
    audiences: Object.freeze(audiences),
    ttlSeconds: ttl / 1_000,
    basePath,
    realm: options.realm ?? "api",
    kit,
    keys: createSigningKeys(where, options.signingKey, kit.now),
    revocations,
    introspect: structuredClone(introspect), // which later changes to the caller's list do not reach
    report: reporter(options.onError ?? warnOnce()),
  };
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

type Report = (error: unknown, context: GuardErrorContext) => Awaitable<unknown>;

function reporter(report: Report): PreparedTokenService<string>["report"] {
  return (error, context) => {
    try {
      Promise.resolve(report(error, context)).catch(() => {});
    } catch {
      // The request is answered with 503 either way, and there is nobody left to tell.
    }
  };
}

function warnOnce(): Report {
  let warned = false;
  return (error) => {
    if (warned) return;
    warned = true;
    const message = error instanceof StoreError ? error.message : "Tokens cannot be issued";
    warn("KEYBEARER_UNAVAILABLE", `${message}; answering 503. Pass "onError" to see every error.`);
  };
}
