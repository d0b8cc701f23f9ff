import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, test } from "vitest";

const SRC = fileURLToPath(new URL("../../src", import.meta.url));

/** What each layer may import of the others; files at the top of src/ are the layer "index". */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  index: ["core"],
  stores: ["index"],
  http: ["index"],
  adapters: ["index", "http"],
  observers: ["index"],
  testing: ["index"],
  "rate-limit": ["index"],
  jwt: ["index", "http"],
  management: ["index", "http", "jwt"],
  cli: ["index", "jwt", "management", "stores"],
};

interface Import {
  readonly from: string;
  readonly specifier: string;
}

const files = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.replaceAll("\\", "/"));

const textOf = (file: string) => readFileSync(join(SRC, file), "utf8");

/** Imports, re-exports, dynamic imports and import types, as the compiler sees them. */
const imports: readonly Import[] = files.flatMap((from) =>
  ts
    .preProcessFile(textOf(from), true, true)
    .importedFiles.map(({ fileName }) => ({ from, specifier: fileName })),
);

const layerOf = (file: string) => (file.includes("/") ? (file.split("/")[0] as string) : "index");
const isRelative = ({ specifier }: Import) => specifier.startsWith(".");
const targetOf = ({ from, specifier }: Import) =>
  relative(SRC, join(SRC, dirname(from), specifier)).replaceAll("\\", "/");
const told = (list: readonly Import[]) => list.map(({ from, specifier }) => `${from} imports ${specifier}`);

describe("architecture", () => {
  test("the import lines are found", () => {
    expect(files).toContain("core/verifier.ts");
    expect(imports.length).toBeGreaterThan(files.length);
    expect(told(imports)).toContain("core/cidr.ts imports ipaddr.js");
    expect(told(imports)).toContain("core/verifier-options.ts imports ./lookup.js");
    expect(told(imports)).toContain("observers/last-used.ts imports ../index.js");
    expect(told(imports)).toContain("index.ts imports ./core/verifier.js");
    const lines = files.flatMap(
      (file) => textOf(file).match(/^(?:import|export|\}).* from "[^"]+";$/gm) ?? [],
    );
    expect(imports.length).toBeGreaterThanOrEqual(lines.length);
  });

  test("every relative import names a file that is there", () => {
    const sources = new Set(files.map((file) => file.replace(/\.ts$/, ".js")));
    expect(told(imports.filter((one) => isRelative(one) && !sources.has(targetOf(one))))).toEqual([]);
  });

  test("every layer is a known one", () => {
    const unknown = new Set(files.map(layerOf).filter((layer) => !Object.hasOwn(MAY_IMPORT, layer)));
    expect([...unknown]).toEqual([]);
  });

  test("core imports itself, ipaddr.js and node:crypto", () => {
    const foreign = imports.filter((one) => {
      if (layerOf(one.from) !== "core") return false;
      if (isRelative(one)) return !targetOf(one).startsWith("core/");
      return one.specifier !== "ipaddr.js" && one.specifier !== "node:crypto";
    });
    expect(told(foreign)).toEqual([]);
  });

  test("index.ts is the only door to core", () => {
    const around = imports.filter(
      (one) =>
        layerOf(one.from) !== "core" &&
        one.from !== "index.ts" &&
        isRelative(one) &&
        targetOf(one).startsWith("core/"),
    );
    expect(told(around)).toEqual([]);
  });

  test("layers import downwards only, and siblings not at all", () => {
    const upwards = imports.filter((one) => {
      if (!isRelative(one)) return false;
      const [from, to] = [layerOf(one.from), layerOf(targetOf(one))];
      return from !== to && !MAY_IMPORT[from]?.includes(to);
    });
    expect(told(upwards)).toEqual([]);
  });

  test("nobody imports the package by its own name", () => {
    expect(told(imports.filter(({ specifier }) => /^keybearer(\/|$)/.test(specifier)))).toEqual([]);
  });

  test("jose stays in jwt, zod in management, counting in rate-limit, Kysely and database clients in stores, frameworks in adapters, the terminal in cli", () => {
    const homes: Readonly<Record<string, RegExp>> = {
      jwt: /^jose(\/|$)/,
      management: /^zod(\/|$)/,
      "rate-limit": /^rate-limiter-flexible(\/|$)/,
      stores: /^(kysely|better-sqlite3|libsql|pg|mysql2|redis|ioredis|node:sqlite)(\/|$)/,
      adapters: /^(express|koa|hono|fastify|@remix-run\/node-fetch-server)(\/|$)/,
      cli: /^(commander|cli-table3|cli-progress)(\/|$)/,
      testing: /^(vitest|node:test|mocha|jest)(\/|$)/,
    };
    const strays = imports.filter((one) =>
      Object.entries(homes).some(
        ([home, pattern]) =>
          pattern.test(one.specifier) && (home === "testing" || ![home, "cli"].includes(layerOf(one.from))),
      ),
    );
    expect(told(strays)).toEqual([]);
  });

  test("there are no folders for leftovers", () => {
    expect(files.filter((file) => /(^|\/)(utils?|helpers?|types|common|lib|misc)\//.test(file))).toEqual([]);
  });

  test("adapters are thin, and other files are short", () => {
    const lengths = files.map((file) => [file, textOf(file).split("\n").length] as const);
    const most = (file: string) => (layerOf(file) === "adapters" ? 110 : 400);
    expect(lengths.filter(([file, length]) => length > most(file))).toEqual([]);
  });
});
