// The one seed of a run, chosen where the test runner starts and handed to every file in the environment.
// A run is told again with FUZZ_SEED.

/** A whole number from 0 to 2^31 - 1. */
export function readSeed(): string {
  const given = process.env.FUZZ_SEED;
  if (given === undefined || given === "") return String(Math.floor(Math.random() * 2 ** 31));
  if (/^\d{1,10}$/.test(given) && Number(given) < 2 ** 31) return given;
  throw new TypeError("FUZZ_SEED must be a whole number from 0 to 2147483647");
}
