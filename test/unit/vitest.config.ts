import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: new URL("../..", import.meta.url).pathname,
    include: ["test/unit/**/*.test.ts"],
    maxWorkers: 2,
    // Modules are loaded once for all files, which halves the time.
    isolate: false,
    testTimeout: 10_000,
  },
});
