import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, normalize } from "node:path";
import { describe, expect, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import tsup from "../../tsup.config.js";
import typedoc from "../../typedoc.json" with { type: "json" };
import { markdownFiles, root } from "./markdown.js";

const entries = Object.entries(manifest.exports).filter(([path]) => path !== "./package.json") as [
  string,
  { types: string; default: string },
][];

/** Every module that importing a built file loads, itself included: files of ours, and names of others. */
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

function othersLoadedBy(file: string): string[] {
  return [...loadedBy(file)].filter((name) => !name.startsWith("dist/") && !name.startsWith("node:")).sort();
}

describe("exports", () => {
  test("agree with what is built", () => {
    const built = Object.keys((tsup as { entry: Record<string, string> }).entry).sort();
    const exported = entries.map(([, target]) => target.default.replace(/^\.\/dist\/|\.js$/g, ""));
    const commands = Object.values(manifest.bin).map((file) => file.replace(/^dist\/|\.js$/g, ""));
    expect([...exported, ...commands].sort()).toEqual(built);
    for (const [, target] of entries) expect(target.types).toBe(target.default.replace(/\.js$/, ".d.ts"));
  });

  test("are what the API reference is made of", () => {
    const sources = Object.values((tsup as { entry: Record<string, string> }).entry)
      .filter((file) => !file.startsWith("src/cli/")) // a command has no API
      .sort();
    expect([...typedoc.entryPoints].sort()).toEqual(sources);
  });

  test("are what README and docs name: all of it, and nothing else", () => {
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

  test.each(entries)("%s loads with import and with require", (path) => {
    const name = path.replace(/^\./, "keybearer");
    const script = `import(${JSON.stringify(name)}).then((m) => console.log(Object.keys(m).length > 0))`;
    const required = `console.log(Object.keys(require(${JSON.stringify(name)})).length > 0)`;
    for (const code of [script, required]) {
      expect(execFileSync(process.execPath, ["-e", code], { cwd: root, encoding: "utf8" }).trim()).toBe(
        "true",
      );
    }
  });
});

describe("weight", () => {
  test("the main entry loads ipaddr.js and nothing else", () => {
    expect(othersLoadedBy("dist/index.js")).toEqual(["ipaddr.js"]);
  });

  test.each(["memory", "sqlite"])("the %s store loads no driver", (name) => {
    const allowed = ["ipaddr.js", "kysely"];
    expect(othersLoadedBy(`dist/stores/${name}.js`).filter((other) => !allowed.includes(other))).toEqual([]);
  });

  test.each(["express", "koa", "hono", "fastify", "fetch", "node"])(
    "the %s guard loads no framework",
    (name) => {
      const allowed = ["ipaddr.js", "@remix-run/node-fetch-server"];
      expect(othersLoadedBy(`dist/adapters/${name}.js`).filter((other) => !allowed.includes(other))).toEqual(
        [],
      );
    },
  );

  test("rate limits load nothing of rate-limiter-flexible, which the host brings", () => {
    expect(othersLoadedBy("dist/rate-limit/index.js")).toEqual(["ipaddr.js", "lru-cache"]);
  });

  test("observers load nothing of OpenTelemetry, which the host brings", () => {
    expect(othersLoadedBy("dist/observers/index.js")).toEqual(["ipaddr.js", "lru-cache"]);
  });

  test("jose and zod are loaded by nothing that does not need them", () => {
    for (const [path, target] of entries) {
      const others = othersLoadedBy(target.default.slice(2));
      expect(others.includes("jose"), path).toBe(path === "./jwt");
      expect(others.includes("zod"), path).toBe(path === "./management");
    }
  });

  test("what the command line needs is loaded by nothing else, and drivers by nobody", () => {
    const own = ["cli-table3", "commander"];
    const others = othersLoadedBy(manifest.bin.keybearer);
    expect(others.filter((name) => own.includes(name))).toEqual(own);
    const drivers = Object.keys(manifest.peerDependencies);
    expect(others.filter((name) => [...drivers, "kysely", "jose"].includes(name))).toEqual([]);
    for (const [path, target] of entries) {
      const loaded = othersLoadedBy(target.default.slice(2));
      expect(
        loaded.filter((name) => [...own, "cli-progress"].includes(name)),
        path,
      ).toEqual([]);
    }
  });
});

test("what is published holds no test, example or source", () => {
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
  // Besides the entries, only what they share, and their source maps.
  const wanted = [
    ...entries.flatMap(([, target]) => [target.types, target.default]).map((name) => name.slice(2)),
    ...Object.values(manifest.bin).flatMap((file) => [file, file.replace(/\.js$/, ".d.ts")]),
  ];
  const stray = names.filter((name) => name.startsWith("dist/") && !name.endsWith(".map"));
  expect(
    stray.filter((name) => !wanted.includes(name) && !/^dist\/[\w-]+-[\w-]{8}\.(d\.ts|js)$/.test(name)),
  ).toEqual([]);
  expect(names).toEqual(expect.arrayContaining([...wanted, "LICENSE", "README.md", "package.json"]));
});
