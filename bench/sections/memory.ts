// Memory per key, growth under unknown keys, and pauses of memoryStore. Runs the parts of bench/memory.ts.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { printRow } from "../rows.js";

const FILE = fileURLToPath(new URL("../memory.ts", import.meta.url));
const MAP = "Map of records by hash";
const run = promisify(execFile);

// A busy machine does not change memory figures, so these run at the same time.
const [map, store, growth] = await Promise.all([
  measure(MAP, "bytesPerKey", 250_000),
  measure("memoryStore, keys without audit entries", "bytesPerKey", 250_000),
  measure("growth during verifications", "megabytes", 100_000),
]);
printRow({
  section: "memory",
  measured: "memoryStore, 250,000 keys of two scopes, without audit entries",
  baseline: MAP,
  figure: `${(store / map).toFixed(2)} x, ${store.toFixed(0)} bytes a key`,
  goal: "at most 700 bytes",
  met: store <= 700,
});
printRow({
  section: "memory",
  measured: "growth under 1,000,000 verifications of unknown keys",
  baseline: "before them",
  figure: `${growth.toFixed(1)} MB`,
});

const pause = await measure("longest insert", "milliseconds", 1_000_000);
printRow({
  section: "memory",
  measured: "longest pause of one insert while memoryStore grows to 1,000,000 keys",
  baseline: "-",
  figure: `${pause.toFixed(1)} ms`,
  goal: "at most 10 ms",
  met: pause <= 10,
});

/** Runs a part of bench/memory.ts in its own process and returns one of its figures. */
async function measure(part: string, figure: string, keys: number): Promise<number> {
  const args = ["--expose-gc", "--import", "tsx", FILE, String(keys), part];
  const { stdout } = await run(process.execPath, args);
  return (JSON.parse(stdout) as Record<string, number>)[figure] as number;
}
