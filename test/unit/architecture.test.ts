import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";

const SRC = fileURLToPath(new URL("../../src", import.meta.url));

/** The rooms of `src`, and the rooms that each may import. Within a room, files import each other freely. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  internal: [],
  "core/errors": ["internal"],
  "core/store-calls": ["core/errors", "internal"],
  "core/keys": ["core/errors", "core/store-calls", "internal"],
  "core/requests": ["core/errors", "internal"],
  "core/events": ["core/keys", "core/errors", "internal"],
  "core/verifier": [
    "core/events",
    "core/keys",
    "core/requests",
    "core/errors",
    "core/store-calls",
    "internal",
  ],
  "core/manager": [
    "core/events",
    "core/keys",
    "core/requests",
    "core/errors",
    "core/store-calls",
    "internal",
  ],
  kit: [
    "core/verifier",
    "core/manager",
    "core/events",
    "core/keys",
    "core/requests",
    "core/errors",
    "core/store-calls",
    "internal",
  ],
  observers: ["kit", "internal"],
  keybearer: ["observers", "kit", "internal"],
  index: ["keybearer", "kit"],
  http: ["kit", "internal"],
  adapters: ["http", "kit", "internal"],
  stores: ["kit", "internal"],
  cache: ["kit", "internal"],
  "rate-limit": ["kit", "internal"],
  testing: ["kit", "internal"],
  jwt: ["http", "kit", "internal"],
  oauth: ["jwt", "http", "kit", "internal"],
  management: ["oauth", "jwt", "http", "kit", "internal"],
  dashboard: ["management", "http", "kit", "internal"],
  gateway: ["oauth", "http", "kit", "internal"],
  webhooks: ["kit", "internal"],
  leaks: ["http", "kit", "internal"],
  cli: [
    "gateway",
    "leaks",
    "dashboard",
    "management",
    "oauth",
    "jwt",
    "stores",
    "cache",
    "rate-limit",
    "observers",
    "adapters",
    "http",
    "kit",
    "internal",
  ],
};

/** Third-party modules, and the only rooms that may import them. */
const HOMES: readonly (readonly [RegExp, readonly string[]])[] = [
  [/^ipaddr\.js$/, ["core/requests"]],
  [/^jose(\/|$)/, ["jwt", "oauth", "gateway"]],
  [/^urlpattern-polyfill(\/|$)/, ["gateway"]],
  [/^zod(\/|$)/, ["management", "cli"]],
  [/^rate-limiter-flexible(\/|$)/, ["rate-limit"]],
  [/^(kysely|better-sqlite3|libsql|pg|mysql2|redis|ioredis|node:sqlite)(\/|$)/, ["stores", "cli"]],
  [/^(express|koa|hono|fastify|@nestjs|@remix-run\/node-fetch-server)(\/|$)/, ["adapters"]],
  [/^(preact|esbuild)(\/|$)/, ["dashboard"]],
  [/^lru-cache$/, ["rate-limit", "jwt"]],
  [/^(commander|cli-table3|cli-progress)(\/|$)/, ["cli"]],
  [/^(vitest|node:test|mocha|jest)(\/|$)/, []],
];

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

/** `core/keys/record.ts` is in `core/keys`, `core/errors.ts` in `core/errors`, `kit.ts` in `kit`. */
const roomOf = (file: string) => {
  const [first = "", second = ""] = file.split("/");
  const room = first === "core" ? `core/${second}` : first;
  return room.replace(/\.ts$/, "");
};
const isRelative = ({ specifier }: Import) => specifier.startsWith(".");
const targetOf = ({ from, specifier }: Import) =>
  relative(SRC, join(SRC, dirname(from), specifier))
    .replaceAll("\\", "/")
    .replace(/\.js$/, ".ts");
const describeImports = (list: readonly Import[]) =>
  list.map(({ from, specifier }) => `${from} imports ${specifier}`);
const internalImports = imports.filter(isRelative);

/** The first chain of imports that leads from a file back to itself; types count. */
function findCircle(): readonly string[] | undefined {
  const edges = new Map<string, string[]>(files.map((file) => [file, []]));
  for (const one of internalImports) edges.get(one.from)?.push(targetOf(one));
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): readonly string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const next of edges.get(file) ?? []) {
      const circle = visit(next, [...path, file]);
      if (circle !== undefined) return circle;
    }
    done.add(file);
    return undefined;
  };
  for (const file of files) {
    const circle = visit(file, []);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

describe("architecture", () => {
  it("finds the import lines", () => {
    expect(files).toContain("core/verifier/verifier.ts");
    expect(imports.length).toBeGreaterThan(files.length);
    expect(describeImports(imports)).toContain("core/requests/cidr.ts imports ipaddr.js");
    expect(describeImports(imports)).toContain("kit.ts imports ./core/verifier/verifier.js");
    expect(describeImports(imports)).toContain("observers/last-used.ts imports ../kit.js");
    const lines = files.flatMap(
      (file) => textOf(file).match(/^(?:import|export|\}).* from "[^"]+";$/gm) ?? [],
    );
    expect(imports.length).toBeGreaterThanOrEqual(lines.length);
  });

  it("resolves every relative import to a file", () => {
    const sources = new Set(files);
    expect(describeImports(internalImports.filter((one) => !sources.has(targetOf(one))))).toEqual([]);
  });

  it("knows every room", () => {
    const unknown = new Set(files.map(roomOf).filter((room) => !Object.hasOwn(MAY_IMPORT, room)));
    expect([...unknown]).toEqual([]);
  });

  it("imports downwards only", () => {
    const upwards = internalImports.filter((one) => {
      const [from, to] = [roomOf(one.from), roomOf(targetOf(one))];
      return from !== to && !MAY_IMPORT[from]?.includes(to);
    });
    expect(describeImports(upwards)).toEqual([]);
  });

  it("has no circles, type imports included", () => {
    expect(findCircle()).toBeUndefined();
  });

  it("reaches core through kit.ts only", () => {
    const around = internalImports.filter(
      (one) => !one.from.startsWith("core/") && one.from !== "kit.ts" && targetOf(one).startsWith("core/"),
    );
    expect(describeImports(around)).toEqual([]);
  });

  it("does not export internal/ from the package, except the types Awaitable and Duration", () => {
    const exported = textOf("kit.ts").match(/^export .* from "\.\/internal\/[^"]+";$/gm) ?? [];
    expect(exported.sort()).toEqual([
      'export type { Awaitable } from "./internal/awaitable.js";',
      'export type { Duration } from "./internal/duration.js";',
    ]);
    const manifest = JSON.parse(readFileSync(join(SRC, "../package.json"), "utf8"));
    expect(Object.keys(manifest.exports).filter((name) => /internal|core/.test(name))).toEqual([]);
  });

  it("uses node:crypto and ipaddr.js in core, and no other module", () => {
    const foreign = imports.filter(
      (one) =>
        /^(core|internal)\//.test(one.from) &&
        !isRelative(one) &&
        !["ipaddr.js", "node:crypto"].includes(one.specifier),
    );
    expect(describeImports(foreign)).toEqual([]);
  });

  it("keeps third-party modules in their rooms", () => {
    const strays = imports.filter((one) =>
      HOMES.some(([pattern, rooms]) => pattern.test(one.specifier) && !rooms.includes(roomOf(one.from))),
    );
    expect(describeImports(strays)).toEqual([]);
  });

  it("never imports the package by its own name", () => {
    expect(describeImports(imports.filter(({ specifier }) => /^keybearer(\/|$)/.test(specifier)))).toEqual(
      [],
    );
  });

  it("has no folders for leftovers", () => {
    expect(files.filter((file) => /(^|\/)(utils?|helpers?|types|common|lib|misc)\//.test(file))).toEqual([]);
  });

  it("keeps adapters thin and other files short", () => {
    const tooLong = files
      .map((file) => [file, textOf(file).split("\n").length] as const)
      .filter(([file, lines]) => lines > (roomOf(file) === "adapters" ? 110 : 300));
    expect(tooLong).toEqual([]);
  });
});
