import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    globalSetup: ["test/servers.ts"],
    include: ["test/**/*.test.ts"],
    // Most files wait for servers and processes, not for a processor.
    maxWorkers: 4,
    // On a machine that is busy with other things even a process takes its time to start.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    typecheck: { enabled: false },
  },
});
