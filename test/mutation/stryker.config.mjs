/** @type {import("@stryker-mutator/api/core").PartialStrykerOptions} */
export default {
  testRunner: "vitest",
  plugins: [new URL("runner.mjs", import.meta.url).href],
  vitest: { configFile: "test/mutation/vitest.config.ts" },
  coverageAnalysis: "perTest",
  // Expressions, tables and options that are made while a module is loaded decide about secrets, too.
  ignoreStatic: false,
  incremental: true,
  reporters: ["json", "html"],
  tempDirName: "reports/mutation/sandbox",
  ignorePatterns: ["/bench", "/dist", "/docs", "/examples", "/reports"],
  concurrency: 2,
  // A time-out counts as noticed, so a busy machine must not cause any.
  timeoutMS: 30_000,
  timeoutFactor: 10,
  dryRunTimeoutMinutes: 30,
  ...JSON.parse(process.env.MUTATION_REPORTS ?? "{}"),
  warnings: { slow: false },
  logLevel: "warn",
};
