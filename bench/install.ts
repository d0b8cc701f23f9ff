import { execFileSync } from "node:child_process";
import { statSync } from "node:fs";

/** Installs the locked packages of a directory, unless they are installed already, without running install scripts. */
export function install(directory: string, description: string): void {
  const timeOf = (file: string) => statSync(`${directory}${file}`, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (timeOf("node_modules/.package-lock.json") >= timeOf("package-lock.json")) return;
  console.error(`Installing ${description} …`);
  execFileSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: directory,
    stdio: ["ignore", 2, 2],
    shell: process.platform === "win32",
  });
}
