// Packs the package, installs it into an empty project, compiles a small service for each framework in strict mode, and sends
// requests to it, as ES modules, through require() and in Jest. The examples of a custom store and a custom guard are
// compiled too.
//
//   npm run check:consumer
//
// Frameworks have the versions that are installed here, so that npm has them in its cache. As ES modules, skipLibCheck is
// off; errors in the declarations of other packages are ignored.

import { execFile, execFileSync, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import manifest from "../../package.json" with { type: "json" };

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SERVICES = join(ROOT, "test/package/consumer");
const EXAMPLES = ["custom-store", "custom-guard", "example.ts", "serve.ts"]; // and what the guard's main.ts imports
/** Versions that are not installed here: a test runner, and the oldest compiler. */
const TOOLS = ["jest@30.5.2", "typescript54@npm:typescript@5.4.5"];
/** An error in a declaration of another package. */
const FOREIGN_ERROR = /^\S*node_modules\/(?!keybearer\/)\S+: error TS/;
const NEXT_PACKAGES = ["next@16.4.6", "react@19", "react-dom@19", "@types/react@19"];
const NEST_VERSIONS = ["10.4.0", "11.2.8", "12.5.0"];
const OPTIONS = ["--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
const run = promisify(execFile);

const project = mkdtempSync(join(tmpdir(), "keybearer-consumer-"));
try {
  const pack = install();
  const kinds = [
    { name: "esm", type: "module", module: "nodenext", moduleResolution: "nodenext" },
    { name: "cjs", type: "commonjs", module: "nodenext", moduleResolution: "nodenext" },
    { name: "cjs-5.4", type: "commonjs", module: "nodenext", moduleResolution: "nodenext" },
    { name: "bundler", type: "module", module: "esnext", moduleResolution: "bundler" },
  ] as const;
  for (const kind of kinds) await check(kind);
  await checkJest("cjs");
  for (const version of NEST_VERSIONS) await checkNest(version, pack);
  await checkNext(pack);
} finally {
  rmSync(project, { recursive: true, force: true });
}

function install(): string {
  const [pack] = JSON.parse(npm(["pack", "--json", "--ignore-scripts", "--pack-destination", project], ROOT));
  const size = `${(pack.size / 1_000).toFixed(0)} kB, ${(pack.unpackedSize / 1_000).toFixed(0)} kB unpacked`;
  console.log(`${pack.filename}: ${pack.entryCount} files, ${size}`);
  const packages = ["express", "koa", "hono", "fastify", "@types/express", "@types/koa", "@types/node"];
  const nest = ["@nestjs/common", "@nestjs/core", "reflect-metadata", "rxjs"];
  const versions = [...packages, ...nest].map((name) => `${name}@${installed(name)}`);
  writeFileSync(join(project, "package.json"), '{ "private": true }');
  npm(["install", ...OPTIONS, `./${pack.filename}`, ...versions, ...TOOLS], project);
  return join(project, pack.filename);
}

/** Compiles the services, the examples and a module that imports every subpath; runs all but the examples. */
async function check(kind: { name: string; type: string; module: string; moduleResolution: string }) {
  const { name, type, module, moduleResolution } = kind;
  const folder = join(project, name);
  mkdirSync(folder);
  cpSync(SERVICES, folder, { recursive: true, filter: (file) => !file.endsWith("nestjs") });
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
    target: "es2022",
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: name !== "esm" && name !== "cjs-5.4", // slow, and once for each format is enough
    lib: ["es2023"],
    types: ["node"],
    outDir: "out",
    noEmit: name === "bundler", // a bundler emits its own code
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  const tsc = name.endsWith("5.4")
    ? join(project, "node_modules/typescript54/bin/tsc")
    : join(ROOT, "node_modules/typescript/bin/tsc");
  const { stdout: output } = await run(process.execPath, [tsc, "-p", folder, "--pretty", "false"]).catch(
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

/** Jest has its own require(), which cannot load ES modules before Node 24.9. */
async function checkJest(folder: string): Promise<void> {
  const test = `test("every subpath loads", () => void require("./out/subpaths.js"));
test("every framework responds", () => require("./out/main.js").done);`;
  writeFileSync(join(project, folder, "services.test.js"), test);
  const jest = join(project, "node_modules/jest/bin/jest.js");
  const options = ["--rootDir", ".", "--forceExit", "services.test.js"];
  await run(process.execPath, [jest, ...options], { cwd: join(project, folder) }).catch(({ stderr }) => {
    throw new Error(`Jest failed:\n${stderr}`);
  });
  console.log("jest: every subpath loads; every framework responded");
}

/** Compiles a service with decorators for one version of NestJS, and calls it on Express and on Fastify. */
async function checkNest(version: string, pack: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "keybearer-nestjs-"));
  try {
    writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }');
    const packages = ["common", "core", "platform-express", "platform-fastify"];
    const versions = packages.map((name) => `@nestjs/${name}@${version}`);
    const others = ["reflect-metadata@0.2", "rxjs@7", `@types/node@${installed("@types/node")}`];
    npm(["install", ...OPTIONS, pack, ...versions, ...others], folder);
    for (const file of ["nestjs/main.ts", "keys.ts"]) cpSync(join(SERVICES, file), join(folder, file));
    const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
    const flags = ["--strict", "--skipLibCheck", "--experimentalDecorators", "--types", "node"];
    const target = ["--module", "nodenext", "--target", "es2022", "--outDir", "out", "nestjs/main.ts"];
    await run(process.execPath, [tsc, ...flags, ...target], { cwd: folder }).catch(({ stdout }) => {
      throw new Error(`the service does not compile with NestJS ${version}:\n${stdout}`);
    });
    await run(process.execPath, ["out/nestjs/main.js"], { cwd: folder });
    console.log(`NestJS ${version}: compiles; responds on Express and on Fastify`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Builds the example for Next.js with Turbopack, and calls it. */
async function checkNext(pack: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "keybearer-nextjs-"));
  try {
    writeFileSync(join(folder, "package.json"), '{ "private": true }');
    const others = [`typescript@${installed("typescript")}`, `@types/node@${installed("@types/node")}`];
    npm(["install", ...OPTIONS, pack, ...NEXT_PACKAGES, ...others], folder);
    const compilerOptions = { paths: { "@/*": ["./*"] } };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions }));
    const route = join(folder, "app/api/vehicles/[id]/route.ts");
    cpSync(join(ROOT, "examples/platforms/nextjs.ts"), route, { recursive: true });
    cpSync(join(ROOT, "examples/platforms/auth.ts"), join(folder, "auth.ts"));
    const env = { ...process.env, NEXT_TELEMETRY_DISABLED: "1" };
    const next = join(folder, "node_modules/next/dist/bin/next");
    await run(process.execPath, [next, "build", "--turbopack"], { cwd: folder, env }).catch(
      ({ stdout, stderr }) => {
        throw new Error(`Next.js does not build the example:\n${stdout}${stderr}`);
      },
    );
    const server = spawn(process.execPath, [next, "start", "--port", "0"], { cwd: folder, env });
    try {
      let output = "";
      const url = await new Promise<string>((resolve, reject) => {
        server.once("exit", () => reject(new Error(`next start has ended:\n${output}`)));
        server.stdout.on("data", (data) => {
          output += data;
          const [found] = /http:\/\/localhost:\d+/.exec(output) ?? [];
          if (found !== undefined && output.includes("Ready")) resolve(found);
        });
      });
      const response = await fetch(`${url}/api/vehicles/1`);
      const { code } = (await response.json()) as { code: string };
      if (response.status !== 401 || code !== "missing_credential") {
        throw new Error(`Next.js responded with ${response.status} ${code}`);
      }
      console.log("Next.js: builds with Turbopack; responds");
    } finally {
      server.removeAllListeners("exit").kill();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function installed(name: string): string {
  return JSON.parse(readFileSync(join(ROOT, "node_modules", name, "package.json"), "utf8")).version;
}

function npm(args: readonly string[], cwd: string): string {
  return execFileSync("npm", args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
}
