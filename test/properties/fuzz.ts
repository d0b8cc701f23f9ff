// Repeats the property tests with new seeds and more runs for FUZZ_MINUTES (1 by default). Stops at the first failure.
// With FUZZ_SEED it repeats one round.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { readSeed } from "./seed.js";

const PROPERTY_MS = 5_000;
const REPLAY_MS = 60_000; // this machine may be slower

const minutes = Number(process.env.FUZZ_MINUTES ?? 1);
if (!(minutes > 0)) throw new TypeError("FUZZ_MINUTES must be a positive number");
const isReplay = Boolean(process.env.FUZZ_SEED);
const vitest = fileURLToPath(new URL("../../node_modules/vitest/vitest.mjs", import.meta.url));
const config = fileURLToPath(new URL("vitest.config.ts", import.meta.url));
const end = Date.now() + minutes * 60_000;

const limits = {
  FUZZ_PROPERTY_MS: String(isReplay ? REPLAY_MS : PROPERTY_MS),
  FUZZ_UNTIL: isReplay ? "Infinity" : String(end),
};

/** Runs one round. Exits if it fails. */
function round(number: number): void {
  const seed = readSeed();
  console.log(`round ${number}: FUZZ_SEED=${seed}`);
  const env = { ...process.env, FUZZ_SEED: seed, ...limits };
  const args = [vitest, "run", "--config", config, "--reporter=dot", ...process.argv.slice(2)];
  const { status } = spawnSync(process.execPath, args, { env, stdio: "inherit" });
  if (status === 0) return;
  console.error(`round ${number} failed; FUZZ_SEED=${seed} npm run fuzz repeats it`);
  process.exit(1);
}

let number = 0;
do round(++number);
while (!isReplay && Date.now() < end);
console.log(`${number} rounds passed`);
