// Builds the package unless the build is newer than the sources. Safe to run concurrently: one process builds, and the
// others wait for it.
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
  const sources = ["package.json", "tsup.config.ts", "finish-build.mjs", "tsconfig.json"].map(timeOf);
  for (const name of readdirSync(join(ROOT, "src"), { recursive: true }))
    sources.push(timeOf(join("src", name)));
  const newest = Math.max(...sources.filter((time) => !Number.isNaN(time)));
  // A build writes the licenses last.
  return timeOf("dist/THIRD-PARTY-NOTICES.txt") >= newest && timeOf("dist/index.js") >= newest;
}

/** Creates the lock directory; returns whether it did. Removes a lock that is older than `MAX_MS`. */
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
    // The build prints to stderr, because programs read the stdout of the command that follows.
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
