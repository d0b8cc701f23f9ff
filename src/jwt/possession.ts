import { type Awaitable, mapAwaitable } from "../internal/awaitable.js";
import {
  AuthError,
  type AuthRequest,
  type AuthResult,
  type CredentialFault,
  type VerificationContext,
  type VerifierBase,
  type VerifierCredential,
} from "../kit.js";
import { PROOF_ALGORITHMS, type Proof, type Proofs } from "./dpop/proofs.js";
import type { VerifiedToken } from "./token-verification.js";

/** How a verifier treats tokens with `cnf`: it rejects them, does not check the possession, or requires DPoP proofs. */
export type Possession<S extends string> = "rejected" | "unchecked" | DpopScheme<S>;

/** The scheme DPoP beside Bearer. */
export interface DpopScheme<S extends string> {
  readonly proofs: Proofs;
  /** Reads credentials with the scheme DPoP, and denies with its challenges. */
  readonly base: VerifierBase<S>;
}

/** RFC 9449, section 7.1 */
export const DPOP_CREDENTIAL: VerifierCredential = Object.freeze({
  type: "jwt",
  scheme: "DPoP",
  challenge: `DPoP algs="${PROOF_ALGORITHMS}"`,
});

/** A token as it was sent, and the scheme that it was sent with. */
export interface Presented<S extends string> {
  readonly token: string | CredentialFault;
  /** `undefined` for Bearer. */
  readonly dpop: DpopScheme<S> | undefined;
}

/** Reads the token of a request. The scheme DPoP counts only if proofs are checked. */
export function readPresented<S extends string>(
  request: AuthRequest,
  base: VerifierBase<S>,
  possession: Possession<S>,
): Presented<S> {
  const token = base.credential(request);
  if (typeof possession !== "object" || !isMissing(token)) return { token, dpop: undefined };
  const bound = possession.base.credential(request);
  return isMissing(bound) ? { token, dpop: undefined } : { token: bound, dpop: possession };
}

function isMissing(token: string | CredentialFault): boolean {
  return typeof token !== "string" && token.fault === "missing_credential";
}

/**
 * Checks that a token was sent as its claim `cnf` requires (RFC 9449, sections 7.1 and 7.2). Returns the denial, or the
 * proof, which the caller must use; `undefined` for a token without `cnf`.
 */
export function checkPossession<S extends string>(
  context: VerificationContext<S>,
  { token, dpop }: Presented<S> & { readonly token: string },
  { confirmation, subject, binding }: VerifiedToken,
  base: VerifierBase<S>,
  possession: Possession<S>,
): Awaitable<Proof | AuthResult<S> | undefined> {
  if (possession === "unchecked") return undefined;
  if (confirmation === undefined && dpop === undefined) return undefined;
  context.subject = { ...subject, isKey: subject.id === binding?.keyId };
  const jkt = confirmation?.jkt;
  if (dpop === undefined || jkt === undefined) return (dpop?.base ?? base).deny(context, "token_binding");
  return mapAwaitable(dpop.proofs.check(context.request, { token, jkt }), (proof) => {
    if (typeof proof !== "string") return proof;
    const result = dpop.base.deny(context, proof);
    return proof === "dpop_nonce_required" ? withNonce(result, dpop.proofs.issueNonce()) : result;
  });
}

/** RFC 9449, section 9 */
function withNonce<S extends string>(result: AuthResult<S>, nonce = ""): AuthResult<S> {
  if (result.ok) return result;
  const { code, message, headers, details } = result.error;
  return { ok: false, error: new AuthError(code, message, { ...headers, "DPoP-Nonce": nonce }, details) };
}
