import { defineConfig } from "vitest/config";
import { leftOut } from "./left-out.js";

const runtime = process.env.KEYBEARER_RUNTIME;
const here = leftOut.filter((entry) => entry.runtime === runtime);
const escaped = here.flatMap(({ tests = [] }) => tests).map((name) => name.replace(/[^\w ]/g, "\\$&"));

/** What is the same everywhere; node:sqlite where there is one; and cryptography of another making than Node's. */
function filesOf(name: string | undefined): string[] {
  const files = ["core", "adapters", "management"].map((folder) => `test/${folder}/**/*.test.ts`);
  if (name !== "node20") files.push("test/stores/sqlite.test.ts");
  if (name === "bun" || name === "deno") files.push("test/stores/contract.test.ts", "test/jwt/**/*.test.ts");
  return files;
}

export default defineConfig({
  test: {
    root: new URL("../..", import.meta.url).pathname,
    setupFiles: ["test/runtimes/setup.ts"],
    include: filesOf(runtime),
    exclude: here.flatMap(({ files = [] }) => files),
    ...(escaped.length > 0 && { testNamePattern: new RegExp(`^(?!.*(?:${escaped.join("|")}))`) }),
    provide: {
      servers: { postgres: undefined, mysql: undefined, redis: undefined, redisCluster: undefined },
    },
    // Whoever imports a module by its names gets one of them as `undefined` from Bun, where vitest asks for it.
    server: { deps: { inline: ["zod"] } },
    // Modules are loaded once for all files: it takes half of the time.
    isolate: false,
    maxWorkers: 4,
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
});
