// The package as a stranger gets it: packed, installed into an empty project outside this one, compiled strictly with
// a small service in each framework, and asked, as ES modules and through require().
//
//   npm run check:consumer
//
// One project has every framework, in the versions that are installed here, so that npm has them in its cache; the
// compiler is the one that is installed here. As ES modules, `skipLibCheck` is off, and what others'
// declarations have against each other is passed over: ours have to compile where they are.

import { execFile, execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import manifest from "../../package.json" with { type: "json" };

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SERVICES = join(ROOT, "test/package/consumer");
const TSC = join(ROOT, "node_modules/typescript/bin/tsc");
/** A line about a declaration of another package. */
const OF_OTHERS = /^\S*node_modules\/(?!keybearer\/)\S+: error TS/;
const run = promisify(execFile);

const project = mkdtempSync(join(tmpdir(), "keybearer-consumer-"));
try {
  install();
  // As ES modules, as CommonJS, and for a bundler, which emits itself.
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
  const others = ["express", "koa", "hono", "fastify", "@types/express", "@types/koa", "@types/node"];
  const versions = others.map((name) => `${name}@${installed(name)}`);
  writeFileSync(join(project, "package.json"), '{ "private": true }');
  const quietly = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  npm(["install", "--prefer-offline", ...quietly, `./${pack.filename}`, ...versions], project);
}

/** Compiles the services and a module that imports every subpath; then runs them, unless a bundler would. */
async function check(kind: { name: string; type: string; module: string; moduleResolution: string }) {
  const { name, type, module, moduleResolution } = kind;
  const folder = join(project, name);
  mkdirSync(folder);
  cpSync(SERVICES, folder, { recursive: true });
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
    skipLibCheck: name !== "esm", // once is enough: it takes most of the time
    lib: ["es2023"],
    types: ["node"],
    outDir: "out",
    noEmit: name === "bundler",
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  const { stdout: found } = await run(process.execPath, [TSC, "-p", folder, "--pretty", "false"]).catch(
    (error: { stdout: string }) => error,
  );
  const errors = found.split("\n").filter((line) => line !== "" && !OF_OTHERS.test(line));
  if (errors.length > 0) throw new Error(`As ${name}, the services do not compile:\n${errors.join("\n")}`);
  if (name === "bundler") return console.log(`${name}: compiles`);
  if (readdirSync(join(folder, "out")).length === 0) throw new Error("nothing was compiled");
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
