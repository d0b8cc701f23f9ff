import type { Dashboard } from "../../dashboard/dashboard.js";
import { readJson } from "../../http/body.js";
import { HttpProblem } from "../../http/problem.js";
import type { Principal } from "../../kit.js";
import { isKey } from "../../management/grants.js";
import { type Run, requireInput } from "./endpoint.js";

/**
 * Creates `POST /portal-links`: a link that signs a person in to the key page, with `{ actor }` for the audit trail. The
 * owner and the scopes are those of the credential.
 */
export function portalEndpoint(dashboard: Dashboard, environments: readonly string[] = []): Run {
  return async ({ request, principal }) => {
    const { id, ownerId, scopes, key, environment } = principal as Principal;
    // Keys of the page have no bounds, so a key with bounds would make more than itself.
    const isUnbounded = key?.expiresAt === null && key.ipAllowlist === null && key.rateLimit === null;
    const isEverywhere = environment === undefined || environments.length <= 1;
    if (isKey(principal as Principal) && !(isUnbounded && isEverywhere)) {
      throw new HttpProblem(
        403,
        "exceeds_own_key",
        "A key with an expiry, networks, a rate limit or one of several environments cannot open the key page.",
      );
    }
    const body = (await readJson(request)) as { readonly actor?: unknown } | null;
    const actor = body?.actor;
    requireInput(typeof actor === "string" && /^[^\p{C}]{1,200}$/u.test(actor), "actor", "must be a name");
    const url = await dashboard.portalUrl({ ownerId, actor: `${id}:${actor}`.slice(0, 255), scopes });
    return { url };
  };
}
