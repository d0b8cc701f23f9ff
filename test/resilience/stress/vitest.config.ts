import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: new URL("../../..", import.meta.url).pathname,
    globalSetup: ["test/servers.ts", "test/stress/build-child.ts"],
    include: ["test/stress/**/*.stress.ts"],
    fileParallelism: false,
    disableConsoleIntercept: true, // a line of result is a line
    testTimeout: 900_000,
    hookTimeout: 60_000,
  },
});
