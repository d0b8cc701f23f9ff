import { expect, it } from "vitest";
import { type Counters, runChain } from "./chains/chain.js";
import { missingFrom, seedOf } from "./chains/coverage.js";

// npm run test:chains -- --chains 10000 is the long version, and repeats a chain with --seed and --chain.

const CHAINS = 300;
const seed = Number(process.env.FUZZ_SEED);

it("allows no credential of a random chain of keys and tokens what its root is denied (property)", async () => {
  const counters: Counters = new Map();
  for (let chain = 0; chain < CHAINS; chain++) {
    await runChain(seedOf(seed, chain), counters).catch((error) => {
      throw new Error(`npm run test:chains -- --seed ${seed} --chain ${chain}`, { cause: error });
    });
  }
  expect(missingFrom(counters)).toEqual([]);
});
