import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: new URL("../../..", import.meta.url).pathname,
    globalSetup: ["test/servers.ts"],
    include: ["test/resilience/revocations/*.test.ts"],
    env: { EPISODES: process.env.EPISODES ?? "10" },
    disableConsoleIntercept: true, // print results without headings
    testTimeout: 600_000,
    hookTimeout: 60_000,
  },
});
