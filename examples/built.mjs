// Builds the package if it is not built, or older than its sources. Several may run at once: one builds, the others
// wait for it.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const LOCK = join(ROOT, "node_modules/.cache/keybearer-build");
const MAX_MS = 180_000;

const timeOf = (file) => statSync(join(ROOT, file), { throwIfNoEntry: false })?.mtimeMs ?? Number.NaN;

function isBuilt() {
  const sources = ["package.json", "tsup.config.ts", "tsconfig.json"].map(timeOf);
  for (const name of readdirSync(join(ROOT, "src"), { recursive: true }))
    sources.push(timeOf(join("src", name)));
  const newest = Math.max(...sources.filter((time) => !Number.isNaN(time)));
  // The declarations are what a build writes last.
  return timeOf("dist/index.d.ts") >= newest && timeOf("dist/index.js") >= newest;
}

/** Makes a folder that only one process can make; one that was left behind is taken over. */
function lock() {
  mkdirSync(join(LOCK, ".."), { recursive: true });
  try {
    mkdirSync(LOCK);
    return true;
  } catch {
    const age = Date.now() - (statSync(LOCK, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > MAX_MS) rmSync(LOCK, { recursive: true, force: true });
    return false;
  }
}

while (!lock()) await sleep(100);
try {
  if (!isBuilt()) {
    // What a build has to say goes to stderr: the output of what follows is for programs.
    const { status } = spawnSync("npm", ["run", "--silent", "build"], {
      cwd: ROOT,
      stdio: ["ignore", 2, 2],
      shell: process.platform === "win32",
    });
    process.exitCode = status ?? 1;
  }
} finally {
  rmSync(LOCK, { recursive: true, force: true });
}
