// Checks the size of each subpath: bundled and minified, with the dependencies of the package, without its peers.
//
//   npm run check:size [-- --write]
//
// Fails above the budgets in sizes.json. `--write` sets each budget to 10 % above the current size.

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import manifest from "../../package.json" with { type: "json" };
import budgets from "./sizes.json" with { type: "json" };

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BUDGETS: Readonly<Record<string, number>> = budgets;

const rows: { name: string; bytes: number; gzip: number; budget: number | undefined }[] = [];
for (const [path, target] of Object.entries(manifest.exports)) {
  if (typeof target === "string") continue;
  const name = path.replace(/^\./, "keybearer");
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints: [target.default],
    bundle: true,
    minify: true,
    write: false,
    logLevel: "error",
    format: "esm",
    platform: "node",
    target: "node20",
    external: Object.keys(manifest.peerDependencies),
  });
  const code = outputFiles[0]?.contents ?? new Uint8Array();
  const gzip = gzipSync(code, { level: 9 }).length;
  rows.push({ name, bytes: code.length, gzip, budget: BUDGETS[name] });
}

if (process.argv.includes("--write")) {
  const updated = Object.fromEntries(
    rows.map(({ name, gzip }) => [name, Math.ceil((gzip * 1.1) / 100) * 100]),
  );
  writeFileSync(new URL("sizes.json", import.meta.url), `${JSON.stringify(updated, null, 2)}\n`);
} else {
  print();
}

function print(): void {
  const head = ["subpath", "bytes", "gzip", "budget"];
  const table = rows.map(({ name, bytes, gzip, budget = 0 }) => [name, ...[bytes, gzip, budget].map(String)]);
  const widths = head.map((title, column) =>
    Math.max(title.length, ...table.map((cells) => cells[column]?.length ?? 0)),
  );
  for (const cells of [head, ...table]) {
    const padded = cells.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    console.log(padded.join("  "));
  }
  const names = new Set(rows.map(({ name }) => name));
  const obsolete = Object.keys(BUDGETS).filter((name) => !names.has(name));
  const over = rows.filter(({ gzip, budget }) => budget === undefined || gzip > budget);
  for (const { name, budget } of over)
    console.error(budget === undefined ? `${name} has no budget` : `${name} is over its budget`);
  for (const name of obsolete) console.error(`${name} has a budget, but is not a subpath`);
  if (over.length + obsolete.length > 0) process.exitCode = 1;
}
