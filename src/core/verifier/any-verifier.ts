import type {
  AuthRequest,
  AuthResult,
  CredentialOptions,
  Requirement,
  Verifier,
  VerifyOptions,
} from "../../index.js";
import { checkMethods, checkOptions } from "../../internal/validate.js";
import { credentialSource, extractCredential } from "../requests/credential.js";

/** Options of {@link anyVerifier}. */
export interface AnyVerifierOptions {
  /** Where the credential is sent; the same as both verifiers have. */
  readonly credential?: CredentialOptions;
}

const WHERE = "anyVerifier";
// The form of a JWT (RFC 7519, 3): three parts of base64url. A secret of `keyFormat` has no dots.
const THREE_PARTS = /^[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*$/;

/**
 * Makes one verifier of two, so that keys and JWTs are both accepted by a route. The form of the credential decides
 * who is asked: three parts with dots between them are a JWT, everything else is a key, and so is a credential that
 * is missing or cannot be read. Only that one is asked, and its word is final: a token that was refused is never
 * tried as a key.
 *
 * @throws TypeError for arguments that are no verifiers, and for unknown options.
 *
 * @example
 * const auth = expressAuth(anyVerifier(verifier, jwtVerifier));
 */
export function anyVerifier<S extends string>(
  apiKeys: Verifier<S>,
  jwt: Verifier<S>,
  options: AnyVerifierOptions = {},
): Verifier<S> {
  for (const [name, verifier] of Object.entries({ apiKeys, jwt })) {
    checkMethods(WHERE, name, verifier, ["verify", "assertRequirement"]);
  }
  const source = credentialSource(checkOptions(WHERE, options, ["credential"]).credential);

  return Object.freeze({
    async verify(
      request: AuthRequest,
      required?: Requirement<S>,
      trial?: VerifyOptions<S>,
    ): Promise<AuthResult<S>> {
      const credential = extractCredential(request, source);
      const isJwt = typeof credential === "string" && THREE_PARTS.test(credential);
      return (isJwt ? jwt : apiKeys).verify(request, required, trial);
    },
    assertRequirement(required: Requirement<S> | undefined): void {
      apiKeys.assertRequirement(required);
      jwt.assertRequirement(required);
    },
  });
}
