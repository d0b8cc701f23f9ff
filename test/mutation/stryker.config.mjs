/** @type {import("@stryker-mutator/api/core").PartialStrykerOptions} */
export default {
  testRunner: "vitest",
  plugins: [new URL("runner.mjs", import.meta.url).href],
  vitest: { configFile: "test/mutation/vitest.config.ts", related: false },
  coverageAnalysis: "perTest",
  // Expressions, tables and options that are made while a module is loaded decide about secrets, too.
  ignoreStatic: false,
  incremental: true,
  reporters: ["progress-append-only", "json", "html"],
  tempDirName: "reports/mutation/sandbox",
  ignorePatterns: ["/bench", "/dist", "/docs", "/examples", "/reports"],
  concurrency: 2,
  // A timeout counts as noticed, so a busy machine must not cause any.
  timeoutMS: 15_000,
  timeoutFactor: 5,
  dryRunTimeoutMinutes: 30,
  ...JSON.parse(process.env.MUTATION_REPORTS ?? "{}"),
  warnings: { slow: false },
  logLevel: "warn",
};
