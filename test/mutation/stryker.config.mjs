/** @type {import("@stryker-mutator/api/core").PartialStrykerOptions} */
export default {
  testRunner: "vitest",
  plugins: [new URL("runner.mjs", import.meta.url).href],
  vitest: { configFile: "test/mutation/vitest.config.ts", related: false },
  coverageAnalysis: "perTest",
  // Regular expressions and tables that are created when a module loads are mutated too.
  ignoreStatic: false,
  incremental: true,
  reporters: ["progress-append-only", "json", "html"],
  tempDirName: "reports/mutation/sandbox",
  ignorePatterns: ["/bench", "/dist", "/docs", "/examples", "/reports"],
  concurrency: 2,
  // A timeout counts as detected, so it must not be caused by a busy machine.
  timeoutMS: 15_000,
  timeoutFactor: 5,
  dryRunTimeoutMinutes: 30,
  ...JSON.parse(process.env.MUTATION_REPORTS ?? "{}"),
  warnings: { slow: false },
  logLevel: "warn",
};
