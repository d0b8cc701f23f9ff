import {
  AuthError,
  type AuthRequest,
  createVerifier,
  credentialSource,
  extractCredential,
  type Verifier,
  type VerifierOptions,
} from "keybearer";

const HEADER = { header: "X-API-Key" };
const inHeader = credentialSource(HEADER);
const asBearer = credentialSource();

const twice = new AuthError(
  "malformed_credential",
  "Send the API key once: as X-API-Key, or as a Bearer token.",
  { "WWW-Authenticate": 'Bearer realm="eazip", error="invalid_request"' },
);

/** A verifier for keys that come as `X-API-Key: <key>`, or as `Authorization: Bearer <key>`, but never as both. */
export function createEazipVerifier<S extends string>(options: VerifierOptions<S>): Verifier<S> {
  const bearer = createVerifier(options);
  const header = createVerifier({ ...options, credential: HEADER });
  return {
    assertRequirement: bearer.assertRequirement,
    async verify(request, requirement, trial) {
      if (!sends(request, inHeader)) return bearer.verify(request, requirement, trial);
      // Which of two would count is a guess, and a proxy may guess otherwise.
      if (sends(request, asBearer)) return { ok: false, error: twice };
      return header.verify(request, requirement, trial);
    },
  };
}

function sends(request: AuthRequest, source: ReturnType<typeof credentialSource>): boolean {
  const found = extractCredential(request, source);
  return typeof found === "string" || found.fault !== "missing_credential";
}
