import { defineConfig } from "vitest/config";
import { readSeed } from "./properties/seed.js";

const FUZZ_SEED = readSeed();
console.log(`properties: FUZZ_SEED=${FUZZ_SEED}`);

const auth = new URL("../examples/platforms/auth.ts", import.meta.url).pathname;

export default defineConfig({
  resolve: { alias: { "@/auth": auth } }, // as in a project with Next.js
  test: {
    root: new URL("..", import.meta.url).pathname,
    globalSetup: ["test/servers.ts"],
    env: { FUZZ_SEED },
    include: ["test/**/*.test.ts"],
    // Most files wait for servers and processes, not for the CPU.
    maxWorkers: 4,
    // On a busy machine, starting a process can take long.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    typecheck: { enabled: false },
  },
});
