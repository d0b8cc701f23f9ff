import type { Verifier } from "keybearer";
import type { SignedIn } from "keybearer/dashboard";

/**
 * Returns the user whose JWT is in the cookie `session`, as a site sets it at sign-in: HttpOnly, Secure, SameSite=Lax.
 */
export async function userOfCookie<S extends string>(
  users: Verifier<S>,
  { headers }: Request,
): Promise<SignedIn<S> | undefined> {
  const token = /(?:^|; )session=([\w.-]+)/.exec(headers.get("cookie") ?? "")?.[1];
  if (token === undefined) return undefined;
  const result = await users.verify({ headers: { authorization: `Bearer ${token}` } });
  if (!result.ok) return undefined;
  const { id, ownerId, scopes } = result.principal;
  return { ownerId, scopes, actor: `jwt:${id}` }; // as the management API names users in the audit trail
}
