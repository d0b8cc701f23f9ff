import { execFileSync } from "node:child_process";
import { statSync } from "node:fs";

/** Installs what the lock file of a directory names, and nothing else; nothing that is installed runs while it is. */
export function install(directory: string, what: string): void {
  const timeOf = (file: string) => statSync(`${directory}${file}`, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (timeOf("node_modules/.package-lock.json") >= timeOf("package-lock.json")) return;
  console.error(`Installing ${what} …`);
  execFileSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: directory,
    stdio: ["ignore", 2, 2],
    shell: process.platform === "win32",
  });
}
