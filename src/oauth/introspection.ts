import { meets, type Principal, type Verifier } from "../kit.js";
import type { ClientAuth } from "./client-auth.js";
import { readOAuthForm } from "./form.js";
import type { PreparedTokenService } from "./options.js";
import { answerPrivately, type OAuthContext, oauthProblem } from "./responses.js";
import { COMPACT } from "./token-verifiers.js";

/**
 * Serves introspection (RFC 7662). A key sees the tokens of its owner in its environment, and those of everybody
 * with the scopes of `introspect`. Of any other token it learns nothing, not even that it exists (section 4).
 */
export function serveIntrospection<S extends string>(
  { introspect, kit }: PreparedTokenService<S>,
  anywhere: Verifier<S>,
  authenticate: ClientAuth<S>,
): (request: Request, context: OAuthContext) => Promise<Response> {
  const maySee = (caller: Principal<S>, token: Principal<S>): boolean =>
    (introspect !== undefined && meets(kit.scopes, caller.scopes, introspect)) ||
    (token.ownerId === caller.ownerId && token.environment === caller.environment);

  const find = async (token: string, caller: Principal<S>): Promise<Principal<S> | undefined> => {
    const result = await anywhere.verify({ headers: { authorization: `Bearer ${token}` } });
    return result.ok && maySee(caller, result.principal) ? result.principal : undefined;
  };

  return async (request, { requestId, arrived }) => {
    const form = await readOAuthForm(request);
    const { principal: caller, headers } = await authenticate(arrived, form);
    const token = form.get("token");
    if (token === undefined) throw oauthProblem("invalid_request", "token is missing.");
    const shown = COMPACT.test(token) ? await find(token, caller) : undefined;
    const body = shown === undefined ? { active: false } : describeToken(shown);
    return answerPrivately(request, requestId, 200, body, headers);
  };
}

/** RFC 7662, 2.2 */
function describeToken({ claims = {}, scopes, ownerId, environment }: Principal): object {
  const { iss, aud, sub, client_id, iat, exp, jti } = claims;
  return {
    active: true,
    ...(scopes.length === 0 ? {} : { scope: scopes.join(" ") }),
    client_id,
    token_type: "Bearer",
    exp,
    iat,
    sub,
    aud,
    iss,
    jti,
    owner_id: ownerId,
    environment, // left out of the body when the key has none
  };
}
