/** The scopes that a route requires: one scope, all scopes of an array, or any of several. Absent: any valid key. */
export type Requirement<S extends string = string> = S | readonly S[] | { readonly anyOf: readonly S[] };

/** The part of `Scopes` that compares granted scopes with a required one. */
interface ScopeComparison {
  holds(granted: readonly string[], scope: string): boolean;
}

/** Whether granted scopes meet a requirement. The requirement must have been validated before. */
export function meets<S extends string>(
  scopes: ScopeComparison,
  granted: readonly string[],
  required: Requirement<S> | undefined,
): boolean {
  if (required === undefined) return true;
  if (typeof required === "string") return scopes.holds(granted, required);
  if (isAnyOf(required)) return required.anyOf.some((name) => scopes.holds(granted, name));
  return required.length > 0 && required.every((name) => scopes.holds(granted, name));
}

/**
 * Returns the scope names of a requirement.
 *
 * @throws TypeError if the requirement is not a scope, an array of scopes or `{ anyOf }`.
 */
export function requiredScopes<S extends string>(required: Requirement<S> | undefined): readonly S[] {
  if (required === undefined) return [];
  const names = typeof required === "string" ? [required] : isAnyOf(required) ? required.anyOf : required;
  if (!Array.isArray(names)) {
    throw new TypeError("requirement: expected a scope, an array of scopes or { anyOf: [scopes] }");
  }
  return names;
}

/** Returns a frozen copy, so that later changes to the caller's array or object have no effect. */
export function frozenRequirement<S extends string>(
  required: Requirement<S> | undefined,
): Requirement<S> | undefined {
  if (required === undefined || typeof required === "string") return required;
  const names = Object.freeze([...requiredScopes(required)]);
  return isAnyOf(required) ? Object.freeze({ anyOf: names }) : names;
}

/** Whether a requirement has the form `{ anyOf }`. */
export function isAnyOf<S extends string>(
  required: Requirement<S> | object | undefined,
): required is { readonly anyOf: readonly S[] } {
  return typeof required === "object" && required !== null && !Array.isArray(required);
}
