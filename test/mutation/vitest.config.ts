import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: new URL("../..", import.meta.url).pathname,
    provide: {
      servers: { postgres: undefined, mysql: undefined, redis: undefined, redisCluster: undefined },
    },
    env: { FUZZ_SEED: "1" },
    setupFiles: ["test/mutation/setup.ts"],
    include: (process.env.MUTATION_TESTS ?? "test/unit/core/**/*.test.ts").split(","),
    testTimeout: 10_000,
    hookTimeout: 10_000,
    typecheck: { enabled: false },
  },
});
