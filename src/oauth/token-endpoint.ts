import type { HttpProblem } from "../http/problem.js";
import { AuthError } from "../kit.js";
import type { Client, ClientAuth } from "./client-auth.js";
import { type OAuthForm, oauthProblem, oauthResponse, readOAuthForm, type ServeOAuth } from "./endpoint.js";
import type { Exchange, IssuedToken } from "./exchange.js";
import type { PreparedTokenService } from "./options.js";

const CLIENT_CREDENTIALS = "client_credentials";
const TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";

/** The supported values of `grant_type`. */
export const GRANT_TYPES: readonly string[] = [CLIENT_CREDENTIALS, TOKEN_EXCHANGE];

// RFC 8693, section 3
const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";
const JWT = "urn:ietf:params:oauth:token-type:jwt";

/** Serves client credentials (RFC 6749, section 4.4), and token exchange (RFC 8693) with a key as the subject token. */
export function serveToken<S extends string>(
  { audiences, dpop }: PreparedTokenService<S>,
  exchange: Exchange<S>,
  authenticate: ClientAuth<S>,
): ServeOAuth {
  return async (request, { requestId, authRequest }) => {
    const form = await readOAuthForm(request);
    const requestedType = readGrant(form);
    const audience = readAudience(form, audiences);
    const proof = await dpop?.readProof(authRequest); // before the client, whose authentication takes a lookup
    if (proof instanceof AuthError) throw toProofProblem(proof);
    const client = await authenticate(authRequest, form, { allowSubjectToken: requestedType !== undefined });
    const issued = await exchange.issue(client, form.get("scope"), audience, proof);
    if (!issued.ok) throw toProblem(issued.error, client);
    return oauthResponse(request, requestId, 200, toBody(issued, requestedType), issued.headers);
  };
}

/** RFC 6749, section 5.1; RFC 8693, section 2.2.1 */
function toBody(issued: IssuedToken, issuedType: string | undefined): object {
  return {
    access_token: issued.accessToken,
    ...(issuedType === undefined ? {} : { issued_token_type: issuedType }),
    token_type: issued.tokenType,
    expires_in: issued.expiresIn,
    ...(issued.scopes.length === 0 ? {} : { scope: issued.scopes.join(" ") }),
  };
}

function toProblem(error: AuthError, client: Client<string>): HttpProblem {
  if (error.code === "invalid_dpop_proof") return toProofProblem(error);
  return error.code === "insufficient_scope"
    ? oauthProblem("invalid_scope", error.message)
    : client.toProblem(error);
}

/** RFC 9449, sections 5 and 8 */
function toProofProblem({ code, message, headers }: AuthError): HttpProblem {
  const nonce = headers["DPoP-Nonce"];
  return nonce === undefined
    ? oauthProblem("invalid_dpop_proof", message)
    : oauthProblem("use_dpop_nonce", message, { code, headers: { "DPoP-Nonce": nonce } });
}

/**
 * Returns the token type that a token exchange requests; `undefined` for client credentials.
 *
 * @throws HttpProblem if the grant type is missing or unsupported, or its parameters are invalid.
 */
function readGrant(form: OAuthForm): string | undefined {
  const grant = form.get("grant_type");
  if (grant === undefined) throw missing("grant_type");
  if (!GRANT_TYPES.includes(grant)) {
    throw oauthProblem("unsupported_grant_type", `grant_type must be ${GRANT_TYPES.join(" or ")}.`);
  }
  if (grant === CLIENT_CREDENTIALS) {
    if (form.has("subject_token")) {
      throw oauthProblem("invalid_request", "subject_token is not allowed with this grant_type.");
    }
    return undefined;
  }
  if (!form.has("subject_token")) throw missing("subject_token");
  if (!form.has("subject_token_type")) throw missing("subject_token_type");
  if (form.get("subject_token_type") !== ACCESS_TOKEN) {
    throw oauthProblem("invalid_request", `subject_token_type must be ${ACCESS_TOKEN}.`);
  }
  if (form.has("actor_token") || form.has("actor_token_type")) {
    throw oauthProblem("invalid_request", "actor_token is not supported.");
  }
  const requestedType = form.get("requested_token_type") ?? ACCESS_TOKEN;
  if (requestedType !== ACCESS_TOKEN && requestedType !== JWT) {
    throw oauthProblem("invalid_request", `requested_token_type must be ${ACCESS_TOKEN} or ${JWT}.`);
  }
  return requestedType;
}

function missing(name: string): HttpProblem {
  return oauthProblem("invalid_request", `${name} is missing.`);
}

/**
 * Returns the requested audiences (RFC 8693, section 2.1); that of this service by default.
 *
 * @throws HttpProblem if one is not an audience of the service (RFC 8693, section 2.2.2; RFC 8707, section 2).
 */
function readAudience(
  form: OAuthForm,
  audiences: PreparedTokenService<string>["audiences"],
): readonly string[] {
  const requested = new Set([...form.all("audience"), ...form.all("resource")]);
  if (requested.size === 0) return [audiences[0]];
  const allowed = audiences.filter((audience) => requested.has(audience));
  if (allowed.length < requested.size) {
    throw oauthProblem("invalid_target", "Tokens are not issued for this audience or resource.");
  }
  return allowed;
}
