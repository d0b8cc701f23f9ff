// Adds to the build: each ES module as CommonJS, its declarations, the licenses of all libraries in the build, and the Lua file for
// HAProxy.
//
// Node loads the ES modules with require() too, through the condition "module-sync", so that a process has one copy of
// each. The CommonJS files are for tools that cannot load ES modules with require(), such as Jest on Node 20 and 22, and
// for compilers that reject it, such as TypeScript 5.4.

import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { build } from "esbuild";

const DIST = resolve("dist");
const METAFILE = join(DIST, "metafile-esm.json");

/** Dependencies that are ES modules only. The CommonJS files contain them. */
const BUNDLED = { jose: "bundled/jose", "@remix-run/node-fetch-server": "bundled/node-fetch-server" };

const files = readdirSync(DIST, { recursive: true, encoding: "utf8" }).map((file) => join(DIST, file));
const { outputs } = JSON.parse(readFileSync(METAFILE, "utf8"));

/** Returns every file of the build that the entries import, except the command line. */
function libraryModules() {
  const seen = new Set();
  const visit = (file) => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const { path, external } of outputs[file].imports) if (!external) visit(path);
  };
  for (const [file, { entryPoint }] of Object.entries(outputs))
    if (entryPoint?.startsWith("src/") && !entryPoint.startsWith("src/cli/")) visit(file);
  return [...seen].map((file) => resolve(file));
}

async function writeCommonJs() {
  const modules = libraryModules().map((file) => [relative(DIST, file).replace(/\.js$/, ""), file]);
  const bundled = Object.entries(BUNDLED).map(([name, file]) => [file, name]);
  const { metafile } = await build({
    entryPoints: Object.fromEntries([...modules, ...bundled]),
    outdir: DIST,
    outExtension: { ".js": ".cjs" },
    format: "cjs",
    platform: "node",
    target: "node20",
    bundle: true,
    minify: true,
    keepNames: true,
    logLevel: "warning",
    metafile: true,
    plugins: [{ name: "imports", setup: ({ onResolve }) => onResolve({ filter: /.*/ }, resolveImport) }],
  });
  return metafile;
}

/** Imports of the build stay imports. Those of the bundled dependencies are resolved by esbuild. */
function resolveImport({ kind, path, importer }) {
  if (kind === "entry-point" || !importer.startsWith(DIST)) return undefined;
  const local = BUNDLED[path];
  if (local !== undefined) {
    const from = relative(dirname(importer), join(DIST, `${local}.cjs`)).replaceAll("\\", "/");
    return { path: from.startsWith(".") ? from : `./${from}`, external: true };
  }
  return { path: path.startsWith(".") ? path.replace(/\.js$/, ".cjs") : path, external: true };
}

function writeDeclarations() {
  for (const file of files.filter((file) => file.endsWith(".d.ts") && !file.startsWith(join(DIST, "cli/")))) {
    const text = readFileSync(file, "utf8")
      .replace(/((?:from|import) '\.[^']*)\.js';/g, "$1.cjs';")
      .replace(/^import (\{[^}]*\} from 'jose');/gm, "import type $1 with { 'resolution-mode': 'import' };");
    writeFileSync(file.replace(/\.d\.ts$/, ".d.cts"), text);
  }
}

function writeNotices(inputs) {
  const folders = inputs
    .map((path) => /.*node_modules\/(?:@[^/]+\/)?[^/]+\//.exec(path)?.[0])
    .filter(Boolean);
  const notices = [...new Set(folders)].sort().map((folder) => {
    const { name, version } = JSON.parse(readFileSync(`${folder}package.json`, "utf8"));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    if (file === undefined) throw new Error(`${name} has no license file`);
    return `${name} ${version}\n\n${readFileSync(`${folder}${file}`, "utf8").trim()}\n`;
  });
  writeFileSync(join(DIST, "THIRD-PARTY-NOTICES.txt"), notices.join(`\n${"-".repeat(80)}\n\n`));
}

const { inputs: commonJs } = await writeCommonJs();
writeDeclarations();
// The client of the key page is a string in the build, so no metafile has its libraries.
const CLIENT = ["node_modules/preact/"];
writeNotices([
  ...CLIENT,
  ...Object.keys(JSON.parse(readFileSync(METAFILE, "utf8")).inputs),
  ...Object.keys(commonJs),
]);
rmSync(METAFILE);

// HAProxy loads it from the package.
copyFileSync("src/gateway/keybearer.lua", join(DIST, "gateway/keybearer.lua"));
