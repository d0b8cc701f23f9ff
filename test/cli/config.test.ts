import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { readConfig } from "../../src/cli/config.js";
import { CommandError } from "../../src/cli/errors.js";
import { resolveStoreUrl } from "../../src/cli/store-url.js";
import { hashSecret } from "../../src/index.js";
import { memoryStore } from "../../src/stores/memory.js";
import { redisBackends } from "../contract/stores/backends/redis.js";
import { CONFIG, done, freshName, freshPlace, json, run } from "./command.js";

const root = new URL("../..", import.meta.url).pathname;

// As long as a pepper, and a valid name of a variable.
const HUNTER = "hunter2_hunter2_hunter2_hunter2";

it.each<[string, unknown, RegExp]>([
  ["an unknown member", { ...CONFIG, peper: "x" }, /^keys.json: unknown member "peper"$/],
  ["no scopes", { prefix: "ezt" }, /"scopes"/],
  ["a scope that implies nothing", { scopes: { a: { implies: ["b"] } } }, /scope "a" implies "b"/],
  [
    "a pepper instead of its variable",
    { ...CONFIG, pepper: "hunter2-hunter2-hunter2" },
    /"pepper" must name environment variables/,
  ],
  [
    "a pepper in a member",
    { ...CONFIG, pepper: { variable: "hunter2-hunter2" } },
    /"pepper.variable" must be the name/,
  ],
  [
    "a pepper that is not set",
    { ...CONFIG, pepper: { variable: "NOT_SET" } },
    /variable NOT_SET in "pepper" is not set/,
  ],
  [
    "a pepper as the name of a variable",
    { ...CONFIG, pepper: { variable: `pasted_${HUNTER}` } },
    /the environment variable "pasted_hunte…" in "pepper" is not set/,
  ],
  [
    "a pepper as the name of one of several variables",
    { ...CONFIG, pepper: { current: "v1", variables: { v1: `pasted_${HUNTER}` } } },
    /the environment variable "pasted_hunte…" in "pepper" is not set/,
  ],
  [
    "a pepper as a member",
    { ...CONFIG, pepper: { [`pasted_${HUNTER}`]: "v1" } },
    /"pepper" has an unknown member "pasted_hunte…"/,
  ],
  [
    "a pepper as a version",
    { ...CONFIG, pepper: { current: "v1", variables: { v1: "A", [`pasted_${HUNTER}`]: 1 } } },
    /"pepper.variables.pasted_hunte…" /,
  ],
  ["a secret as a member", { ...CONFIG, [`pasted_${HUNTER}`]: "x" }, /unknown member "pasted_hunte…"/],
  [
    "no current pepper",
    { ...CONFIG, pepper: { current: "v2", variables: { v1: "A" } } },
    /where "variables" has the current version/,
  ],
  ["an unknown environment", { ...CONFIG, environment: "prod" }, /"environment" must be one of/],
  ["an invalid prefix", { ...CONFIG, prefix: "a b" }, /prefix/],
  ["an invalid lifetime", { ...CONFIG, maxLifetime: "1y" }, /"maxLifetime"/],
])("rejects a configuration with %s, without its value", (_, config, problem) => {
  const attempt = () => readConfig("keys.json", config, {}).manager(memoryStore());
  expect(attempt).toThrow(CommandError);
  expect(attempt).toThrow(problem);
  expect(attempt).not.toThrow(/hunter2/);
});

it.each<[string | undefined, RegExp]>([
  [undefined, /Set KEYBEARER_URL or DATABASE_URL/],
  ["mongodb://user:hunter2@host/x", /^--url is not a store URL; expected postgres/],
  ["hunter2", /^--url is not a store URL/],
  ["sqlite::memory:", /must contain a file/],
  ["file:keys.db?key=hunter2", /must not have options/],
  ["sqlite://hunter2.db", /^--url must contain a file/],
])("rejects an invalid store URL without its value: %s", (url, problem) => {
  const attempt = () => resolveStoreUrl(url, ["KEYBEARER_URL", "DATABASE_URL"], { KEYBEARER_URL: "" });
  expect(attempt).toThrow(problem);
  expect(attempt).not.toThrow(/hunter2/);
});

it.each([
  ["postgres://u:hunter2@db/x", "postgres", "PostgreSQL at db:5432"],
  ["postgresql://db:1/x", "postgres", "PostgreSQL at db:1"],
  ["mysql://u:hunter2@db/x", "mysql", "MySQL at db:3306"],
  ["mariadb://u:hunter2@db/x", "mysql", "MariaDB at db:3306"],
  ["redis://:hunter2@db", "redis", "Redis at db:6379"],
  ["rediss://db", "redis", "Redis at db:6379"],
  ["sqlite:///var/keys.db", "sqlite", "SQLite file /var/keys.db"],
  ["file:./keys.db", "sqlite", "SQLite file ./keys.db"],
])("resolves %s to %s", (url, kind, label) => {
  expect(resolveStoreUrl(undefined, ["A", "B", "C"], { B: url, C: "x" })).toMatchObject({ kind, label });
});

it("requires exactly one configuration file of valid JSON", async () => {
  const place = freshPlace();
  writeFileSync(join(place.folder, "bad.json"), '{\n  "prefix": hunter2 }');
  const bad = await run(place, ["list", "--config", "bad.json"]);
  expect(bad).toMatchObject({ code: 2, stderr: expect.stringContaining("bad.json is not JSON") });
  expect(bad.stderr).not.toContain("hunter2");
  writeFileSync(join(place.folder, "keybearer.config.mjs"), "export default {};");
  expect(await run(place, ["list"])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("Choose one with --config"),
  });
  rmSync(join(place.folder, "keybearer.config.json"));
  expect(await run(place, ["init", "--prefix", "ezt", "--scope", "vehicles:read"])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("keybearer.config.mjs already exists"),
  });
  rmSync(join(place.folder, "keybearer.config.mjs"));
  expect(await run(place, ["list"])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("npx keybearer init"),
  });
  writeFileSync(join(place.folder, "keybearer.config.json"), JSON.stringify({ ...CONFIG, table: "a;b" }));
  expect(await run(place, ["migrate"])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('"table"'),
  });
});

it("reads functions from a module, and the URL and peppers from environment variables", async () => {
  const place = freshPlace();
  const module = `
    export default { ...${JSON.stringify(CONFIG)}, urlVariable: "MY_KEYS",
      pepper: { current: "v2", variables: { v1: "PEPPER_ONE", v2: "PEPPER_TWO" }, unpeppered: true },
      formats: [{ parse: (secret) => (/^old-/.test(secret) ? {} : undefined) }],
      legacyHashes: [{ name: "old", hash: (secret) => secret.split("").reverse().join("") }] };`;
  writeFileSync(join(place.folder, "my.mjs"), module);
  const env = {
    MY_KEYS: "file:./mine.db",
    PEPPER_ONE: "pepper one, of some length",
    PEPPER_TWO: "pepper two, of some length",
  };
  const own = { folder: place.folder, url: "sqlite:not-this-one.db" };
  const my = ["--config", "my.mjs"];
  await done(own, ["migrate", ...my], { env });
  const secret = (await done(own, ["create", "--owner", "acme", ...my], { env })).trim();
  const lines = [
    { ownerId: "old", scopes: [], hash: "4321-terces-dlo", hashedBy: "old" },
    {
      ownerId: "v1",
      scopes: [],
      hash: hashSecret("old-v1-12345678", { current: "v1", keys: { v1: env.PEPPER_ONE } }),
    },
    { ownerId: "plain", scopes: [], hash: hashSecret("old-plain-12345678") },
  ];
  await done(own, ["import", ...my], { env, input: lines.map((line) => JSON.stringify(line)).join("\n") });
  const owners = [secret, "old-secret-1234", "old-v1-12345678", "old-plain-12345678"].map(async (input) => {
    const result = (await json(own, ["verify", ...my], { env, input })) as { key: { ownerId: string } };
    return result.key.ownerId;
  });
  expect(await Promise.all(owners)).toEqual(["acme", "old", "v1", "plain"]);
  const lost = await run(own, ["verify", "--url", "sqlite:mine.db"], { env, input: secret });
  expect(lost.code).toBe(3); // without the pepper the hash differs
});

it("loads drivers from the project, and names a missing one", async () => {
  const place = freshPlace();
  const modules = join(place.folder, "node_modules");
  mkdirSync(join(modules, "keybearer"), { recursive: true });
  cpSync(join(root, "package.json"), join(modules, "keybearer/package.json"));
  cpSync(join(root, "dist"), join(modules, "keybearer/dist"), {
    recursive: true,
    filter: (name) => !/\.(map|d\.ts)$/.test(name),
  });
  const link = (name: string) => {
    mkdirSync(join(modules, name, ".."), { recursive: true });
    symlinkSync(join(root, "node_modules", name), join(modules, name));
  };
  for (const name of Object.keys(manifest.dependencies)) link(name);
  const own = { ...place, bin: join(modules, "keybearer/dist/cli/index.js") };

  for (const [url, install] of [
    ["postgres://localhost/x", "npm install pg"],
    ["mysql://localhost/x", "npm install mysql2"],
    ["redis://localhost/0", "npm install redis or npm install ioredis"],
  ]) {
    const result = await run({ ...own, url }, ["list"]);
    expect(result).toMatchObject({
      code: 2,
      stdout: "",
      stderr: expect.stringContaining(`needs a driver: ${install}`),
    });
  }
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const builtIn = major > 22 || (major === 22 && minor >= 13);
  const sqlite = await run(own, ["migrate"]);
  expect(sqlite.code).toBe(builtIn ? 0 : 2);
  if (!builtIn) expect(sqlite.stderr).toContain("npm install libsql or npm install better-sqlite3");

  const { redis } = inject("servers");
  if (redis === undefined) return;
  link("ioredis"); // redis is not installed
  const prefix = freshName();
  writeFileSync(
    join(place.folder, "keybearer.config.json"),
    JSON.stringify({ ...CONFIG, redisPrefix: prefix }),
  );
  try {
    const secret = await done({ ...own, url: redis }, ["create", "--owner", "acme"]);
    expect(await json({ ...own, url: redis }, ["verify"], { input: secret })).toMatchObject({
      allowed: true,
    });
  } finally {
    const at = { kind: "redisStore over node-redis", urls: [redis], prefix };
    await redisBackends(redis, undefined)[0]?.drop(JSON.stringify(at));
  }
});
