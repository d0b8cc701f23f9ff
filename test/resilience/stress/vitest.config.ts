import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: new URL("../../..", import.meta.url).pathname,
    globalSetup: ["test/servers.ts", "test/resilience/stress/build-child.ts"],
    include: ["test/resilience/stress/**/*.stress.ts"],
    fileParallelism: false,
    disableConsoleIntercept: true, // print results without headings
    testTimeout: 900_000,
    hookTimeout: 60_000,
  },
});
