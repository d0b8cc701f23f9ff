import { describe, isNonEmptyString } from "../internal/validate.js";
import type { Principal, Scopes } from "../kit.js";

/** The person who uses the page, as the host knows them. */
export interface SignedIn<S extends string = string> {
  /** The owner whose keys the page shows. */
  readonly ownerId: string;
  /**
   * Who makes the changes, for the audit trail and for `createdBy` of keys: 1 to 255 characters. Put a prefix such as `user:`
   * in front of names that people choose, because keys appear there with their ids.
   */
  readonly actor: string;
  /** The scopes that the person may grant, directly or by implication; all by default. */
  readonly scopes?: readonly S[] | undefined;
}

/** @throws TypeError if a member is missing or invalid. */
export function checkPerson<S extends string>(where: string, person: SignedIn<S>): SignedIn<S> {
  if (typeof person !== "object" || person === null || Array.isArray(person)) {
    throw new TypeError(`${where}: expected an object with ownerId and actor; received ${describe(person)}`);
  }
  const { ownerId, actor, scopes } = person;
  for (const [name, value] of Object.entries({ ownerId, actor })) {
    if (!isNonEmptyString(value) || value.length > 255) {
      throw new TypeError(
        `${where}: "${name}" must be a string of 1 to 255 characters; received ${describe(value)}`,
      );
    }
  }
  const isList = Array.isArray(scopes) && scopes.every((scope) => typeof scope === "string");
  if (scopes !== undefined && !isList) {
    throw new TypeError(`${where}: "scopes" must be an array of scope names; received ${describe(scopes)}`);
  }
  return { ownerId, actor, scopes: person.scopes && [...person.scopes] };
}

/** Returns the principal of a person, who has no key and no claims. */
export function toPrincipal<S extends string>(
  { ownerId, actor, scopes: granted }: SignedIn<S>,
  scopes: Scopes<S>,
  requestId: string,
): Principal<S> {
  return Object.freeze({
    type: "jwt" as const,
    id: actor,
    ownerId,
    environment: undefined,
    scopes: granted ?? scopes.names,
    requestId,
    // Without a list, also scopes of older keys that are no longer defined.
    can: (scope: S) => granted === undefined || scopes.holds(granted, scope),
  });
}
