import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: new URL("../..", import.meta.url).pathname,
    include: ["test/unit/**/*.test.ts"],
    // Tests that can use database servers are skipped here.
    provide: {
      servers: { postgres: undefined, mysql: undefined, redis: undefined, redisCluster: undefined },
    },
    maxWorkers: 2,
    // Modules are loaded once for all files, which halves the time.
    isolate: false,
    testTimeout: 10_000,
  },
});
