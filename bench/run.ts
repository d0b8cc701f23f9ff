// The benchmark: one table of ratios.
//
//   npm run bench [-- verify allowlist http stores memory startup]
//
// What is compared with is installed on first use, into bench/node_modules, from bench/package-lock.json.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { fileURLToPath } from "node:url";
import { install } from "./install.js";
import { type Row, SECTIONS, type Section } from "./rows.js";

const HERE = fileURLToPath(new URL(".", import.meta.url));

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !(SECTIONS as readonly string[]).includes(name));
if (unknown.length > 0) {
  console.error(`There is no section ${unknown.join(", ")}; there are ${SECTIONS.join(", ")}`);
  process.exit(1);
}
const sections = SECTIONS.filter((name) => asked.length === 0 || asked.includes(name));

install(HERE, "what keybearer is compared with");
const began = performance.now();
const rows: Row[] = [];
for (const section of sections) rows.push(...run(section));
print(rows);

/** Each section has a process of its own, and writes its rows to it as lines of JSON. */
function run(section: Section): readonly Row[] {
  const start = performance.now();
  const file = `${HERE}sections/${section}.ts`;
  const { status, stdout } = spawnSync(process.execPath, ["--expose-gc", "--import", "tsx", file], {
    cwd: HERE,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 2 ** 24,
  });
  console.error(`${section}: ${((performance.now() - start) / 1_000).toFixed(0)} s`);
  if (status !== 0) process.exitCode = 1;
  return stdout
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));
}

function print(all: readonly Row[]): void {
  const table = all.map(({ section, what, against, figure, spread = "", goal = "", met }) => [
    section,
    what,
    against,
    figure,
    spread,
    goal,
    met === undefined ? "" : met ? "yes" : "no",
  ]);
  const head = ["section", "measured", "against", "figure", "quartiles", "goal", "met"];
  const widths = head.map((title, column) =>
    Math.max(title.length, ...table.map((cells) => (cells[column] as string).length)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] as number)).join(" | ")} |`;
  console.log(line(head));
  console.log(line(widths.map((width) => "-".repeat(width))));
  for (const cells of table) console.log(line(cells));
  const seconds = ((performance.now() - began) / 1_000).toFixed(0);
  console.log(`\nNode ${process.versions.node}, Linux ${release()}, ${cpus().length} CPUs; ${versions()}`);
  console.log(`${new Date().toISOString().slice(0, 10)}, in ${seconds} s. How to read it: bench/README.md`);
}

function versions(): string {
  const names = Object.keys(JSON.parse(readFileSync(`${HERE}package.json`, "utf8")).devDependencies);
  return ["jose", "express", "koa", "hono", "fastify", "pg", "redis", "mysql2", "libsql", ...names]
    .map((name) => {
      const places = [`${HERE}node_modules/${name}`, `${HERE}../node_modules/${name}`];
      const place = places.find((folder) => existsSync(`${folder}/package.json`));
      return place && `${name} ${JSON.parse(readFileSync(`${place}/package.json`, "utf8")).version}`;
    })
    .filter(Boolean)
    .join(", ");
}
