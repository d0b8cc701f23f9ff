import { checkOptions } from "../../internal/validate.js";

/** What a service says of one scope. `S` is every scope name it defines. */
export interface ScopeDefinition<S extends string = string> {
  /** For people: consent pages, documentation. */
  readonly description?: string;
  /**
   * Scopes that come with this one. `"*"` stands for every other defined scope and `"vehicles:*"` for every
   * other one that begins with `vehicles:`.
   */
  readonly implies?: readonly (S | "*" | `${string}:*`)[];
  /** `planned`: known and documented, but granted to nobody yet, neither directly nor by implication. */
  readonly status?: "active" | "planned";
  /** Requests that need this scope are marked in events, for an audit log. */
  readonly audit?: boolean;
}

/** What a route asks for: one scope, all of a list, or any of a list. Absent: any valid key. */
export type Requirement<S extends string = string> = S | readonly S[] | { readonly anyOf: readonly S[] };

/** How a set of granted scopes meets a requirement. */
export interface ScopeExplanation<S extends string = string> {
  /** Whether the requirement is met. */
  readonly granted: boolean;
  /** Required scopes that are not held. For `anyOf`: all of them when none is held, else none. */
  readonly missing: readonly S[];
  /** For each required scope that is held: the way to it, from a granted scope through what it implies. */
  readonly via: Readonly<Partial<Record<S, readonly S[]>>>;
}

/** The scopes of a service; made by {@link defineScopes}. */
export interface Scopes<S extends string = string> {
  /** Every defined name, in the order of definition. */
  readonly names: readonly S[];
  /** The definition of a name, or `undefined`. */
  get(name: string): ScopeDefinition<S> | undefined;
  /** Whether a key may be given this scope: it is defined and not planned. */
  isGrantable(name: string): name is S;
  /** Whether the granted scopes, with all they imply, hold this one. Undefined names are never held. */
  holds(granted: readonly string[], scope: string): boolean;
  /**
   * Says why a requirement is met or not.
   *
   * @throws TypeError for a requirement that is empty or names an undefined scope.
   *
   * @example
   * scopes.explain(["fleet:admin"], "vehicles:read");
   * // { granted: true, missing: [], via: { "vehicles:read": ["fleet:admin", "vehicles:read"] } }
   */
  explain(granted: readonly string[], required: Requirement<S>): ScopeExplanation<S>;
  /**
   * Throws where `explain` would, so that a mistake in a route shows at start-up.
   *
   * @throws TypeError for a requirement that is empty or names an undefined scope.
   */
  assertRequirement(required: Requirement<S> | undefined): void;
}

/** The names of a {@link Scopes}: `ScopeName<typeof scopes>`. */
export type ScopeName<T> = T extends Scopes<infer S> ? S : never;

const MEMBERS = ["description", "implies", "status", "audit"];
// A scope-token of RFC 6749, section 3.3, without the wildcard: it travels in a quoted string of a challenge.
const NAME = /^[\x21\x23-\x29\x2b-\x5b\x5d-\x7e]{1,128}$/;

/**
 * Defines every scope of a service and what each implies. Implications are closed here, once; a request costs
 * one lookup for each scope that its key holds.
 *
 * @throws TypeError for a malformed name, an implication of an undefined scope, and a cycle of implications.
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
    [...table].map(([name, { implies }]) => [name, expand(name, implies ?? [], table)]),
  );
  refuseCycles(implied);
  const holders = closeUpwards(table, implied);

  const holds = (granted: readonly string[], scope: string): boolean => {
    const enough = holders.get(scope as S);
    if (enough === undefined) return false;
    for (let i = 0; i < granted.length; i++) if (enough.has(granted[i] as string)) return true;
    return false;
  };

  const assertRequirement = (required: Requirement<S> | undefined): void => {
    if (required === undefined || table.has(required as S)) return;
    const names = requiredScopes(required);
    if (isAnyOf(required)) checkOptions("requirement", required, ["anyOf"]);
    if (names.length === 0) {
      throw new TypeError(
        "requirement: an empty list asks for nothing; leave it out to let any valid key pass",
      );
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
        throw new TypeError("requirement: expected a scope, a list of scopes or { anyOf }");
      assertRequirement(required);
      const names = requiredScopes(required);
      const lacking = names.filter((name) => !holds(granted, name));
      const met = isAnyOf(required) ? lacking.length < names.length : lacking.length === 0;
      const via: Partial<Record<S, readonly S[]>> = Object.create(null);
      for (const name of names) {
        const path = pathTo(name, granted, implied, holders);
        if (path !== undefined) via[name] = path;
      }
      return { granted: met, missing: met ? [] : lacking, via };
    },
  });
}

/** Whether granted scopes meet a requirement that was checked before. The one comparison of a request. */
export function meets<S extends string>(
  scopes: Scopes<S>,
  granted: readonly string[],
  required: Requirement<S> | undefined,
): boolean {
  if (required === undefined) return true;
  if (typeof required === "string") return scopes.holds(granted, required);
  if (isAnyOf(required)) return required.anyOf.some((name) => scopes.holds(granted, name));
  return required.length > 0 && required.every((name) => scopes.holds(granted, name));
}

/** The names in a requirement. */
export function requiredScopes<S extends string>(required: Requirement<S> | undefined): readonly S[] {
  if (required === undefined) return [];
  const names = typeof required === "string" ? [required] : isAnyOf(required) ? required.anyOf : required;
  if (!Array.isArray(names)) {
    throw new TypeError("requirement: expected a scope, a list of scopes or { anyOf: [scopes] }");
  }
  return names;
}

/** A copy that later changes to the caller's array or object do not reach. */
export function frozenRequirement<S extends string>(
  required: Requirement<S> | undefined,
): Requirement<S> | undefined {
  if (required === undefined || typeof required === "string") return required;
  const names = Object.freeze([...requiredScopes(required)]);
  return isAnyOf(required) ? Object.freeze({ anyOf: names }) : names;
}

/** Whether a requirement is of the form that asks for one of several. */
export function isAnyOf<S extends string>(
  required: Requirement<S> | object | undefined,
): required is { readonly anyOf: readonly S[] } {
  return typeof required === "object" && required !== null && !Array.isArray(required);
}

function readDefinitions<S extends string>(definitions: object): ReadonlyMap<S, ScopeDefinition<S>> {
  if (typeof definitions !== "object" || definitions === null || Array.isArray(definitions)) {
    throw new TypeError("defineScopes: expected an object of scope definitions");
  }
  const table = new Map<S, ScopeDefinition<S>>();
  for (const [name, definition] of Object.entries(definitions)) {
    if (!NAME.test(name)) {
      throw new TypeError(
        `defineScopes: ${JSON.stringify(name)} is not a scope name (RFC 6749, 3.3: visible ASCII without quotes and backslashes; "*" is kept for "implies")`,
      );
    }
    checkOptions(`defineScopes: scope "${name}"`, definition, MEMBERS);
    const { implies, status = "active" } = definition as ScopeDefinition<S>;
    if (status !== "active" && status !== "planned") {
      throw new TypeError(`defineScopes: "status" of scope "${name}" must be "active" or "planned"`);
    }
    if (implies !== undefined && !Array.isArray(implies)) {
      throw new TypeError(`defineScopes: "implies" of scope "${name}" must be a list`);
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

/** The scopes that one implies directly, with wildcards written out. */
function expand<S extends string>(
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

function refuseCycles<S extends string>(implied: ReadonlyMap<S, ReadonlySet<S>>): void {
  const done = new Set<S>();
  const visit = (name: S, path: readonly S[]): void => {
    if (path.includes(name)) {
      throw new TypeError(`defineScopes: cycle ${[...path.slice(path.indexOf(name)), name].join(" -> ")}`);
    }
    if (done.has(name)) return;
    for (const next of implied.get(name) ?? []) visit(next, [...path, name]);
    done.add(name);
  };
  for (const name of implied.keys()) visit(name, []);
}

/**
 * For each scope, the scopes of which any one is enough to hold it. A planned scope is held by nobody, and so
 * passes nothing on.
 */
function closeUpwards<S extends string>(
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

/** The shortest chain of implications from a granted scope to this one. */
function pathTo<S extends string>(
  target: S,
  granted: readonly string[],
  implied: ReadonlyMap<S, ReadonlySet<S>>,
  holders: ReadonlyMap<S, ReadonlySet<string>>,
): readonly S[] | undefined {
  const enough = holders.get(target);
  const queue = granted.filter((name): name is S => enough?.has(name) === true).map((name): S[] => [name]);
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
