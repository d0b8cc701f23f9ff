import type { AuthError } from "../kit.js";
import type { Client, ClientAuth } from "./client-auth.js";
import type { Exchange, IssuedToken } from "./exchange.js";
import { type OAuthForm, readOAuthForm } from "./form.js";
import type { PreparedTokenService } from "./options.js";
import { answerPrivately, type OAuthContext, oauthProblem } from "./responses.js";

const CLIENT_CREDENTIALS = "client_credentials";
const TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";

/** What `grant_type` may be. */
export const GRANT_TYPES: readonly string[] = [CLIENT_CREDENTIALS, TOKEN_EXCHANGE];

// RFC 8693, 3
const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";
const JWT = "urn:ietf:params:oauth:token-type:jwt";

/**
 * Serves the token endpoint: client credentials (RFC 6749, 4.4), and token exchange (RFC 8693) with the key as
 * subject token.
 */
export function serveToken<S extends string>(
  { audiences }: PreparedTokenService<S>,
  exchange: Exchange<S>,
  authenticate: ClientAuth<S>,
): (request: Request, context: OAuthContext) => Promise<Response> {
  return async (request, { requestId, arrived }) => {
    const form = await readOAuthForm(request);
    const issuedType = readGrant(form);
    const audience = readAudience(form, audiences);
    const client = await authenticate(arrived, form, { takesSubject: issuedType !== undefined });
    const issued = await exchange.issue(client, form.get("scope"), audience);
    if (!issued.ok) throw refusalOf(issued.error, client);
    return answerPrivately(request, requestId, 200, bodyOf(issued, issuedType), issued.headers);
  };
}

/** RFC 6749, 5.1; RFC 8693, 2.2.1 */
function bodyOf(issued: IssuedToken, issuedType: string | undefined): object {
  return {
    access_token: issued.accessToken,
    ...(issuedType === undefined ? {} : { issued_token_type: issuedType }),
    token_type: "Bearer",
    expires_in: issued.expiresIn,
    ...(issued.scopes.length === 0 ? {} : { scope: issued.scopes.join(" ") }),
  };
}

function refusalOf(error: AuthError, { refusal }: Client<string>) {
  return error.code === "insufficient_scope" ? oauthProblem("invalid_scope", error.message) : refusal(error);
}

/**
 * The type of token that a token exchange asks for; `undefined` for client credentials.
 *
 * @throws HttpProblem for another grant, and for parameters that it does not have.
 */
function readGrant(form: OAuthForm): string | undefined {
  const grant = form.get("grant_type");
  if (grant === undefined) throw missing("grant_type");
  if (!GRANT_TYPES.includes(grant)) {
    throw oauthProblem("unsupported_grant_type", `grant_type must be ${GRANT_TYPES.join(" or ")}.`);
  }
  if (grant === CLIENT_CREDENTIALS) {
    if (form.has("subject_token")) {
      throw oauthProblem("invalid_request", "subject_token belongs to another grant_type.");
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
  const requested = form.get("requested_token_type") ?? ACCESS_TOKEN;
  if (requested !== ACCESS_TOKEN && requested !== JWT) {
    throw oauthProblem("invalid_request", `requested_token_type must be ${ACCESS_TOKEN} or ${JWT}.`);
  }
  return requested;
}

function missing(name: string) {
  return oauthProblem("invalid_request", `${name} is missing.`);
}

/** RFC 8693, 2.2.2, and RFC 8707, 2: whom a token is for, by name or by address, must be one that it may be for. */
function readAudience(form: OAuthForm, audiences: readonly string[]): readonly string[] {
  const asked = new Set([...form.all("audience"), ...form.all("resource")]);
  if (asked.size === 0) return audiences;
  const allowed = audiences.filter((audience) => asked.has(audience));
  if (allowed.length < asked.size) {
    throw oauthProblem("invalid_target", "Tokens are not issued for this audience or resource.");
  }
  return allowed;
}
