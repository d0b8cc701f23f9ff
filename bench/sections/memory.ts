// What a key takes in memory, and what a flood of unknown keys leaves behind. bench/memory.ts measures it.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { tell } from "../rows.js";

const FILE = fileURLToPath(new URL("../memory.ts", import.meta.url));
const NAIVE = "a Map of records by their hash";
const run = promisify(execFile);

// Bytes are the same however busy the machine is, so the parts may run at once.
const [naive, packed, growth] = await Promise.all([
  bytesOf(NAIVE, 250_000),
  bytesOf("memoryStore, with an audit entry for each key", 1_000_000),
  bytesOf("lookups", 100_000),
]);
tell({
  section: "memory",
  what: "memoryStore, 1,000,000 keys of two scopes, with their audit trail",
  against: NAIVE,
  figure: `${(packed / naive).toFixed(2)} x, ${packed.toFixed(0)} bytes a key`,
  goal: "at most 240 bytes",
  met: packed <= 240,
});
tell({
  section: "memory",
  what: "growth under 1,000,000 verifications of unknown keys",
  against: "before them",
  figure: `${growth.toFixed(1)} MB`,
});

/** The figure of a part of bench/memory.ts, with so many keys. */
async function bytesOf(part: string, keys: number): Promise<number> {
  const args = ["--expose-gc", "--import", "tsx", FILE, String(keys), part];
  const { stdout } = await run(process.execPath, args);
  const figure = Number(/-?\d+(\.\d+)?/.exec(stdout)?.[0]);
  if (Number.isNaN(figure)) throw new Error(`bench/memory.ts did not measure "${part}"`);
  return figure;
}
