// Runs random chains of keys and tokens: npm run test:chains -- --chains 10000. Prints the seed, and what was tested.
// --seed repeats a run, and --chain prints the steps of one chain of it.

import { parseArgs } from "node:util";
import { readSeed } from "../seed.js";
import { type Counters, runChain, Violation } from "./chain.js";
import { missingFrom, seedOf } from "./coverage.js";

const { values } = parseArgs({
  options: {
    chains: { type: "string", default: "1000" },
    seed: { type: "string" },
    chain: { type: "string" },
  },
});
const seed = Number(values.seed ?? readSeed());
const counters: Counters = new Map();
console.log(`seed ${seed}`);

if (values.chain !== undefined) {
  await runChain(seedOf(seed, Number(values.chain)), counters, console.log);
} else {
  const startedAt = performance.now();
  let violations = 0;
  for (let chain = 0; chain < Number(values.chains); chain++) {
    try {
      await runChain(seedOf(seed, chain), counters);
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      violations += 1;
      console.error(`chain ${chain}: ${error.message}; repeat it with --seed ${seed} --chain ${chain}`);
    }
  }
  for (const [name, count] of [...counters].sort()) console.log(`${String(count).padStart(10)}  ${name}`);
  const missing = missingFrom(counters);
  if (missing.length > 0) console.error(`Never happened:\n${missing.join("\n")}`);
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  console.log(`${values.chains} chains, ${violations} violations, seed ${seed}, ${seconds} s`);
  if (violations > 0 || missing.length > 0) process.exitCode = 1;
}
