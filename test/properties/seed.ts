// One seed per run, passed to every test file in the environment variable FUZZ_SEED. Set it to repeat a run.

/** Returns FUZZ_SEED, or a random integer from 0 to 2^31 - 1 if it is not set. */
export function readSeed(): string {
  const given = process.env.FUZZ_SEED;
  if (given === undefined || given === "") return String(Math.floor(Math.random() * 2 ** 31));
  if (/^\d{1,10}$/.test(given) && Number(given) < 2 ** 31) return given;
  throw new TypeError("FUZZ_SEED must be an integer from 0 to 2147483647");
}
