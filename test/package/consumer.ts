// Packs the package, installs it into an empty project, compiles a small service for each framework in strict mode, and sends
// requests to it, as ES modules and through require(). The examples of a custom store and a custom guard are compiled too.
//
//   npm run check:consumer
//
// Frameworks have the versions that are installed here, so that npm has them in its cache. As ES modules, skipLibCheck is
// off; errors in the declarations of other packages are ignored.

import { execFile, execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import manifest from "../../package.json" with { type: "json" };

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SERVICES = join(ROOT, "test/package/consumer");
const EXAMPLES = ["custom-store", "custom-guard", "example.ts", "serve.ts"]; // and what the guard's main.ts imports
const TSC = join(ROOT, "node_modules/typescript/bin/tsc");
/** An error in a declaration of another package. */
const FOREIGN_ERROR = /^\S*node_modules\/(?!keybearer\/)\S+: error TS/;
const run = promisify(execFile);

const project = mkdtempSync(join(tmpdir(), "keybearer-consumer-"));
try {
  install();
  const kinds = [
    { name: "esm", type: "module", module: "nodenext", moduleResolution: "nodenext" },
    { name: "cjs", type: "commonjs", module: "nodenext", moduleResolution: "nodenext" },
    { name: "bundler", type: "module", module: "esnext", moduleResolution: "bundler" },
  ] as const;
  for (const kind of kinds) await check(kind);
} finally {
  rmSync(project, { recursive: true, force: true });
}

function install(): void {
  const [pack] = JSON.parse(npm(["pack", "--json", "--ignore-scripts", "--pack-destination", project], ROOT));
  const size = `${(pack.size / 1_000).toFixed(0)} kB, ${(pack.unpackedSize / 1_000).toFixed(0)} kB unpacked`;
  console.log(`${pack.filename}: ${pack.entryCount} files, ${size}`);
  const packages = ["express", "koa", "hono", "fastify", "@types/express", "@types/koa", "@types/node"];
  const versions = packages.map((name) => `${name}@${installed(name)}`);
  writeFileSync(join(project, "package.json"), '{ "private": true }');
  const options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  npm(["install", "--prefer-offline", ...options, `./${pack.filename}`, ...versions], project);
}

/** Compiles the services, the examples and a module that imports every subpath; runs all but the examples. */
async function check(kind: { name: string; type: string; module: string; moduleResolution: string }) {
  const { name, type, module, moduleResolution } = kind;
  const folder = join(project, name);
  mkdirSync(folder);
  cpSync(SERVICES, folder, { recursive: true });
  for (const example of EXAMPLES) {
    cpSync(join(ROOT, "examples", example), join(folder, "examples", example), { recursive: true });
  }
  const subpaths = Object.keys(manifest.exports).filter((path) => path !== "./package.json");
  const imports = subpaths.map(
    (path, index) => `import * as m${index} from "${path.replace(/^\./, "keybearer")}";`,
  );
  const modules = `[${subpaths.map((_, index) => `m${index}`).join(", ")}]`;
  writeFileSync(
    join(folder, "subpaths.ts"),
    `${imports.join("\n")}\nfor (const m of ${modules}) if (Object.keys(m).length === 0) throw new Error("empty");\n`,
  );
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type }));
  const compilerOptions = {
    module,
    moduleResolution,
    target: "es2023",
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: name !== "esm", // slow, and once is enough
    lib: ["es2023"],
    types: ["node"],
    outDir: "out",
    noEmit: name === "bundler", // a bundler emits its own code
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  const { stdout: output } = await run(process.execPath, [TSC, "-p", folder, "--pretty", "false"]).catch(
    (error: { stdout: string }) => error,
  );
  const errors = output.split("\n").filter((line) => line !== "" && !FOREIGN_ERROR.test(line));
  if (errors.length > 0)
    throw new Error(`the services or examples do not compile as ${name}:\n${errors.join("\n")}`);
  if (name === "bundler") return console.log(`${name}: compiles`);
  if (readdirSync(join(folder, "out")).length === 0) throw new Error("the compiler emitted no files");
  await run(process.execPath, ["out/subpaths.js"], { cwd: folder });
  const { stdout } = await run(process.execPath, ["out/main.js"], { cwd: folder });
  console.log(`${name}: compiles; every subpath loads; ${stdout.trim()}`);
}

function installed(name: string): string {
  return JSON.parse(readFileSync(join(ROOT, "node_modules", name, "package.json"), "utf8")).version;
}

function npm(args: readonly string[], cwd: string): string {
  return execFileSync("npm", args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
}
