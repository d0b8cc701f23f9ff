import { defineConfig } from "vitest/config";
import { skipped } from "./skipped.js";

const runtime = process.env.KEYBEARER_RUNTIME;
const current = skipped.filter((entry) => entry.runtime === runtime);
const escaped = current.flatMap(({ tests = [] }) => tests).map((name) => name.replace(/[^\w ]/g, "\\$&"));

/** The files that run on a runtime: node:sqlite where it exists, and JWTs where cryptography differs from Node's. */
function filesOf(name: string | undefined): string[] {
  const files = [
    "unit/core",
    "unit/internal",
    "unit/adapters",
    "unit/management",
    "contract/guards",
    "contract/management",
  ].map((folder) => `test/${folder}/**/*.test.ts`);
  if (name !== "node20") files.push("test/contract/stores/sqlite.test.ts");
  if (name === "bun" || name === "deno")
    files.push("test/contract/stores/contract.test.ts", "test/{unit,conformance}/{jwt,oauth}/**/*.test.ts");
  return files;
}

export default defineConfig({
  test: {
    root: new URL("../..", import.meta.url).pathname,
    setupFiles: ["test/runtimes/setup.ts"],
    include: filesOf(runtime),
    exclude: current.flatMap(({ files = [] }) => files),
    ...(escaped.length > 0 && { testNamePattern: new RegExp(`^(?!.*(?:${escaped.join("|")}))`) }),
    provide: {
      servers: { postgres: undefined, mysql: undefined, redis: undefined, redisCluster: undefined },
    },
    // Otherwise named imports of zod are undefined when Vitest loads it in Bun.
    server: { deps: { inline: ["zod"] } },
    // Modules are loaded once for all files, which halves the time.
    isolate: false,
    maxWorkers: 4,
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
});
