import { checkBoolean, checkOptions, describe, rejectUndefined } from "../../internal/validate.js";
import { frozenRequirement, isAnyOf, type Requirement, requiredScopes } from "../keys/requirement.js";

/** Options of one guarded route. */
export interface RouteOptions<S extends string = string> {
  /**
   * Whether requests without a credential are allowed; they have no principal. An invalid credential is still denied.
   * `false` by default.
   */
  readonly optional?: boolean;
  /**
   * A requirement that is reported but not enforced: if the principal does not meet it, `wouldDeny` of the event
   * `auth.allowed` has `insufficient_scope`. Use it to try a requirement before you enforce it.
   *
   * @example
   * app.get("/vehicles", auth("vehicles:read", { reportOnly: "vehicles:list" }), handler);
   */
  readonly reportOnly?: Requirement<S>;
}

/** Options of a route that always has a principal. */
export type EnforcedRoute<S extends string = string> = RouteOptions<S> & { readonly optional?: false };

/** The arguments of a guard: a requirement, route options, both, or nothing to allow any valid key. */
export type GuardArguments<S extends string> =
  | readonly []
  | readonly [requirement: Requirement<S>]
  | readonly [options: RouteOptions<S>]
  | readonly [requirement: Requirement<S>, options: RouteOptions<S>];

/** What a route requires, compiled once. */
export interface Route<S extends string> {
  readonly requirement: Requirement<S> | undefined;
  /** The scopes named in the requirement. */
  readonly requiredScopes: readonly S[];
  readonly reportOnly: Requirement<S> | undefined;
}

/** Compiles checked requirements into a frozen copy. */
export function compileRoute<S extends string>(
  requirement: Requirement<S> | undefined,
  reportOnly?: Requirement<S>,
): Route<S> {
  return Object.freeze({
    requirement: frozenRequirement(requirement),
    requiredScopes: Object.freeze([...requiredScopes(requirement)]),
    reportOnly: frozenRequirement(reportOnly),
  });
}

/**
 * Reads the arguments of a guard.
 *
 * @throws TypeError if an argument has the wrong form. Scope names are not checked.
 */
export function readRoute<S extends string>(
  args: GuardArguments<S>,
): { readonly route: Route<S>; readonly optional: boolean } {
  const [first, second] = args;
  const onlyOptions = args.length === 1 && isRouteOptions(first);
  const given = (onlyOptions ? first : second) ?? {};
  const options = checkOptions("guard", given as RouteOptions<S>, ["optional", "reportOnly"]);
  const { optional = false, reportOnly } = options;
  checkBoolean("guard", "optional", optional);
  rejectUndefined("guard", options, "reportOnly");
  if (onlyOptions) return { route: compileRoute(undefined, reportOnly), optional };

  if (args.length > 0 && (first === undefined || first === null)) {
    throw new TypeError(
      `guard: the requirement is ${describe(first)}; to allow any valid key, omit it: auth()`,
    );
  }
  if (isAnyOf(first)) checkOptions("requirement", first, ["anyOf"]);
  return { route: compileRoute(first as Requirement<S> | undefined, reportOnly), optional };
}

function isRouteOptions<S extends string>(
  value: Requirement<S> | RouteOptions<S> | undefined,
): value is RouteOptions<S> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !("anyOf" in value);
}
