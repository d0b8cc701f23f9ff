import { checkOptions, describe } from "../../internal/validate.js";
import { isAnyOf, type Requirement, requiredScopes } from "./requirement.js";

/** The definition of one scope. `S` is the union of all scope names of the service. */
export interface ScopeDefinition<S extends string = string> {
  /** Shown to people, for example in documentation. */
  readonly description?: string;
  /**
   * Scopes that are granted with this one. `"*"` means every other defined scope, `"vehicles:*"` every other scope that
   * starts with `vehicles:`.
   */
  readonly implies?: readonly (S | "*" | `${string}:*`)[];
  /** `"planned"`: defined, but not granted yet, neither directly nor by implication. `"active"` by default. */
  readonly status?: "active" | "planned";
  /** Marks the events of requests that require this scope, for an audit log. `false` by default. */
  readonly audit?: boolean;
}

/** How granted scopes compare with a requirement. */
export interface ScopeExplanation<S extends string = string> {
  /** Whether the requirement is met. */
  readonly granted: boolean;
  /** The required scopes that are missing. For `anyOf`: all of them, or none if one is held. */
  readonly missing: readonly S[];
  /** For each required scope that is held: the implications that lead from a granted scope to it. */
  readonly via: Readonly<Partial<Record<S, readonly S[]>>>;
}

/** The scopes of a service, created by {@link defineScopes}. */
export interface Scopes<S extends string = string> {
  /** Every defined name, in the order of definition. */
  readonly names: readonly S[];
  /** Returns the definition of a name, or `undefined`. */
  get(name: string): ScopeDefinition<S> | undefined;
  /** Whether the scope can be granted to a key: it is defined and not planned. */
  isGrantable(name: string): name is S;
  /** Whether the granted scopes include this one, directly or by implication. `false` for undefined scopes. */
  holds(granted: readonly string[], scope: string): boolean;
  /**
   * Explains why a requirement is met or not.
   *
   * @throws TypeError if the requirement is empty or names an undefined scope.
   *
   * @example
   * scopes.explain(["fleet:admin"], "vehicles:read");
   * // { granted: true, missing: [], via: { "vehicles:read": ["fleet:admin", "vehicles:read"] } }
   */
  explain(granted: readonly string[], required: Requirement<S>): ScopeExplanation<S>;
  /**
   * Checks the requirement of a route, so that a mistake fails at start-up.
   *
   * @throws TypeError if the requirement is empty or names an undefined scope.
   */
  assertRequirement(required: Requirement<S> | undefined): void;
}

/** The scope names of a {@link Scopes}: `ScopeName<typeof scopes>`. */
export type ScopeName<T> = T extends Scopes<infer S> ? S : never;

const MEMBERS = ["description", "implies", "status", "audit"];
// RFC 6749, 3.3 (scope-token) without "*", which is the wildcard of "implies".
const NAME = /^[\x21\x23-\x29\x2b-\x5b\x5d-\x7e]{1,128}$/;

/**
 * Defines all scopes of a service and their implications. Implications are resolved once, here; a request costs one
 * lookup per scope of its key.
 *
 * @throws TypeError if a name is malformed, an implied scope is not defined, or implications form a cycle.
 *
 * @example
 * const scopes = defineScopes({
 *   "vehicles:read": { description: "List and view vehicles" },
 *   "vehicles:write": { description: "Create and update vehicles", implies: ["vehicles:read"] },
 *   "fleet:admin": { implies: ["*"] },
 * });
 */
export function defineScopes<const S extends string>(
  definitions: {
    readonly [Name in S]: ScopeDefinition<NoInfer<S>>;
  },
): Scopes<S> {
  const table = readDefinitions<S>(definitions);
  const implied = new Map(
    [...table].map(([name, { implies }]) => [name, expandImplies(name, implies ?? [], table)]),
  );
  rejectCycles(implied);
  const holders = findHolders(table, implied);

  const holds = (granted: readonly string[], scope: string): boolean => {
    const sufficient = holders.get(scope as S);
    if (sufficient === undefined) return false;
    for (let i = 0; i < granted.length; i++) if (sufficient.has(granted[i] as string)) return true;
    return false;
  };

  const assertRequirement = (required: Requirement<S> | undefined): void => {
    if (required === undefined || table.has(required as S)) return;
    const names = requiredScopes(required);
    if (isAnyOf(required)) checkOptions("requirement", required, ["anyOf"]);
    if (names.length === 0) {
      throw new TypeError("requirement: the array of scopes is empty; omit it to accept any valid key");
    }
    for (const name of names) {
      if (!table.has(name)) throw new TypeError(`requirement: scope ${JSON.stringify(name)} is not defined`);
    }
  };

  return Object.freeze({
    names: Object.freeze([...table.keys()]),
    get: (name: string) => table.get(name as S),
    isGrantable: (name: string): name is S => holders.get(name as S)?.has(name) === true,
    holds,
    assertRequirement,
    explain(granted: readonly string[], required: Requirement<S>): ScopeExplanation<S> {
      if (required === undefined)
        throw new TypeError(
          "requirement: expected a scope, an array of scopes or { anyOf }; received undefined",
        );
      assertRequirement(required);
      const names = requiredScopes(required);
      const lacking = names.filter((name) => !holds(granted, name));
      const met = isAnyOf(required) ? lacking.length < names.length : lacking.length === 0;
      const via: Partial<Record<S, readonly S[]>> = Object.create(null);
      for (const name of names) {
        const path = findPath(name, granted, implied, holders);
        if (path !== undefined) via[name] = path;
      }
      return { granted: met, missing: met ? [] : lacking, via };
    },
  });
}

function readDefinitions<S extends string>(definitions: object): ReadonlyMap<S, ScopeDefinition<S>> {
  if (typeof definitions !== "object" || definitions === null || Array.isArray(definitions)) {
    throw new TypeError(
      `defineScopes: expected an object of scope definitions; received ${describe(definitions)}`,
    );
  }
  const table = new Map<S, ScopeDefinition<S>>();
  for (const [name, definition] of Object.entries(definitions)) {
    if (!NAME.test(name)) {
      throw new TypeError(
        `defineScopes: ${JSON.stringify(name)} is not a valid scope name; ` +
          'expected 1 to 128 visible ASCII characters without ", \\ and * (RFC 6749, 3.3)',
      );
    }
    checkOptions(`defineScopes: scope "${name}"`, definition, MEMBERS);
    const { implies, status = "active" } = definition as ScopeDefinition<S>;
    if (status !== "active" && status !== "planned") {
      throw new TypeError(`defineScopes: "status" of scope "${name}" must be "active" or "planned"`);
    }
    if (implies !== undefined && !Array.isArray(implies)) {
      throw new TypeError(
        `defineScopes: "implies" of scope "${name}" must be an array; received ${describe(implies)}`,
      );
    }
    table.set(
      name as S,
      Object.freeze({
        ...definition,
        ...(implies && { implies: Object.freeze([...implies]) }),
      }),
    );
  }
  return table;
}

/** Returns the scopes that a scope implies directly, with wildcards expanded. */
function expandImplies<S extends string>(
  name: S,
  implies: readonly string[],
  table: ReadonlyMap<S, unknown>,
): ReadonlySet<S> {
  const result = new Set<S>();
  for (const target of implies) {
    const stem = target === "*" ? "" : target.endsWith(":*") ? target.slice(0, -1) : undefined;
    const found =
      stem === undefined
        ? [...table.keys()].filter((candidate) => candidate === target)
        : [...table.keys()].filter((candidate) => candidate !== name && candidate.startsWith(stem));
    if (found.length === 0 && !(stem !== undefined && name.startsWith(stem))) {
      throw new TypeError(
        `defineScopes: scope "${name}" implies ${JSON.stringify(target)}, which is not defined`,
      );
    }
    for (const scope of found) result.add(scope);
  }
  return result;
}

function rejectCycles<S extends string>(implied: ReadonlyMap<S, ReadonlySet<S>>): void {
  const done = new Set<S>();
  const visit = (name: S, path: readonly S[]): void => {
    if (path.includes(name)) {
      const cycle = [...path.slice(path.indexOf(name)), name].join(" -> ");
      throw new TypeError(`defineScopes: implications form the cycle ${cycle}`);
    }
    if (done.has(name)) return;
    for (const next of implied.get(name) ?? []) visit(next, [...path, name]);
    done.add(name);
  };
  for (const name of implied.keys()) visit(name, []);
}

/**
 * Returns, for each scope, the scopes that include it. No scope includes a planned one, and a planned scope includes
 * no other.
 */
function findHolders<S extends string>(
  table: ReadonlyMap<S, ScopeDefinition<S>>,
  implied: ReadonlyMap<S, ReadonlySet<S>>,
): ReadonlyMap<S, ReadonlySet<string>> {
  const holders = new Map<S, Set<string>>([...table.keys()].map((name) => [name, new Set<string>()]));
  for (const [source, { status }] of table) {
    if (status === "planned") continue;
    const reached = new Set<S>([source]);
    for (const name of reached) {
      holders.get(name)?.add(source);
      for (const next of implied.get(name) ?? [])
        if (table.get(next)?.status !== "planned") reached.add(next);
    }
  }
  return holders;
}

/** Returns the shortest chain of implications from a granted scope to `target`. */
function findPath<S extends string>(
  target: S,
  granted: readonly string[],
  implied: ReadonlyMap<S, ReadonlySet<S>>,
  holders: ReadonlyMap<S, ReadonlySet<string>>,
): readonly S[] | undefined {
  const sufficient = holders.get(target);
  const queue = granted
    .filter((name): name is S => sufficient?.has(name) === true)
    .map((name): S[] => [name]);
  const seen = new Set<S>();
  for (const path of queue) {
    const last = path[path.length - 1] as S;
    if (last === target) return path;
    if (seen.has(last)) continue;
    seen.add(last);
    for (const next of implied.get(last) ?? []) if (holders.get(next)?.has(next)) queue.push([...path, next]);
  }
  return undefined;
}
