import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, normalize } from "node:path";
import { describe, expect, it } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import tsup from "../../tsup.config.js";
import typedoc from "../../typedoc.json" with { type: "json" };
import { markdownFiles, root } from "./markdown.js";

const entries = Object.entries(manifest.exports).filter(([path]) => path !== "./package.json") as [
  string,
  Readonly<Record<"module-sync" | "module" | "require" | "default", string>>,
][];

/** Returns every module that a built file loads: our files including itself, and the names of packages. */
function loadedBy(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  const code = readFileSync(join(root, file), "utf8");
  for (const [, name = ""] of code.matchAll(/^(?:import|export)\b[^;"']*["']([^"']+)["']/gm)) {
    if (name.startsWith(".")) loadedBy(normalize(join(file, "..", name)), seen);
    else seen.add(name);
  }
  return seen;
}

function packagesLoadedBy(file: string): string[] {
  return [...loadedBy(file)].filter((name) => !name.startsWith("dist/") && !name.startsWith("node:")).sort();
}

/** Libraries in the build, each by a text that only its code has. */
const BUNDLED = {
  kysely: "DummyDriver = class",
  "lru-cache": '= "LRUCache"',
  commander: "CommanderError2 = class",
};

function bundledIn(file: string): string[] {
  const texts = [...loadedBy(file)]
    .filter((name) => name.startsWith("dist/"))
    .map((name) => readFileSync(join(root, name), "utf8"));
  return Object.entries(BUNDLED)
    .filter(([, mark]) => texts.some((text) => text.includes(mark)))
    .map(([name]) => name);
}

describe("exports", () => {
  it("match the built files", () => {
    const built = Object.keys((tsup as { entry: Record<string, string> }).entry).sort();
    const exported = entries.map(([, target]) => target.default.replace(/^\.\/dist\/|\.js$/g, ""));
    const commands = Object.values(manifest.bin).map((file) => file.replace(/^dist\/|\.js$/g, ""));
    expect([...exported, ...commands].sort()).toEqual(built);
    for (const [, { default: file, ...conditions }] of entries) {
      expect(conditions).toEqual({
        "module-sync": file,
        module: file,
        require: file.replace(/\.js$/, ".cjs"),
      });
    }
  });

  it("match the entry points of the API reference", () => {
    const sources = Object.values((tsup as { entry: Record<string, string> }).entry)
      .filter((file) => !file.startsWith("src/cli/")) // the command line has no API
      .sort();
    expect([...typedoc.entryPoints].sort()).toEqual(sources);
  });

  it("are all in the documentation, which names no others", () => {
    const named = new Set<string>();
    const known = new Set(entries.map(([path]) => path.replace(/^\./, "keybearer")));
    for (const file of markdownFiles()) {
      for (const [, name = ""] of readFileSync(join(root, file), "utf8").matchAll(
        /(?:from "|import\("|require\("|`)(keybearer(?:\/[\w-]+)*)["`]/g,
      )) {
        expect(known, `${file} names ${name}`).toContain(name);
        named.add(name);
      }
    }
    expect([...named].sort()).toEqual([...known].sort());
  });

  it.each(entries)("%s loads with import and with require", (path) => {
    const name = path.replace(/^\./, "keybearer");
    const script = `import(${JSON.stringify(name)}).then((m) => console.log(Object.keys(m).length > 0))`;
    const required = `console.log(Object.keys(require(${JSON.stringify(name)})).length > 0)`;
    for (const code of [script, required]) {
      expect(execFileSync(process.execPath, ["-e", code], { cwd: root, encoding: "utf8" }).trim()).toBe(
        "true",
      );
    }
  });

  it("are one module for import and require", async () => {
    const script = `import("keybearer").then((m) => console.log(m.StoreError === require("keybearer/kit").StoreError))`;
    expect(execFileSync(process.execPath, ["-e", script], { cwd: root, encoding: "utf8" })).toBe("true\n");
  });

  it("are complete in CommonJS too, without ES modules, and share their errors", () => {
    const requireBuilt = createRequire(import.meta.url);
    const load = (file: string) => requireBuilt(join(root, file)) as Readonly<Record<string, unknown>>;
    for (const [path, target] of entries) {
      const script = `import("./${target.default}").then((m) => console.log(Object.keys(m).sort().join()))`;
      const names = execFileSync(process.execPath, ["-e", script], { cwd: root, encoding: "utf8" }).trim();
      expect(Object.keys(load(target.require)).sort().join(), path).toBe(names);
    }
    expect(load("dist/kit.cjs").StoreError).toBe(load("dist/index.cjs").StoreError);
    const files = readdirSync(join(root, "dist"), { recursive: true, encoding: "utf8" });
    const required = files
      .filter((file) => file.endsWith(".cjs"))
      .flatMap((file) => [
        ...readFileSync(join(root, "dist", file), "utf8").matchAll(/\brequire\("([^"]+)"\)/g),
      ])
      .map(([, name = ""]) => name)
      .filter((name) => !name.startsWith("node:") && !name.endsWith(".cjs"));
    expect([...new Set(required)].sort()).toEqual(["@nestjs/common", "@nestjs/core", "ipaddr.js", "zod"]);
  });
});

describe("loaded packages", () => {
  it.each(["index", "kit"])("%s loads ipaddr.js only", (name) => {
    expect(packagesLoadedBy(`dist/${name}.js`)).toEqual(["ipaddr.js"]);
  });

  it.each(["memory", "sqlite"])("the %s store loads no driver", (name) => {
    expect(packagesLoadedBy(`dist/stores/${name}.js`)).toEqual(["ipaddr.js"]);
  });

  it.each(["express", "koa", "hono", "fastify", "fetch", "node"])(
    "the %s guard loads no framework",
    (name) => {
      const allowed = ["ipaddr.js", "@remix-run/node-fetch-server"];
      expect(
        packagesLoadedBy(`dist/adapters/${name}.js`).filter((other) => !allowed.includes(other)),
      ).toEqual([]);
    },
  );

  it("the nestjs guard loads NestJS, and neither Express nor Fastify", () => {
    expect(packagesLoadedBy("dist/adapters/nestjs.js")).toEqual([
      "@nestjs/common",
      "@nestjs/core",
      "ipaddr.js",
    ]);
  });

  it("rate limits do not load rate-limiter-flexible", () => {
    expect(packagesLoadedBy("dist/rate-limit/index.js")).toEqual(["ipaddr.js"]);
  });

  it("observers do not load OpenTelemetry", () => {
    expect(packagesLoadedBy("dist/observers/index.js")).toEqual(["ipaddr.js"]);
  });

  it("only jwt and oauth load jose, and only management and the dashboard load zod", () => {
    for (const [path, target] of entries) {
      const others = packagesLoadedBy(target.default.slice(2));
      expect(others.includes("jose"), path).toBe(path === "./jwt" || path === "./oauth");
      expect(others.includes("zod"), path).toBe(path === "./management" || path === "./dashboard");
    }
  });

  it("only entries that need a library in the build load it", () => {
    const using = (name: string) =>
      entries.filter(([, target]) => bundledIn(target.default.slice(2)).includes(name)).map(([path]) => path);
    expect(using("kysely")).toEqual(["./stores/sqlite", "./stores/postgres", "./stores/mysql"]);
    expect(using("lru-cache")).toEqual(["./rate-limit"]);
    expect(using("commander")).toEqual([]);
    expect(bundledIn(manifest.bin.keybearer)).toContain("commander");
  });

  it("the command line loads no driver at start-up", () => {
    const others = packagesLoadedBy(manifest.bin.keybearer);
    const unexpected = [...Object.keys(manifest.peerDependencies), "jose"];
    expect(others.filter((name) => unexpected.includes(name))).toEqual([]);
    expect(bundledIn(manifest.bin.keybearer)).not.toContain("kysely");
  });

  it("the build has the license of every library in it", () => {
    const notices = readFileSync(join(root, "dist/THIRD-PARTY-NOTICES.txt"), "utf8");
    for (const name of [...Object.keys(BUNDLED), "cli-table3", "cli-progress", "jose"]) {
      expect(notices).toMatch(new RegExp(`^${name} \\d`, "m"));
    }
    expect(notices.match(/Permission (?:is hereby granted|to use)/g)?.length).toBeGreaterThan(9);
  });
});

it("the published package contains no tests, examples or sources", () => {
  const [pack] = JSON.parse(
    execFileSync("npm", ["pack", "--dry-run", "--json"], { cwd: root, encoding: "utf8" }),
  );
  const names = (pack.files as { path: string }[]).map(({ path }) => path);
  expect(
    names.filter(
      (name) =>
        !/^(dist|docs)\/|^(package\.json|README\.md|LICENSE|CHANGELOG\.md|CONTRIBUTING\.md|SECURITY\.md)$/.test(
          name,
        ),
    ),
  ).toEqual([]);
  // The entries, their shared chunks, ES modules that CommonJS cannot load, the Lua file of HAProxy, and the licenses.
  const expected = [
    "dist/THIRD-PARTY-NOTICES.txt",
    "dist/gateway/keybearer.lua",
    "dist/bundled/jose.cjs",
    "dist/bundled/node-fetch-server.cjs",
    ...entries
      .map(([, target]) => target.default.slice(2, -".js".length))
      .flatMap((name) => [`${name}.js`, `${name}.cjs`, `${name}.d.ts`, `${name}.d.cts`]),
    ...Object.values(manifest.bin).flatMap((file) => [file, file.replace(/\.js$/, ".d.ts")]),
  ];
  const stray = names.filter((name) => name.startsWith("dist/"));
  expect(
    stray.filter((name) => !expected.includes(name) && !/^dist\/[\w-]+-[\w-]{8}\.(d\.c?ts|c?js)$/.test(name)),
  ).toEqual([]);
  expect(names).toEqual(expect.arrayContaining([...expected, "LICENSE", "README.md", "package.json"]));
});
