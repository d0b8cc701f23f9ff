import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: new URL("../..", import.meta.url).pathname,
    include: ["test/properties/**/*.test.ts"],
    maxWorkers: 2,
    testTimeout: 3_600_000,
  },
});
