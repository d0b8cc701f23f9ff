import fc from "fast-check";

// What every property runs with. See "Testing" in docs/design.md.

const { FUZZ_SEED, FUZZ_PROPERTY_MS, FUZZ_UNTIL } = process.env;
const seed = Number(FUZZ_SEED || Number.NaN);
const isFuzzing = FUZZ_PROPERTY_MS !== undefined;
const FACTOR = 1_000;
const MIN_MS = 5_000;

if (!Number.isInteger(seed))
  throw new TypeError("FUZZ_SEED is missing: run this with a config of the project");

fc.configureGlobal({ seed });

/**
 * How often a property is tried: so many times in the usual run; under `npm run fuzz` a thousand times as often, or
 * until its share of the time is over.
 */
export function runs(numRuns: number): Pick<fc.Parameters<unknown>, "numRuns" | "plugins"> {
  if (!isFuzzing) return { numRuns };
  const left = Math.min(Number(FUZZ_PROPERTY_MS), Number(FUZZ_UNTIL) - Date.now());
  return { numRuns: numRuns * FACTOR, plugins: [fc.interruptAfterTimeLimit(Math.max(MIN_MS, left))] };
}
