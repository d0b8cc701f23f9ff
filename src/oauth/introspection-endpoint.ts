import { COMPACT_JWS } from "../jwt/header.js";
import { meets, type Principal, type Verifier } from "../kit.js";
import type { ClientAuth } from "./client-auth.js";
import { oauthProblem, oauthResponse, readOAuthForm, type ServeOAuth } from "./endpoint.js";
import type { PreparedTokenService } from "./options.js";

/**
 * Serves introspection (RFC 7662). A key sees the tokens of its owner in its environment, and with the scopes of the
 * option `introspect` those of every owner. Any other token is inactive to it, so that it cannot probe for tokens
 * (section 4).
 */
export function serveIntrospection<S extends string>(
  { introspect, base }: PreparedTokenService<S>,
  verifier: Verifier<S>,
  authenticate: ClientAuth<S>,
): ServeOAuth {
  const maySee = (caller: Principal<S>, token: Principal<S>): boolean =>
    (introspect !== undefined && meets(base.scopes, caller.scopes, introspect)) ||
    (token.ownerId === caller.ownerId && token.environment === caller.environment);

  const find = async (token: string, caller: Principal<S>): Promise<Principal<S> | undefined> => {
    const result = await verifier.verify({ headers: { authorization: `Bearer ${token}` } });
    return result.ok && maySee(caller, result.principal) ? result.principal : undefined;
  };

  return async (request, { requestId, authRequest }) => {
    const form = await readOAuthForm(request);
    const { principal: caller, headers } = await authenticate(authRequest, form);
    const token = form.get("token");
    if (token === undefined) throw oauthProblem("invalid_request", "token is missing.");
    const principal = COMPACT_JWS.test(token) ? await find(token, caller) : undefined;
    const body = principal === undefined ? { active: false } : describeToken(principal);
    return oauthResponse(request, requestId, 200, body, headers);
  };
}

/** RFC 7662, section 2.2; RFC 9449, section 6.2 */
function describeToken({ claims = {}, scopes, ownerId, environment }: Principal): object {
  const { iss, aud, sub, client_id, iat, exp, jti, cnf } = claims;
  return {
    active: true,
    ...(scopes.length === 0 ? {} : { scope: scopes.join(" ") }),
    client_id,
    token_type: cnf === undefined ? "Bearer" : "DPoP",
    cnf,
    exp,
    iat,
    sub,
    aud,
    iss,
    jti,
    owner_id: ownerId,
    environment, // omitted from the JSON if undefined
  };
}
