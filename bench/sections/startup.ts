// The CPU time and memory to import each entry of the package, in a new process.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { median, shuffled } from "../measure.js";
import { printRow, ratioRow } from "../rows.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const ROUNDS = 3;
const EXPRESS = "express";

interface Entry {
  readonly types?: string;
  readonly default: string;
}

interface Cost {
  readonly milliseconds: number;
  readonly bytes: number;
}

const { exports } = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8")) as {
  exports: Readonly<Record<string, string | Entry>>;
};
const entries = Object.entries(exports)
  .filter((entry): entry is [string, Entry] => typeof entry[1] !== "string")
  .map(([name, target]) => ({
    name: `keybearer${name.slice(1)}`,
    url: new URL(`../../${target.default}`, import.meta.url).href,
  }));
const all = [...entries, { name: EXPRESS, url: EXPRESS }];

const costs = new Map<string, Cost[]>(all.map(({ name }) => [name, []]));
for (let round = 0; round < ROUNDS; round++) {
  for (const { name, url } of shuffled(all)) costs.get(name)?.push(measureImport(url));
}

const base = costs.get(EXPRESS) ?? [];
for (const { name } of entries) {
  const own = costs.get(name) ?? [];
  const importRatios = own.map(
    ({ milliseconds }, round) => milliseconds / (base[round]?.milliseconds ?? Number.NaN),
  );
  const row = ratioRow("startup", `import ${name}`, `import ${EXPRESS}`, importRatios);
  const time = median(own.map(({ milliseconds }) => milliseconds)).toFixed(0);
  const kilobytes = (median(own.map(({ bytes }) => bytes)) / 1_024).toFixed(0);
  printRow({ ...row, figure: `${row.figure}, ${time} ms, ${kilobytes} KiB` });
}

function measureImport(url: string): Cost {
  const program = `
    const used = () => { gc(); const { heapUsed, external } = process.memoryUsage(); return heapUsed + external; };
    const before = used();
    const { user, system } = process.cpuUsage();
    await import(${JSON.stringify(url)});
    const took = process.cpuUsage({ user, system });
    console.log(JSON.stringify({ milliseconds: (took.user + took.system) / 1000, bytes: used() - before }));
  `;
  const args = ["--expose-gc", "--input-type=module", "--eval", program];
  const { stdout, status } = spawnSync(process.execPath, args, {
    cwd: ROOT,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (status !== 0) throw new Error(`import of ${url} failed`);
  return JSON.parse(stdout);
}
