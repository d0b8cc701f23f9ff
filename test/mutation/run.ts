// Mutation tests: small changes to the source, one at a time, each of which a test has to notice.
//
//   npm run test:mutation [-- core/hash stores/cached:12-14,20-20 …]
//
// What makes the changes is installed on first use, into test/mutation/node_modules. Without names every file is run,
// which takes hours; with lines behind a name these alone, and what the last run found elsewhere in the file stays.
// The table is of the last run of each file. What survives, and why: test/mutation/SURVIVORS.md

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

/** The lines of each file that is asked for; none for all of it. */
const asked = new Map(
  process.argv.slice(2).map((word): [name: string, lines: readonly string[]] => {
    const [name = "", lines] = word.split(":");
    return [name, lines?.split(",") ?? []];
  }),
);
const unknown = [...asked.keys()].filter((name) => FILES[name] === undefined);
if (unknown.length > 0) {
  console.error(`There is no file ${unknown.join(", ")}; there are ${Object.keys(FILES).join(", ")}`);
  process.exit(1);
}

install(HERE, "what changes the source");
for (const [name, tests] of Object.entries(FILES)) {
  if (asked.size === 0 || asked.has(name)) run(name, tests, asked.get(name) ?? []);
}
printTable();

/** A run for each file, which reads the tests of that file only. */
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
      "--force", // what an earlier run found may not hold for the tests of today
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
  if (status !== 0) throw new Error(`The mutants of ${name} could not be run`);
  printUnnoticed(name);
}

function report(name: string, kind: string): string {
  return `reports/mutation/${name.replaceAll("/", "-")}.${kind}`;
}

function read(name: string): MutatedFile {
  const { files } = JSON.parse(readFileSync(`${ROOT}${report(name, "json")}`, "utf8"));
  return files[`src/${name}.ts`];
}

function printUnnoticed(name: string): void {
  const { source, mutants } = read(name);
  const lines = source.split("\n");
  for (const { status, mutatorName, replacement, location } of mutants) {
    if (status === "Killed" || status === "Timeout") continue;
    const { start, end } = location;
    const line = lines[start.line - 1] ?? "";
    const was = line.slice(start.column - 1, start.line === end.line ? end.column - 1 : undefined);
    console.log(`${name}:${start.line} ${status} ${mutatorName}: ${line.trim()}`);
    console.log(`    ${was} -> ${replacement.replace(/\s+/g, " ")}`);
  }
}

/** What the last runs came to, of every file that has been run. */
function printTable(): void {
  const table = Object.keys(FILES)
    .filter((name) => existsSync(`${ROOT}${report(name, "json")}`))
    .map((name) => [name, read(name).mutants] as const);
  const line = (name: string, mutants: readonly Mutant[]) => {
    const count = (status: string) => mutants.filter((mutant) => mutant.status === status).length;
    const counts = ["Killed", "Timeout", "Survived", "NoCoverage"].map(count) as [
      number,
      number,
      number,
      number,
    ];
    const all = counts.reduce((sum, one) => sum + one);
    const score = ((counts[0] + counts[1]) / all) * 100;
    console.log(`| ${[name, all, ...counts, score.toFixed(1)].join(" | ")} |`);
  };
  console.log("| file | mutants | killed | timeout | survived | no coverage | score |");
  console.log("| --- | --- | --- | --- | --- | --- | --- |");
  for (const [name, mutants] of table) line(name, mutants);
  line(
    "all",
    table.flatMap(([, mutants]) => mutants),
  );
}
