import type { AuthError } from "../errors.js";
import type { Requirement } from "../keys/requirement.js";
import type { CredentialOptions } from "../requests/credential.js";
import type { AuthRequest } from "../requests/request.js";
import type { Principal } from "./principal.js";

/** The outcome of a verification. A request that could not be verified has no result: `verify` throws. */
export type AuthResult<S extends string = string> =
  | {
      readonly ok: true;
      readonly principal: Principal<S>;
      /** Headers for the response, such as `RateLimit`. */
      readonly headers: Readonly<Record<string, string>>;
    }
  | { readonly ok: false; readonly error: AuthError };

/** Options of one verification. */
export interface VerifyOptions<S extends string = string> {
  /**
   * A requirement that is reported but not enforced: if the principal does not meet it, `wouldDeny` of the event
   * `auth.allowed` has `insufficient_scope`.
   */
  readonly reportOnly?: Requirement<S>;
}

/** A credential that a verifier accepts; by default a token in `Authorization: Bearer <token>`. */
export interface VerifierCredential extends CredentialOptions {
  /** `"jwt"` for tokens of three parts with dots between them, `"api_key"` for all others. */
  readonly type: "api_key" | "jwt";
  /**
   * A challenge for requests without a credential, if the credential has another scheme than the first one of the
   * verifier: `DPoP algs="ES256"`. None by default.
   */
  readonly challenge?: string;
}

/** Turns a request into an {@link AuthResult}. Every guard accepts any verifier. */
export interface Verifier<S extends string = string> {
  /**
   * Verifies one request. Without a requirement, any valid key is allowed.
   *
   * @throws StoreError if the store or the rate limiter fails, is too slow or returns an invalid value: respond with 503.
   * @throws TypeError if a requirement is empty or names an undefined scope.
   *
   * @example
   * const result = await verifier.verify({ headers: request.headers }, "vehicles:read");
   * if (result.ok) console.log(result.principal.ownerId);
   */
  verify(
    request: AuthRequest,
    requirement?: Requirement<S>,
    options?: VerifyOptions<S>,
  ): Promise<AuthResult<S>>;
  /**
   * Checks a requirement as `verify` does, so that a mistake in a route fails at start-up.
   *
   * @throws TypeError if the requirement is empty or names an undefined scope.
   */
  assertRequirement(requirement: Requirement<S> | undefined): void;
  /** The credentials that the verifier accepts. `anyVerifier` needs them to select a verifier. */
  readonly credentials?: readonly VerifierCredential[];
}
