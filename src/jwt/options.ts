import type { KeyInput } from "jose";
import { type Awaitable, isPromiseLike } from "../internal/awaitable.js";
import { type Duration, readDuration } from "../internal/duration.js";
import {
  checkFunction,
  checkMethods,
  checkOptions,
  isNonEmptyString,
  readInteger,
  rejectUndefined,
} from "../internal/validate.js";
import {
  COMMON_VERIFIER_OPTIONS,
  type CommonVerifierOptions,
  createVerifierBase,
  type KeyNotices,
  keyNotices,
  StoreError,
  type VerifierBase,
} from "../kit.js";
import { readAlgorithms } from "./algorithms.js";
import { type BoundKeyStore, createBoundKeyLookup, type FindBoundKey } from "./bound-keys.js";
import { boundedCall } from "./bounded-call.js";
import type { ClaimRules, JwtClaims } from "./claims.js";
import { type DpopOptions, readProofs } from "./dpop/options.js";
import { PROOF_ALGORITHMS, type Proofs } from "./dpop/proofs.js";
import { normalizeType } from "./header.js";
import { type KeyOptions, readKeySource } from "./key-source.js";
import { DPOP_CREDENTIAL, type Possession } from "./possession.js";
import type { JwtSubject } from "./subject.js";
import { createTokenVerification, type VerifyToken } from "./token-verification.js";

/** Options of {@link createJwtVerifier}. */
export interface JwtVerifierOptions<S extends string = string> extends CommonVerifierOptions<S>, KeyOptions {
  /** The accepted issuers: the claim `iss` must equal one of these strings (RFC 7519, section 4.1.1). */
  readonly issuer: string | readonly string[];
  /** The audiences of this service: the claim `aud` must include one of these strings (RFC 7519, section 4.1.3). */
  readonly audience: string | readonly string[];
  /** The accepted algorithms, such as `["RS256"]` (RFC 8725, section 3.1). HS* cannot be combined with others. */
  readonly algorithms: readonly string[];
  /**
   * Maps the claims to the principal; return `undefined` to deny the token with 401. Called once per token; the result is
   * cached with the token. If it throws, or takes longer than `storeTimeout`, the request fails with 503. By default the
   * subject is `sub` with the scopes of `scope` or `scp`.
   */
  readonly principal?: (claims: JwtClaims) => Awaitable<JwtSubject | undefined>;
  /** The required `typ`, such as `at+jwt` (RFC 9068, section 4). By default `JWT`, `at+jwt` or no `typ`. */
  readonly typ?: string;
  /** The accepted difference to the issuer's clock: `"0s"` by default, at most `"30s"`. */
  readonly clockTolerance?: Duration;
  /** The maximum number of cached tokens: 10,000 by default, at most 1,000,000; 0 disables the cache. */
  readonly cacheMax?: number;
  /**
   * The store of the keys that tokens are bound to. If set, only tokens with `key_id`, `key_version` and `owner_id` are
   * accepted, and only while their key is valid and unchanged; its allowlist and rate limit apply. None by default.
   */
  readonly keyStore?: BoundKeyStore;
  /** How long a key from `keyStore` is cached: `"5s"` by default, at most `"1m"`; `"0s"` disables the cache. */
  readonly keyTtl?: Duration;
  /** The age after which the key of a token is reported in `API-Key-Notice`, as in `createVerifier`. */
  readonly rotationAge?: Duration | false;
  /**
   * Returns whether a token was revoked. Called for every request. If it throws, or takes longer than `storeTimeout`, the
   * request fails with 503. By default no token is revoked.
   */
  readonly isRevoked?: (claims: JwtClaims) => Awaitable<boolean>;
  /**
   * How DPoP proofs are checked (RFC 9449). A token with `cnf.jkt` is then accepted with the scheme `DPoP` and a valid
   * proof, and every other token as `Bearer`. By default, and for every other `cnf`, a token with `cnf` is denied.
   */
  readonly dpop?: DpopOptions;
}

const WHERE = "createJwtVerifier";
const OPTIONS: readonly (keyof JwtVerifierOptions)[] = [
  "issuer",
  "audience",
  "algorithms",
  "jwks",
  "key",
  "discover",
  "principal",
  "typ",
  "clockTolerance",
  "cacheMax",
  "keyStore",
  "keyTtl",
  "rotationAge",
  "isRevoked",
  "dpop",
  ...COMMON_VERIFIER_OPTIONS,
];
/** Options that restrict access: if they are present, they must not be `undefined`. */
const RESTRICTIONS = ["environment", "principal", "typ", "keyStore", "isRevoked", "dpop"] as const;
const DEFAULT_TYPES: ReadonlySet<string | undefined> = new Set(["jwt", "at+jwt", undefined]);

/** The checked options of a JWT verifier, and its steps. */
export interface PreparedJwtVerifier<S extends string> {
  readonly base: VerifierBase<S>;
  readonly rules: ClaimRules;
  readonly verifyToken: VerifyToken;
  readonly findKey: FindBoundKey;
  readonly isRevoked: (claims: JwtClaims) => Awaitable<boolean>;
  readonly notices: KeyNotices;
  readonly possession: Possession<S>;
  readonly isTrusted: (key: KeyInput) => Awaitable<boolean>;
}

/** What a token service sets in its verifiers. */
export interface ServiceSettings {
  /** Replaces the option `dpop`. `"unchecked"`: bound tokens are accepted without a proof. */
  readonly proofs?: Proofs | "unchecked" | undefined;
  /** Returns whether the signing key of a cached token is still trusted. Called for every request. */
  readonly isTrusted?: (key: KeyInput) => Awaitable<boolean>;
}

/** @throws TypeError if an option is unknown, missing or invalid. */
export function prepareJwtVerifier<S extends string>(
  given: JwtVerifierOptions<S>,
  service: ServiceSettings = {},
): PreparedJwtVerifier<S> {
  const options = checkOptions(WHERE, given, OPTIONS);
  for (const name of RESTRICTIONS) rejectUndefined(WHERE, options, name);
  for (const name of ["principal", "isRevoked"] as const) checkFunction(WHERE, name, options[name]);
  const { principal, keyStore, isRevoked, cacheMax = 10_000 } = options;
  const rules: ClaimRules = {
    issuers: readNames("issuer", options.issuer),
    audiences: readNames("audience", options.audience),
    tolerance: readTolerance(options.clockTolerance),
  };
  const algorithms = readAlgorithms(WHERE, options.algorithms);
  const findKeys = readKeySource(WHERE, options, algorithms);
  const types = readTypes(options.typ);
  const keyTtl = readKeyTtl(options);
  if (keyStore !== undefined) checkMethods(WHERE, "keyStore", keyStore, ["findById"]);
  const kind = { where: WHERE, noun: "access token", type: "jwt" } as const;
  const usesDpop = options.dpop !== undefined || typeof service.proofs === "object";
  if (usesDpop && options.credential !== undefined) {
    throw new TypeError(`${WHERE}: "dpop" requires the header Authorization; omit "credential"`);
  }
  const base = createVerifierBase(
    options,
    usesDpop ? { ...kind, otherCredentials: [DPOP_CREDENTIAL] } : kind,
  );
  const { timeoutMs, now } = base;
  const proofs = options.dpop === undefined ? service.proofs : readProofs(WHERE, options.dpop, base);
  const dpopOptions = { ...options, credential: { scheme: "DPoP" } };
  const possession: Possession<S> =
    typeof proofs === "object"
      ? { proofs, base: createVerifierBase(dpopOptions, { ...kind, algs: PROOF_ALGORITHMS }) }
      : (proofs ?? "rejected");
  const isBound = keyStore !== undefined;
  return {
    base,
    rules,
    verifyToken: createTokenVerification({
      ...rules,
      algorithms,
      types,
      findKeys,
      principal,
      isBound,
      cacheMax: readInteger(WHERE, "cacheMax", cacheMax, 0, 1_000_000),
      timeoutMs,
      now,
    }),
    findKey: isBound ? createBoundKeyLookup(keyStore, keyTtl, timeoutMs) : () => undefined,
    isRevoked: isRevoked === undefined ? () => false : boundedRevocationCheck(isRevoked, timeoutMs),
    notices: keyNotices(WHERE, options.rotationAge),
    possession,
    isTrusted: service.isTrusted ?? (() => true),
  };
}

function boundedRevocationCheck(
  isRevoked: NonNullable<JwtVerifierOptions["isRevoked"]>,
  timeoutMs: number,
): PreparedJwtVerifier<string>["isRevoked"] {
  const subject = "The revocation list";
  const checkResult = (revoked: boolean) => {
    if (typeof revoked !== "boolean") throw new StoreError(`${subject} did not return true or false`);
    return revoked;
  };
  return (claims) => {
    const result = boundedCall(() => isRevoked(claims), timeoutMs, subject);
    return isPromiseLike(result) ? result.then(checkResult) : checkResult(result);
  };
}

function readNames(option: "issuer" | "audience", value: unknown): ReadonlySet<string> {
  const names: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (names.length === 0 || !names.every(isNonEmptyString)) {
    throw new TypeError(`${WHERE}: "${option}" must be a non-empty string, or an array of such strings`);
  }
  return new Set(names);
}

function readTypes(typ: string | undefined): ReadonlySet<string | undefined> {
  if (typ === undefined) return DEFAULT_TYPES;
  if (isNonEmptyString(typ)) return new Set([normalizeType(typ)]);
  throw new TypeError(`${WHERE}: "typ" must be a media type such as "at+jwt"`);
}

/** Returns seconds. */
function readTolerance(value: JwtVerifierOptions["clockTolerance"] = "0s"): number {
  if (typeof value === "number") {
    // In other JWT libraries a number is in seconds.
    throw new TypeError(`${WHERE}: "clockTolerance" must be a duration such as "5s"; received a number`);
  }
  return readDuration(WHERE, "clockTolerance", value, { min: "0s", max: "30s" }) / 1_000;
}

/** Returns milliseconds. */
function readKeyTtl({ keyTtl, keyStore }: Pick<JwtVerifierOptions, "keyTtl" | "keyStore">): number {
  if (keyTtl !== undefined && keyStore === undefined) {
    throw new TypeError(`${WHERE}: "keyTtl" has no effect without "keyStore"`);
  }
  return readDuration(WHERE, "keyTtl", keyTtl ?? "5s", { min: "0s", max: "1m" });
}
