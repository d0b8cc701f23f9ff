import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { defineScopes, type ScopeDefinition, type Scopes } from "../../src/index.js";
import { runs } from "./runs.js";

/** A few names, some with the same start, so that wildcards match several. */
const NAMES = ["a", "a:r", "a:w", "a:w:x", "ab", "b:r", "b:w", "c", "ab:r"];
const TARGETS = [...NAMES, "*", "a:*", "b:*", "a:w:*", "ab:*", "z:*", "z"];

const definition = fc.record({
  implies: fc.oneof(
    { weight: 3, arbitrary: fc.constant<string[]>([]) },
    { weight: 3, arbitrary: fc.array(fc.constantFrom(...NAMES), { maxLength: 2 }) },
    { weight: 2, arbitrary: fc.array(fc.constantFrom(...TARGETS), { maxLength: 3 }) },
  ),
  status: fc.oneof({ weight: 4, arbitrary: fc.constant("active" as const) }, fc.constant("planned" as const)),
});
const graphs = fc.record({
  defined: fc.uniqueArray(fc.tuple(fc.constantFrom(...NAMES), definition), {
    selector: ([name]) => name,
    minLength: 1,
    maxLength: NAMES.length,
  }),
  /** Whether implications of earlier scopes are left out, so that there is no cycle. */
  isForward: fc.boolean(),
  granted: fc.array(fc.constantFrom(...TARGETS), { maxLength: 3 }),
  required: fc.array(fc.nat(NAMES.length - 1), { minLength: 1, maxLength: 3 }),
});

type Graph = ReadonlyMap<
  string,
  { readonly implies: readonly string[]; readonly status: "active" | "planned" }
>;

/** Returns the scopes that one implies directly, with wildcards expanded; `undefined` if a target is not defined. */
function stepsOf(graph: Graph, name: string): readonly string[] | undefined {
  const steps: string[] = [];
  for (const target of graph.get(name)?.implies ?? []) {
    if (target === "*") steps.push(...[...graph.keys()].filter((one) => one !== name));
    else if (target.endsWith(":*")) {
      const found = [...graph.keys()].filter((one) => one.startsWith(target.slice(0, -1)));
      if (found.length === 0) return undefined;
      steps.push(...found.filter((one) => one !== name));
    } else if (graph.has(target)) steps.push(target);
    else return undefined;
  }
  return steps;
}

/** Returns the scopes reachable from a scope, including itself, through scopes that `may` accepts. */
function walk(graph: Graph, from: string, may: (name: string) => boolean): Set<string> {
  const seen = new Set<string>();
  const visit = (name: string): void => {
    if (seen.has(name) || !may(name)) return;
    seen.add(name);
    for (const next of stepsOf(graph, name) ?? []) visit(next);
  };
  visit(from);
  return seen;
}

function isCyclic(graph: Graph): boolean {
  return [...graph.keys()].some((name) =>
    (stepsOf(graph, name) ?? []).some((next) => walk(graph, next, () => true).has(name)),
  );
}

describe("defineScopes", () => {
  test("agrees with a walk over the graph of implications", () => {
    const seen = { rejected: 0, cyclic: 0, held: 0, lacking: 0 };
    fc.assert(
      fc.property(graphs, ({ defined, isForward, granted, required }) => {
        const order = defined.map(([name]) => name);
        const graph: Graph = new Map(
          defined.map(([name, { implies, status }], index) => {
            const later = order.slice(index + 1);
            return [
              name,
              { implies: isForward ? implies.filter((one) => later.includes(one)) : implies, status },
            ];
          }),
        );
        const make = (): Scopes => defineScopes(Object.fromEntries(graph) as Record<string, ScopeDefinition>);
        if (order.some((name) => stepsOf(graph, name) === undefined)) {
          seen.rejected++;
          expect(make).toThrow(/is not defined/);
          return;
        }
        if (isCyclic(graph)) {
          seen.cyclic++;
          expect(make).toThrow(/cycle/);
          return;
        }
        const own = make();
        const isActive = (name: string) => graph.get(name)?.status === "active";
        const reached = new Set(
          granted.flatMap((name) => [...(graph.has(name) ? walk(graph, name, isActive) : [])]),
        );
        for (const name of TARGETS) {
          seen[reached.has(name) ? "held" : "lacking"]++;
          expect(own.holds(granted, name)).toBe(reached.has(name));
          expect(own.isGrantable(name)).toBe(isActive(name));
        }
        const names = required.map((index) => order[index % order.length] as string);
        const all = own.explain(granted, names);
        expect(all.granted).toBe(names.every((name) => reached.has(name)));
        expect(all.missing).toEqual(names.filter((name) => !reached.has(name)));
        expect(own.explain(granted, { anyOf: names }).granted).toBe(names.some((name) => reached.has(name)));
        expect(Object.keys(all.via).sort()).toEqual(
          [...new Set(names.filter((name) => reached.has(name)))].sort(),
        );
        for (const [scope, path] of Object.entries(all.via)) {
          expect(granted).toContain(path?.[0]);
          expect(path?.at(-1)).toBe(scope);
          path?.slice(1).forEach((step, index) => {
            expect(stepsOf(graph, path[index] as string)).toContain(step);
          });
        }
      }),
      runs(800),
    );
    // Graphs of every kind occurred.
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(0);
  });
});
