// What a key takes in memory, and what a flood of unknown keys leaves behind. bench/memory.ts measures it.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { tell } from "../rows.js";

const FILE = fileURLToPath(new URL("../memory.ts", import.meta.url));
const KEYS = 1_000_000;
const STORE = "memoryStore, with an audit entry for each key";
const NAIVE = "a Map of records by their hash";

const [naive, packed] = [bytesOf(NAIVE), bytesOf(STORE)];
tell({
  section: "memory",
  what: "memoryStore, 1,000,000 keys of two scopes, with their audit trail",
  against: NAIVE,
  figure: `${(packed / naive).toFixed(2)} x, ${packed.toFixed(0)} bytes a key`,
  goal: "at most 240 bytes",
  met: packed <= 240,
});
const growth = bytesOf("look-ups");
tell({
  section: "memory",
  what: "growth under 1,000,000 verifications of unknown keys",
  against: "before them",
  figure: `${growth.toFixed(1)} MB`,
});

function bytesOf(part: string): number {
  const args = ["--expose-gc", "--import", "tsx", FILE, String(KEYS), part];
  const { status, stdout } = spawnSync(process.execPath, args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  const figure = Number(/-?\d+(\.\d+)?/.exec(stdout)?.[0]);
  if (status !== 0 || Number.isNaN(figure)) throw new Error(`bench/memory.ts did not measure "${part}"`);
  return figure;
}
