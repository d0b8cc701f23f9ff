import { ask } from "../jwt/ask.js";
import type { Verifier } from "../kit.js";
import type { ClientAuth } from "./client-auth.js";
import { readOAuthForm } from "./form.js";
import type { PreparedTokenService } from "./options.js";
import { answerPrivately, type OAuthContext, oauthProblem } from "./responses.js";
import { COMPACT } from "./token-verifiers.js";

const WHAT = "The list of revocations";

/**
 * Serves revocation (RFC 7009): a key revokes its own tokens. A token that is over, or none of this service, is
 * answered like one that was revoked (2.2). What is no JWT is refused: a client that sends its key here must not
 * believe that the key is revoked.
 */
export function serveRevocation<S extends string>(
  { revocations, kit }: PreparedTokenService<S>,
  genuine: Verifier<S>,
  authenticate: ClientAuth<S>,
): (request: Request, context: OAuthContext) => Promise<Response> {
  return async (request, { requestId, arrived }) => {
    const form = await readOAuthForm(request);
    const { principal: caller, headers } = await authenticate(arrived, form);
    const token = form.get("token");
    if (token === undefined) throw oauthProblem("invalid_request", "token is missing.");
    if (!COMPACT.test(token)) {
      throw oauthProblem(
        "unsupported_token_type",
        "Only tokens of this service are revoked here, no API keys.",
      );
    }
    const result = await genuine.verify({ headers: { authorization: `Bearer ${token}` } });
    if (result.ok) {
      const { key_id, jti, exp } = result.principal.claims ?? {};
      if (key_id !== caller.id) {
        // RFC 7009, 2.1: the client is told when the token was issued to another.
        throw oauthProblem("unauthorized_client", "The token was issued for another API key.");
      }
      await ask(() => revocations.add(String(jti), new Date(Number(exp) * 1_000)), kit.timeoutMs, WHAT);
    }
    return answerPrivately(request, requestId, 200, {}, headers);
  };
}
