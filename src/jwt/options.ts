import { type Awaitable, isPromiseLike } from "../internal/awaitable.js";
import { type Duration, parseDuration } from "../internal/duration.js";
import { checkFunction, checkMethods, checkOptions, rejectUndefined } from "../internal/validate.js";
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
import { ask } from "./ask.js";
import { type BoundKeyStore, type BoundKeys, createBoundKeys } from "./bound-keys.js";
import type { ClaimRules, JwtClaims } from "./claims.js";
import { plainType } from "./header.js";
import { type KeyOptions, readKeys } from "./keys.js";
import { createProver, type Prover } from "./proof.js";
import type { JwtSubject } from "./subject.js";

/** Options of {@link createJwtVerifier}. */
export interface JwtVerifierOptions<S extends string = string> extends CommonVerifierOptions<S>, KeyOptions {
  /** Who issues the tokens: the claim `iss` must be one of these, to the character (RFC 7519, 4.1.1). */
  readonly issuer: string | readonly string[];
  /** Whom they are for, which is this service: the claim `aud` must name one of these (RFC 7519, 4.1.3). */
  readonly audience: string | readonly string[];
  /** The only algorithms that are accepted (RFC 8725, 3.1), such as `["RS256"]`. HS* only among themselves. */
  readonly algorithms: readonly string[];
  /**
   * Who a token stands for, in the words of this service; `undefined` refuses it with 401. Asked once for each
   * token, and remembered with it. When it throws, or takes longer than `storeTimeoutMs`, the answer is 503.
   */
  readonly principal?: (claims: JwtClaims) => Awaitable<JwtSubject | undefined>;
  /** Exactly this `typ`, such as `at+jwt` (RFC 9068, 4). By default `JWT`, `at+jwt` or none. */
  readonly typ?: string;
  /** How far the issuer's clock may be off: a number of seconds, or a duration; 0 by default, at most 30 s. */
  readonly clockTolerance?: number | Duration;
  /** How many verified tokens are remembered: 10,000 by default; 0 for none, 1,000,000 at most. */
  readonly cacheMax?: number;
  /**
   * Accepts only tokens that were made of a key (`key_id`, `key_version`), and only while it works: the token of a
   * key that is revoked, disabled, expired or changed is refused, and the key's allowlist and limit hold for it.
   */
  readonly keyStore?: BoundKeyStore;
  /** How old an answer of `keyStore` may be: `"5s"` by default, `"1m"` at most; `"0s"` asks for each request. */
  readonly keyTtl?: Duration;
  /** As in `createVerifier`: responses to tokens of a key that should be rotated say so in `API-Key-Notice`. */
  readonly rotationAge?: Duration | false;
  /** Whether a token was revoked before its time. Asked for each request; when it fails, the answer is 503. */
  readonly isRevoked?: (claims: JwtClaims) => Awaitable<boolean>;
}

const WHERE = "createJwtVerifier";
const OPTIONS: readonly (keyof JwtVerifierOptions)[] = [
  "issuer",
  "audience",
  "algorithms",
  "jwks",
  "key",
  "principal",
  "typ",
  "clockTolerance",
  "cacheMax",
  "keyStore",
  "keyTtl",
  "rotationAge",
  "isRevoked",
  ...COMMON_VERIFIER_OPTIONS,
];
/** Options that close a door: one that came out empty must not leave it open. */
const CLOSING = ["environment", "principal", "typ", "keyStore", "isRevoked"] as const;
const DEFAULT_TYPES: ReadonlySet<string | undefined> = new Set(["jwt", "at+jwt", undefined]);
const MAX_TOLERANCE = 30;

/** The options of a verifier of JWTs, checked and compiled: what its steps work with. */
export interface PreparedJwtVerifier<S extends string> {
  readonly kit: VerifierBase<S>;
  readonly rules: ClaimRules;
  readonly prove: Prover;
  /** Answers `undefined` for tokens without a binding. */
  readonly findKey: BoundKeys;
  readonly isRevoked: (claims: JwtClaims) => Awaitable<boolean>;
  /** Of the keys of bound tokens. */
  readonly notices: KeyNotices;
}

/** @throws TypeError for options that are unknown, missing or cannot work, naming the option. */
export function prepareJwtVerifier<S extends string>(given: JwtVerifierOptions<S>): PreparedJwtVerifier<S> {
  const options = checkOptions(WHERE, given, OPTIONS);
  for (const name of CLOSING) rejectUndefined(WHERE, options, name);
  for (const name of ["principal", "isRevoked"] as const) checkFunction(WHERE, name, options[name]);
  const { principal, keyStore, isRevoked } = options;
  const rules: ClaimRules = {
    issuers: readNames("issuer", options.issuer),
    audiences: readNames("audience", options.audience),
    tolerance: readTolerance(options.clockTolerance),
  };
  const algorithms = readAlgorithms(WHERE, options.algorithms);
  const keysFor = readKeys(WHERE, options, algorithms);
  const types = readTypes(options.typ);
  const cacheMax = readCacheMax(options.cacheMax);
  const keyTtl = readKeyTtl(options);
  if (keyStore !== undefined) checkMethods(WHERE, "keyStore", keyStore, ["findById"]);
  const kit = createVerifierBase(options, { where: WHERE, noun: "access token" });
  const { timeoutMs, now } = kit;
  const isBound = keyStore !== undefined;
  return {
    kit,
    rules,
    prove: createProver({
      ...rules,
      algorithms,
      types,
      keysFor,
      principal,
      isBound,
      cacheMax,
      timeoutMs,
      now,
    }),
    findKey: isBound ? createBoundKeys(keyStore, keyTtl, timeoutMs) : () => undefined,
    isRevoked: isRevoked === undefined ? () => false : boundedRevocations(isRevoked, timeoutMs),
    notices: keyNotices(WHERE, options.rotationAge),
  };
}

function boundedRevocations(
  isRevoked: NonNullable<JwtVerifierOptions["isRevoked"]>,
  timeoutMs: number,
): PreparedJwtVerifier<string>["isRevoked"] {
  const what = "The list of revocations";
  const trust = (answer: boolean) => {
    if (typeof answer !== "boolean") throw new StoreError(`${what} answered neither true nor false`);
    return answer;
  };
  return (claims) => {
    const answer = ask(() => isRevoked(claims), timeoutMs, what);
    return isPromiseLike(answer) ? answer.then(trust) : trust(answer);
  };
}

function readNames(option: "issuer" | "audience", value: unknown): ReadonlySet<string> {
  const names: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (names.length === 0 || !names.every((name) => typeof name === "string" && name !== "")) {
    throw new TypeError(`${WHERE}: "${option}" must be a text or a list of texts, and none of them empty`);
  }
  return new Set(names as readonly string[]);
}

function readTypes(typ: string | undefined): ReadonlySet<string | undefined> {
  if (typ === undefined) return DEFAULT_TYPES;
  if (typeof typ === "string" && typ !== "") return new Set([plainType(typ)]);
  throw new TypeError(`${WHERE}: "typ" must be a media type such as "at+jwt"`);
}

function readTolerance(value: JwtVerifierOptions["clockTolerance"] = 0): number {
  const seconds = typeof value === "number" ? value : (parseDuration(value) ?? Number.NaN) / 1_000;
  if (seconds >= 0 && seconds <= MAX_TOLERANCE) return seconds;
  throw new TypeError(
    `${WHERE}: "clockTolerance" must be a number of seconds or a duration, from 0 to ${MAX_TOLERANCE} s`,
  );
}

function readCacheMax(value = 10_000): number {
  if (Number.isInteger(value) && value >= 0 && value <= 1_000_000) return value;
  throw new TypeError(`${WHERE}: "cacheMax" must be a whole number from 0 to 1000000`);
}

function readKeyTtl({ keyTtl, keyStore }: Pick<JwtVerifierOptions, "keyTtl" | "keyStore">): number {
  if (keyTtl !== undefined && keyStore === undefined) {
    throw new TypeError(`${WHERE}: "keyTtl" is the age of what "keyStore" answers, which is not given`);
  }
  const length = parseDuration(keyTtl ?? "5s");
  if (length !== undefined && length <= 60_000) return length;
  throw new TypeError(`${WHERE}: "keyTtl" must be a duration such as "5s", at most "1m"`);
}
