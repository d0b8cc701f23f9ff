import { boundedCall } from "../jwt/bounded-call.js";
import { COMPACT_JWS } from "../jwt/header.js";
import { isSecret, type Verifier } from "../kit.js";
import type { ClientAuth } from "./client-auth.js";
import { oauthProblem, oauthResponse, readOAuthForm, type ServeOAuth } from "./endpoint.js";
import type { PreparedTokenService } from "./options.js";
import { revocableToken } from "./revocation-list.js";

/**
 * Serves revocation (RFC 7009): a key revokes its own tokens. The response is 200 also for an expired, foreign or unknown
 * token (section 2.2). A value with the format of a key is rejected, so that a client that sends its API key does not
 * believe that the key is revoked.
 */
export function serveRevocation<S extends string>(
  { revocations, base, settings }: PreparedTokenService<S>,
  verifier: Verifier<S>,
  authenticate: ClientAuth<S>,
): ServeOAuth {
  return async (request, { requestId, authRequest }) => {
    const form = await readOAuthForm(request);
    const { principal: caller, headers } = await authenticate(authRequest, form);
    const token = form.get("token");
    if (token === undefined) throw oauthProblem("invalid_request", "token is missing.");
    const isJws = COMPACT_JWS.test(token);
    if (!isJws && isSecret(settings.formats, token)) {
      throw oauthProblem(
        "unsupported_token_type",
        "This endpoint revokes tokens of this service, not API keys.",
      );
    }
    const sent = { headers: { authorization: `Bearer ${token}` } };
    const result = isJws ? await verifier.verify(sent) : undefined;
    if (result?.ok) {
      const { claims = {} } = result.principal;
      const { key_id, client_id, jti, exp } = claims;
      if (key_id !== caller.id && client_id !== caller.id) {
        // RFC 7009, section 2.1: an error if the token was not issued to the client.
        throw oauthProblem("unauthorized_client", "The token was issued to another API key.");
      }
      await boundedCall(
        () => revocations.add(String(jti), new Date(Number(exp) * 1_000), revocableToken(claims)),
        base.timeoutMs,
        "The revocation list",
      );
    }
    return oauthResponse(request, requestId, 200, {}, headers);
  };
}
