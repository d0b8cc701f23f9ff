// Runs the tests that need no database server on every runtime, and prints one line for each.
//
//   npm run test:runtimes [-- node20 node22 node24 bun workerd deno]
//
// The runtimes are packages that contain a binary. They are installed on first use into test/runtimes/node_modules, as
// locked in test/runtimes/package-lock.json, without running install scripts. skipped.ts lists the tests that do not run
// on a runtime, and why.

import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { arch, platform, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Outcome, type Runtime, runtimes } from "./runtimes.js";
import { runWorkerd } from "./workerd/run.js";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const ROOT = fileURLToPath(new URL("../..", import.meta.url));

const selected = process.argv.slice(2);
const unknown = selected.filter((name) => !runtimes.some((runtime) => runtime.name === name));
if (unknown.length > 0) {
  console.error(
    `Unknown runtime: ${unknown.join(", ")}. Runtimes: ${runtimes.map(({ name }) => name).join(", ")}`,
  );
  process.exit(1);
}
if (platform() !== "linux") {
  console.error("The runtimes in package-lock.json are for Linux only");
  process.exit(1);
}
install();
// SQLite files are created in memory where possible, because this does not test the disk.
const temporary = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "keybearer-runtimes-"));
try {
  for (const runtime of runtimes.filter(({ name }) => selected.length === 0 || selected.includes(name)))
    await report(runtime);
} finally {
  rmSync(temporary, { recursive: true, force: true });
}

/** Installs the locked packages for this machine. */
function install(): void {
  const timeOf = (file: string) => statSync(`${HERE}${file}`, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (timeOf("node_modules/.package-lock.json") >= timeOf("package-lock.json")) return;
  console.error("Installing the runtimes …");
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"];
  execFileSync("npm", args, { cwd: HERE, stdio: ["ignore", 2, 2] });
}

async function report(runtime: Runtime): Promise<void> {
  const startedAt = performance.now();
  const binary = join(HERE, "node_modules", runtime.binary(arch() === "arm64" ? "arm64" : "x64"));
  const version = /\d+[\d.-]*\d/.exec(execFileSync(binary, ["--version"], { encoding: "utf8" }))?.[0];
  const { args } = runtime;
  const outcome = args ? await runVitest(runtime.name, args, binary) : await runWorkerd(binary);
  const { files, passed, failed, skipped } = outcome;
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(0);
  console.log(
    `${runtime.name.padEnd(8)} ${version?.padEnd(12)} ${files} files, ${passed} passed, ${failed.length} failed, ` +
      `${skipped} skipped, ${seconds} s`,
  );
  for (const line of failed) console.error(`  ${line}`);
  if (failed.length > 0 || passed === 0) process.exitCode = 1;
}

async function runVitest(name: string, runtimeArgs: readonly string[], binary: string): Promise<Outcome> {
  const file = join(temporary, `${name}.json`);
  const vitest = join(ROOT, "node_modules/vitest/vitest.mjs");
  const reporterArgs = ["--reporter=json", `--outputFile=${file}`];
  const args = [...runtimeArgs, vitest, "run", "--config", join(HERE, "vitest.config.ts"), ...reporterArgs];
  const child = spawn(binary, args, {
    cwd: ROOT,
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, TMPDIR: temporary, KEYBEARER_RUNTIME: name },
  });
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  if (!existsSync(file)) return { files: 0, passed: 0, failed: [`no report: ${stderr}`], skipped: 0 };
  const json = JSON.parse(readFileSync(file, "utf8"));
  const failed: string[] = [];
  for (const { name, message, status, assertionResults } of json.testResults) {
    const tests = assertionResults.filter((result: { status: string }) => result.status === "failed");
    if (status === "failed" && tests.length === 0) failed.push(`${name}: ${message}`);
    for (const { fullName, failureMessages } of tests) failed.push(`${fullName}: ${failureMessages[0]}`);
  }
  // For example an uncaught exception.
  if (code !== 0 && failed.length === 0) failed.push(`exit code ${code}: ${stderr}`);
  const { numPassedTests: passed, numPendingTests: skipped, testResults } = json;
  return { files: testResults.length, passed, failed, skipped };
}
