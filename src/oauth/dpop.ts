import { checkFunction, checkOptions, describe, rejectUndefined } from "../internal/validate.js";
import { DPOP_OPTIONS, type DpopOptions, readProofs } from "../jwt/dpop/options.js";
import { PROOF_ALGORITHMS, type Proof, type ProofFault, type Proofs } from "../jwt/dpop/proofs.js";
import {
  type ApiKey,
  AuthError,
  type AuthRequest,
  credentialSource,
  extractCredential,
  type KeyRecord,
  StoreError,
  toApiKey,
  toStoreError,
} from "../kit.js";

/** How a token service binds tokens to keys of clients (DPoP, RFC 9449). */
export interface TokenDpopOptions extends Omit<DpopOptions, "origin"> {
  /** The public origin of this service; by default that of `issuer`, if it is a URL. */
  readonly origin?: DpopOptions["origin"];
  /**
   * Whether requests for tokens without a proof are denied: for all keys, or for some. Decide by the scopes or the owner of a key, which
   * no key can change: a key that manages keys can change `metadata`, and make keys without it. `false` by default.
   */
  readonly required?: boolean | ((key: ApiKey) => boolean);
}

/** The checked option `dpop`. */
export interface PreparedDpop {
  readonly proofs: Proofs;
  /** Checks the proof of a request for a token, if it has one. */
  readonly readProof: (request: AuthRequest) => Promise<Proof | AuthError | undefined>;
  /** Returns why a token must not be issued for a key. Uses the proof. Fails with a `StoreError` only. */
  readonly deny: (key: KeyRecord, proof: Proof | undefined) => Promise<AuthError | undefined>;
}

const HEADER = credentialSource({ header: "DPoP" });

/** @throws TypeError if an option is unknown, missing or invalid. */
export function prepareDpop(
  where: string,
  given: "optional" | "required" | TokenDpopOptions,
  issuer: string,
  base: { readonly timeoutMs: number; readonly now: () => number },
): PreparedDpop {
  if (typeof given === "string" && given !== "optional" && given !== "required") {
    throw new TypeError(`${where}: "dpop" must be "optional", "required" or an object`);
  }
  const options = typeof given === "string" ? { required: given === "required" } : given;
  const { required = false, ...rest } = checkOptions(`${where}: dpop`, options, [
    ...DPOP_OPTIONS,
    "required",
  ]);
  rejectUndefined(`${where}: dpop`, options, "required");
  if (typeof required !== "boolean") checkFunction(where, "dpop.required", required);
  const proofs = readProofs(where, { origin: originOf(issuer), ...rest }, base);

  const isRequired = (record: KeyRecord): boolean => {
    if (typeof required === "boolean") return required;
    const subject = 'The callback "dpop.required"';
    let result: unknown;
    try {
      result = required(toApiKey(record, base.now()));
    } catch (error) {
      throw toStoreError(error, subject);
    }
    if (typeof result === "boolean") return result;
    throw new StoreError(`${subject} must return true or false; received ${describe(result)}`);
  };

  return {
    proofs,
    async readProof(request) {
      const header = extractCredential(request, HEADER);
      if (typeof header !== "string" && header.fault === "missing_credential") return undefined;
      const proof = await proofs.check(request);
      return typeof proof === "string" ? proofError(proof, proofs.issueNonce()) : proof;
    },
    async deny(key, proof) {
      if (proof === undefined) return isRequired(key) ? proofError("invalid_dpop_proof") : undefined;
      return (await proof.use(key.ownerId)) ? undefined : proofError("invalid_dpop_proof");
    },
  };
}

/** Returns an empty string, which is no origin, if the issuer is not a URL. */
function originOf(issuer: string): string {
  return URL.canParse(issuer) ? new URL(issuer).origin : "";
}

function proofError(fault: ProofFault, nonce?: string): AuthError {
  const needsNonce = fault === "dpop_nonce_required" && nonce !== undefined;
  return new AuthError(
    "invalid_dpop_proof",
    needsNonce
      ? "The DPoP proof needs the nonce of this response."
      : "The DPoP proof is missing or not valid.",
    {
      "WWW-Authenticate": `DPoP error="${needsNonce ? "use_dpop_nonce" : "invalid_dpop_proof"}", algs="${PROOF_ALGORITHMS}"`,
      ...(needsNonce && { "DPoP-Nonce": nonce }),
    },
  );
}
