import { hash, type KeyObject } from "node:crypto";
import { compactVerify, type JWK } from "jose";
import { LRUCache } from "lru-cache";
import { type Awaitable, isPromiseLike } from "../../internal/awaitable.js";
import { type AuthRequest, credentialSource, extractCredential, StoreError } from "../../kit.js";
import { type Algorithm, type Algorithms, SIGNING_ALGORITHMS } from "../algorithms.js";
import { boundedCall, withCryptoTimeout } from "../bounded-call.js";
import { type HeaderRules, readHeader, type TokenHeader } from "../header.js";
import { decodeBase64url, getOwn, parseJsonObject } from "../json.js";
import { importVerificationKey, thumbprint } from "../keys.js";
import type { Nonces } from "./nonces.js";
import type { ReplayStore } from "./replays.js";
import type { MatchesTarget } from "./target-uri.js";

/** A valid proof. */
export interface Proof {
  /** The thumbprint of its key (RFC 7638). */
  readonly jkt: string;
  /** Records the proof. Returns whether it was not used before. Fails with a `StoreError` only. */
  use(ownerId: string): Awaitable<boolean>;
}

/** Why a proof is rejected. */
export type ProofFault = "invalid_dpop_proof" | "dpop_nonce_required";

/** The access token of a request, and the key that it is bound to. */
export interface BoundToken {
  readonly token: string;
  readonly jkt: string;
}

/** Checks the DPoP proofs of requests (RFC 9449, section 4.3). */
export interface Proofs {
  /** Checks everything but the replay. Without a token, the proof is that of a token request. */
  check(request: AuthRequest, bound?: BoundToken): Awaitable<Proof | ProofFault>;
  /** Creates a nonce, if nonces are required. */
  issueNonce(): string | undefined;
}

/** The settings of {@link createProofs}. */
export interface ProofRules {
  readonly matchesTarget: MatchesTarget;
  readonly nonces: Nonces | undefined;
  readonly replays: ReplayStore;
  readonly maxAgeMs: number;
  readonly timeoutMs: number;
  readonly now: () => number;
}

/** How far ahead the clock of a client may be. */
export const MAX_AHEAD_MS = 30_000;

const NAMES = ["ES256", "ES384", "EdDSA", "Ed25519", "PS256", "RS256"] as const;
const ALGORITHMS: Algorithms = new Map(
  NAMES.map((name) => [name, SIGNING_ALGORITHMS.get(name) as Algorithm]),
);
/** The accepted algorithms, separated by spaces, as in a challenge. */
export const PROOF_ALGORITHMS: string = NAMES.join(" ");

const SOURCE = credentialSource({ header: "DPoP" });
const HEADER: HeaderRules = { algorithms: ALGORITHMS, types: new Set(["dpop+jwt"]), hasKey: true };
// RFC 7518, sections 6.2.2, 6.3.2 and 6.4; RFC 8037, section 2
const PRIVATE_MEMBERS = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
// The client selects the key: a long exponent or modulus would make a verification expensive.
const MAX_RSA_BITS = 4_096;
const MAX_RSA_EXPONENT = 2n ** 32n;
const MAX_KEYS = 1_000;

interface ProofKey {
  readonly key: KeyObject;
  readonly jkt: string;
}

export function createProofs(rules: ProofRules): Proofs {
  const { matchesTarget, nonces, replays, maxAgeMs, timeoutMs, now } = rules;
  const keys = new LRUCache<string, ProofKey>({ max: MAX_KEYS });

  /** Imports the key of a proof. A client uses one key for many proofs, and jose converts each object once. */
  const importKey = ({ jwk, alg }: TokenHeader): ProofKey | undefined => {
    const digest = hash("sha256", JSON.stringify([alg, jwk]));
    const known = keys.get(digest);
    if (known !== undefined) return known;
    const key = importProofKey(jwk, alg);
    if (key === undefined) return undefined;
    const imported = { key, jkt: thumbprint(key.export({ format: "jwk" }) as JWK) };
    keys.set(digest, imported);
    return imported;
  };

  /** RFC 9449, sections 4.2 and 4.3, in the order of their cost. */
  const checkClaims = (
    claims: Readonly<Record<string, unknown>>,
    request: AuthRequest,
    bound: BoundToken | undefined,
  ): ProofFault | undefined => {
    const [jti, htm, htu, iat, exp] = ["jti", "htm", "htu", "iat", "exp"].map((name) => getOwn(claims, name));
    const time = now();
    const isValid =
      typeof jti === "string" &&
      jti !== "" &&
      typeof htm === "string" &&
      htm === request.method &&
      matchesTarget(htu, request) &&
      isRecent(iat, time) &&
      (exp === undefined || (typeof exp === "number" && time < exp * 1_000)) &&
      (bound === undefined || getOwn(claims, "ath") === hash("sha256", bound.token, "base64url"));
    if (!isValid) return "invalid_dpop_proof";
    return nonces?.accepts(getOwn(claims, "nonce")) === false ? "dpop_nonce_required" : undefined;
  };

  const isRecent = (iat: unknown, time: number): boolean =>
    typeof iat === "number" && time < iat * 1_000 + maxAgeMs && iat * 1_000 <= time + MAX_AHEAD_MS;

  const use = (id: string, ownerId: string): Awaitable<boolean> => {
    const until = new Date(now() + maxAgeMs + MAX_AHEAD_MS);
    const subject = "The store of DPoP proofs";
    const check = (isFirst: boolean) => {
      if (typeof isFirst !== "boolean") throw new StoreError(`${subject} did not return true or false`);
      return isFirst;
    };
    const result = boundedCall(() => replays.use(id, until, ownerId), timeoutMs, subject);
    return isPromiseLike(result) ? result.then(check) : check(result);
  };

  return {
    check(request, bound) {
      const proof = extractCredential(request, SOURCE);
      const header = typeof proof === "string" ? readHeader(proof, HEADER) : undefined;
      if (typeof proof !== "string" || header === undefined) return "invalid_dpop_proof";
      const claims = readClaims(proof);
      if (claims === undefined) return "invalid_dpop_proof";
      const fault = checkClaims(claims, request, bound);
      if (fault !== undefined) return fault;
      const imported = importKey(header);
      if (imported === undefined) return "invalid_dpop_proof";
      const { key, jkt } = imported;
      if (bound !== undefined && bound.jkt !== jkt) return "invalid_dpop_proof";
      const id = hash("sha256", `${jkt} ${claims.jti}`, "base64url");
      const verified = compactVerify(proof, key, { algorithms: [header.alg] }).then(
        (): Proof => ({ jkt, use: (ownerId) => use(id, ownerId) }),
        (): ProofFault => "invalid_dpop_proof",
      );
      return withCryptoTimeout(verified, "The verification of a DPoP proof");
    },
    issueNonce: () => nonces?.issue(),
  };
}

function readClaims(proof: string): Readonly<Record<string, unknown>> | undefined {
  const payload = decodeBase64url(proof.split(".")[1] as string);
  return payload && parseJsonObject(payload);
}

/** Returns `undefined` for a key that is private, symmetric, weak or expensive, or does not fit the algorithm. */
function importProofKey(jwk: unknown, alg: string): KeyObject | undefined {
  if (typeof jwk !== "object" || jwk === null) return undefined;
  if (PRIVATE_MEMBERS.some((name) => Object.hasOwn(jwk, name))) return undefined;
  try {
    const algorithms = new Map([[alg, ALGORITHMS.get(alg) as Algorithm]]);
    const key = importVerificationKey(
      jwk as JWK,
      algorithms,
      (problem) => new TypeError(problem),
    ) as KeyObject;
    const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
    return modulusLength <= MAX_RSA_BITS && publicExponent < MAX_RSA_EXPONENT ? key : undefined;
  } catch {
    return undefined;
  }
}
