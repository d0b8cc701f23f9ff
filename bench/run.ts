// Runs the benchmark and prints one table of ratios.
//
//   npm run bench [-- verify allowlist http stores memory startup runtimes]
//
// The libraries to compare with are installed on first use into bench/node_modules, as locked in bench/package-lock.json.

import { existsSync, readFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { fileURLToPath } from "node:url";
import { install } from "./install.js";
import { type Row, SECTIONS } from "./rows.js";
import { runSection } from "./section.js";

const HERE = fileURLToPath(new URL(".", import.meta.url));

const selected = process.argv.slice(2);
const unknown = selected.filter((name) => !(SECTIONS as readonly string[]).includes(name));
if (unknown.length > 0) {
  console.error(`Unknown section: ${unknown.join(", ")}. Sections: ${SECTIONS.join(", ")}`);
  process.exit(1);
}
const sections = SECTIONS.filter((name) =>
  selected.length === 0 ? name !== "runtimes" : selected.includes(name),
);

install(HERE, "the libraries to compare with");
const startedAt = performance.now();
const rows: Row[] = [];
for (const section of sections) {
  const sectionStart = performance.now();
  rows.push(...runSection(section));
  console.error(`${section}: ${((performance.now() - sectionStart) / 1_000).toFixed(0)} s`);
}
print(rows);

function print(all: readonly Row[]): void {
  const table = all.map(({ section, measured, baseline, figure, quartiles = "", goal = "", met }) => [
    section,
    measured,
    baseline,
    figure,
    quartiles,
    goal,
    met === undefined ? "" : met ? "yes" : "no",
  ]);
  const head = ["section", "measured", "baseline", "figure", "quartiles", "goal", "met"];
  const widths = head.map((title, column) =>
    Math.max(title.length, ...table.map((cells) => (cells[column] as string).length)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] as number)).join(" | ")} |`;
  console.log(line(head));
  console.log(line(widths.map((width) => "-".repeat(width))));
  for (const cells of table) console.log(line(cells));
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(0);
  console.log(`\nNode ${process.versions.node}, Linux ${release()}, ${cpus().length} CPUs; ${versions()}`);
  console.log(`${new Date().toISOString().slice(0, 10)}, in ${seconds} s. See bench/README.md`);
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
