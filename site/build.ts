// Builds the documentation site into site/.vitepress/dist. DOCS_BASE is its path on the server, "/" by default.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { install } from "../bench/install.js";
import { assemble } from "./assemble.js";
import { staleDiagrams } from "./diagrams.js";
import { ROOT } from "./markdown.js";

const stale = staleDiagrams();
if (stale.length > 0)
  throw new Error(`Run npm run docs:diagrams and commit its changes: ${stale.join(", ")}`);

install(join(ROOT, "site/"), "VitePress and TypeDoc");
assemble();
run("typedoc", ["--options", "typedoc.json", "--logLevel", "Warn"]);
run("vitepress", ["build", "site"]);

function run(command: string, args: readonly string[]): void {
  execFileSync(join(ROOT, "site/node_modules/.bin", command), args, {
    cwd: ROOT,
    stdio: "inherit",
    shell: process.platform === "win32",
  });
}
