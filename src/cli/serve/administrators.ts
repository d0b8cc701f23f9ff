import type { JwtSubject } from "../../jwt/subject.js";
import { createJwtVerifier } from "../../jwt/verifier.js";
import {
  anyVerifier,
  type CommonVerifierOptions,
  type KeyManager,
  type Scopes,
  type Verifier,
} from "../../kit.js";
import { BOOTSTRAP_ID } from "./bootstrap.js";
import type { Settings } from "./settings.js";

type Claims = Readonly<Record<string, unknown>>;

/**
 * Creates the verifier of the API: keys, and tokens of the OIDC issuer if there is one. The owner of a token is its claim
 * `ownerClaim`. Only the subjects in `administrators` act for the operator.
 *
 * @throws TypeError if a setting of the issuer is invalid.
 */
export function createApiVerifier(
  keyVerifier: Verifier,
  { oidc, operator }: Pick<Settings, "oidc" | "operator">,
  common: Pick<CommonVerifierOptions, "trustedProxies" | "observers"> & { readonly scopes: Scopes },
): Verifier {
  if (oidc === undefined) return keyVerifier;
  const { issuer, audience, algorithms, ownerClaim, administrators, scopes } = oidc;
  const granted = scopes === undefined ? {} : { scopes };
  const principal = (claims: Claims): JwtSubject | undefined => {
    if (typeof claims.sub === "string" && administrators.includes(claims.sub)) {
      return { ownerId: operator, scopes: ["keybearer:admin"] };
    }
    const owner = Object.hasOwn(claims, ownerClaim) ? claims[ownerClaim] : undefined;
    if (typeof owner !== "string" || owner === "" || owner === operator) return undefined;
    return { ownerId: owner, ...granted };
  };
  return anyVerifier(
    keyVerifier,
    createJwtVerifier({ ...common, issuer, audience, algorithms, discover: true, principal }),
  );
}

/** Whether the operator has a valid key that administers the service. */
export async function hasAdministrator(keys: KeyManager, operator: string): Promise<boolean> {
  let cursor: string | undefined;
  do {
    const page = await keys.list({
      ...{ ownerId: operator, status: "active", limit: 1_000 },
      ...(cursor !== undefined && { cursor }),
    });
    const isAdministrator = page.items.some(
      ({ id, scopes }) => id !== BOOTSTRAP_ID && keys.scopes.holds(scopes, "keybearer:admin"),
    );
    if (isAdministrator) return true;
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return false;
}
