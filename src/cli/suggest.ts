import type { Scopes } from "../kit.js";
import { usageError } from "./errors.js";

const MAX_DISTANCE = 3;
const MAX_LISTED = 20;

/**
 * Checks the scopes of `--scope`.
 *
 * @throws CommandError that suggests a defined scope. It does not contain the argument, which may be a secret.
 */
export function checkScopes(names: readonly string[], scopes: Scopes): void {
  for (const name of names) {
    if (scopes.get(name) !== undefined) continue;
    const similar = mostSimilar(name, scopes.names);
    const listed = scopes.names.slice(0, MAX_LISTED).join(", ");
    const hint =
      similar === undefined
        ? `The scopes are ${listed}${scopes.names.length > MAX_LISTED ? ", …" : ""}`
        : `Did you mean ${similar}?`;
    throw usageError(`--scope must be one of the "scopes" of the configuration. ${hint}`);
  }
}

/** Returns the candidate with the smallest edit distance, or `undefined` if none is close. */
function mostSimilar(name: string, candidates: readonly string[]): string | undefined {
  const distances = candidates.map((candidate) => [candidate, editDistance(name, candidate)] as const);
  const [best] = distances.sort(([, a], [, b]) => a - b);
  return best !== undefined && best[1] <= Math.min(MAX_DISTANCE, best[0].length / 2) ? best[0] : undefined;
}

/** The Levenshtein distance of two strings. */
function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > MAX_DISTANCE) return Number.POSITIVE_INFINITY;
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
