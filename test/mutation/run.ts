// Mutation tests: changes the source in small ways, one at a time, and runs the tests of the changed file.
//
//   npm run test:mutation [-- core/keys/hash cache/entries:12-14,20-20 …]
//
// Without names, every file is tested, which takes hours. With line ranges after a name, only those lines are tested, and
// the earlier results of other lines are kept. Stryker is installed on first use into test/mutation/node_modules.
// test/mutation/SURVIVORS.md explains the mutants that survive.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { install } from "../../bench/install.js";
import { FILES } from "./files.js";

interface Mutant {
  readonly status: string;
  readonly mutatorName: string;
  readonly replacement: string;
  readonly location: Record<"start" | "end", { readonly line: number; readonly column: number }>;
}

interface MutatedFile {
  readonly source: string;
  readonly mutants: readonly Mutant[];
}

const HERE = fileURLToPath(new URL(".", import.meta.url));
const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** The line ranges of each file that was named; an empty array stands for the whole file. */
const selected = new Map(
  process.argv.slice(2).map((argument): [name: string, lines: readonly string[]] => {
    const [name = "", lines] = argument.split(":");
    return [name, lines?.split(",") ?? []];
  }),
);
const unknown = [...selected.keys()].filter((name) => FILES[name] === undefined);
if (unknown.length > 0) {
  console.error(`Unknown file: ${unknown.join(", ")}. Files: ${Object.keys(FILES).join(", ")}`);
  process.exit(1);
}
const missing = Object.entries(FILES)
  .flatMap(([name, tests]) => [`src/${name}.ts`, ...tests.map((test) => `test/${test}.test.ts`)])
  .filter((file) => !existsSync(`${ROOT}${file}`));
if (missing.length > 0) {
  console.error(`test/mutation/files.ts names files that do not exist: ${missing.join(", ")}`);
  process.exit(1);
}

install(HERE, "Stryker");
for (const [name, tests] of Object.entries(FILES)) {
  if (selected.size === 0 || selected.has(name)) run(name, tests, selected.get(name) ?? []);
}
printTable();

/** Mutates one file and runs its tests. */
function run(name: string, tests: readonly string[], lines: readonly string[]): void {
  const source = `src/${name}.ts`;
  const reports = {
    jsonReporter: { fileName: report(name, "json") },
    htmlReporter: { fileName: report(name, "html") },
  };
  const { status } = spawnSync(
    process.execPath,
    [
      `${HERE}node_modules/@stryker-mutator/core/bin/stryker.js`,
      "run",
      `${HERE}stryker.config.mjs`,
      "--mutate",
      lines.length === 0 ? source : lines.map((range) => `${source}:${range}`).join(),
      "--incrementalFile",
      report(name, "incremental.json"),
      "--force", // earlier results may not hold for the current tests
    ],
    {
      cwd: ROOT,
      stdio: ["ignore", 2, 2],
      env: {
        ...process.env,
        MUTATION_TESTS: tests.map((test) => `test/${test}.test.ts`).join(","),
        MUTATION_REPORTS: JSON.stringify(reports),
      },
    },
  );
  if (status !== 0) throw new Error(`Stryker failed for ${name}`);
  printSurvivors(name);
}

function report(name: string, kind: string): string {
  return `reports/mutation/${name.replaceAll("/", "-")}.${kind}`;
}

function read(name: string): MutatedFile {
  const { files } = JSON.parse(readFileSync(`${ROOT}${report(name, "json")}`, "utf8"));
  return files[`src/${name}.ts`];
}

function printSurvivors(name: string): void {
  const { source, mutants } = read(name);
  const lines = source.split("\n");
  for (const { status, mutatorName, replacement, location } of mutants) {
    if (status === "Killed" || status === "Timeout") continue;
    const { start, end } = location;
    const line = lines[start.line - 1] ?? "";
    const original = line.slice(start.column - 1, start.line === end.line ? end.column - 1 : undefined);
    console.log(`${name}:${start.line} ${status} ${mutatorName}: ${line.trim()}`);
    console.log(`    ${original} -> ${replacement.replace(/\s+/g, " ")}`);
  }
}

/** Prints the latest score of every file that has been tested. */
function printTable(): void {
  const table = Object.keys(FILES)
    .filter((name) => existsSync(`${ROOT}${report(name, "json")}`))
    .map((name) => [name, read(name).mutants] as const);
  const printRow = (name: string, mutants: readonly Mutant[]) => {
    const count = (status: string) => mutants.filter((mutant) => mutant.status === status).length;
    const [killed, timeout, survived, noCoverage] = [
      count("Killed"),
      count("Timeout"),
      count("Survived"),
      count("NoCoverage"),
    ];
    const total = killed + timeout + survived + noCoverage;
    const score = (((killed + timeout) / total) * 100).toFixed(1);
    console.log(`| ${[name, total, killed, timeout, survived, noCoverage, score].join(" | ")} |`);
  };
  console.log("| file | mutants | killed | timeout | survived | no coverage | score |");
  console.log("| --- | --- | --- | --- | --- | --- | --- |");
  for (const [name, mutants] of table) printRow(name, mutants);
  printRow(
    "all",
    table.flatMap(([, mutants]) => mutants),
  );
}
