import fc from "fast-check";

// The seed and the number of runs of every property. See "Testing" in docs/design.md.

const { FUZZ_SEED, FUZZ_PROPERTY_MS, FUZZ_UNTIL } = process.env;
const seed = Number(FUZZ_SEED || Number.NaN);
const isFuzzing = FUZZ_PROPERTY_MS !== undefined;
const FACTOR = 1_000;
const MIN_MS = 5_000;

if (!Number.isInteger(seed))
  throw new TypeError("FUZZ_SEED is not set; run the tests with a config of the project");

fc.configureGlobal({ seed });

/**
 * Returns the number of runs of a property. `npm run fuzz` multiplies it by 1000 and adds a time limit.
 */
export function runs(numRuns: number): Pick<fc.Parameters<unknown>, "numRuns" | "plugins"> {
  if (!isFuzzing) return { numRuns };
  const left = Math.min(Number(FUZZ_PROPERTY_MS), Number(FUZZ_UNTIL) - Date.now());
  return { numRuns: numRuns * FACTOR, plugins: [fc.interruptAfterTimeLimit(Math.max(MIN_MS, left))] };
}
