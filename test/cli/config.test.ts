import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, inject, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { readConfig } from "../../src/cli/config.js";
import { CommandError } from "../../src/cli/failure.js";
import { findTarget } from "../../src/cli/target.js";
import { hashSecret } from "../../src/index.js";
import { memoryStore } from "../../src/stores/memory.js";
import { redisBackends } from "../contract/stores/backends/redis.js";
import { CONFIG, done, freshName, freshPlace, json, run } from "./command.js";

const root = new URL("../..", import.meta.url).pathname;

// No longer than a pepper, and what a variable could be named.
const HUNTER = "hunter2_hunter2_hunter2_hunter2";

test.each<[string, unknown, RegExp]>([
  ["an unknown member", { ...CONFIG, peper: "x" }, /"peper"/],
  ["no scopes", { prefix: "ezt" }, /"scopes"/],
  ["a scope that implies nothing", { scopes: { a: { implies: ["b"] } } }, /scope "a" implies "b"/],
  ["a pepper itself", { ...CONFIG, pepper: "hunter2-hunter2-hunter2" }, /"pepper" names variables/],
  [
    "a pepper in a member",
    { ...CONFIG, pepper: { variable: "hunter2-hunter2" } },
    /"pepper.variable" must be the name/,
  ],
  [
    "a pepper that is not set",
    { ...CONFIG, pepper: { variable: "NOBODY_SET_THIS" } },
    /NOBODY_SET_THIS, which is not set/,
  ],
  [
    "a pepper for the name of a variable",
    { ...CONFIG, pepper: { variable: `pasted_${HUNTER}` } },
    /"pepper" names the variable "pasted_hunte…", which is not set/,
  ],
  [
    "a pepper for one of several",
    { ...CONFIG, pepper: { current: "v1", variables: { v1: `pasted_${HUNTER}` } } },
    /"pepper" names the variable "pasted_hunte…", which is not set/,
  ],
  [
    "a pepper for a member",
    { ...CONFIG, pepper: { [`pasted_${HUNTER}`]: "v1" } },
    /"pepper" has no member "pasted_hunte…"/,
  ],
  [
    "a pepper for a version",
    { ...CONFIG, pepper: { current: "v1", variables: { v1: "A", [`pasted_${HUNTER}`]: 1 } } },
    /"pepper.variables.pasted_hunte…" /,
  ],
  ["a secret for a member", { ...CONFIG, [`pasted_${HUNTER}`]: "x" }, /has no member "pasted_hunte…"/],
  ["no current pepper", { ...CONFIG, pepper: { current: "v2", variables: { v1: "A" } } }, /current version/],
  ["an environment that is none", { ...CONFIG, environment: "prod" }, /"environment" must be one of/],
  ["a prefix that is none", { ...CONFIG, prefix: "a b" }, /prefix/],
  ["a lifetime that is none", { ...CONFIG, maxLifetime: "1y" }, /"maxLifetime"/],
])("a configuration with %s is refused, by the name of the member", (_, config, problem) => {
  const attempt = () => readConfig("keys.json", config, {}).manager(memoryStore());
  expect(attempt).toThrow(CommandError);
  expect(attempt).toThrow(problem);
  expect(attempt).not.toThrow(/hunter2/);
});

test.each<[string | undefined, RegExp]>([
  [undefined, /set KEYBEARER_URL or DATABASE_URL/],
  ["mongodb://user:hunter2@host/x", /^--url is not a URL of a store: postgres/],
  ["hunter2", /^--url is not a URL/],
  ["sqlite::memory:", /names no file/],
  ["file:keys.db?key=hunter2", /options behind its file/],
  ["sqlite://hunter2.db", /^--url names no file/],
])("a URL that cannot be used is refused, and not repeated: %s", (url, problem) => {
  const attempt = () => findTarget(url, ["KEYBEARER_URL", "DATABASE_URL"], { KEYBEARER_URL: "" });
  expect(attempt).toThrow(problem);
  expect(attempt).not.toThrow(/hunter2/);
});

test.each([
  ["postgres://u:hunter2@db/x", "postgres", "PostgreSQL at db:5432"],
  ["postgresql://db:1/x", "postgres", "PostgreSQL at db:1"],
  ["mysql://u:hunter2@db/x", "mysql", "MySQL at db:3306"],
  ["mariadb://u:hunter2@db/x", "mysql", "MariaDB at db:3306"],
  ["redis://:hunter2@db", "redis", "Redis at db:6379"],
  ["rediss://db", "redis", "Redis at db:6379"],
  ["sqlite:///var/keys.db", "sqlite", "the SQLite file /var/keys.db"],
  ["file:./keys.db", "sqlite", "the SQLite file ./keys.db"],
])("%s is %s", (url, kind, label) => {
  expect(findTarget(undefined, ["A", "B", "C"], { B: url, C: "x" })).toMatchObject({ kind, label });
});

test("a configuration must be there, be one, and be JSON", async () => {
  const place = freshPlace();
  writeFileSync(join(place.folder, "bad.json"), '{\n  "prefix": hunter2 }');
  const bad = await run(place, ["list", "--config", "bad.json"]);
  expect(bad).toMatchObject({ code: 2, stderr: expect.stringContaining("bad.json is not JSON") });
  expect(bad.stderr).not.toContain("hunter2");
  writeFileSync(join(place.folder, "keybearer.config.mjs"), "export default {};");
  expect(await run(place, ["list"])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("name one with"),
  });
  rmSync(join(place.folder, "keybearer.config.json"));
  expect(await run(place, ["init"])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("keybearer.config.mjs is there already"),
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

test("a module brings what JSON cannot; variables bring URL and peppers", async () => {
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
    const answer = (await json(own, ["verify", ...my], { env, input })) as { key: { ownerId: string } };
    return answer.key.ownerId;
  });
  expect(await Promise.all(owners)).toEqual(["acme", "old", "v1", "plain"]);
  const lost = await run(own, ["verify", "--url", "sqlite:mine.db"], { env, input: secret });
  expect(lost.code).toBe(3); // without the pepper it is another hash
});

test("drivers are those of the project; one that is missing is named", async () => {
  const place = freshPlace();
  const modules = join(place.folder, "node_modules");
  mkdirSync(join(modules, "keybearer"), { recursive: true });
  cpSync(join(root, "package.json"), join(modules, "keybearer/package.json"));
  cpSync(join(root, "dist"), join(modules, "keybearer/dist"), {
    recursive: true,
    filter: (name) => !/\.(map|d\.ts)$/.test(name),
  });
  const borrow = (name: string) => {
    mkdirSync(join(modules, name, ".."), { recursive: true });
    symlinkSync(join(root, "node_modules", name), join(modules, name));
  };
  for (const name of Object.keys(manifest.dependencies)) borrow(name);
  const own = { ...place, bin: join(modules, "keybearer/dist/cli/index.js") };

  for (const [url, install] of [
    ["postgres://localhost/x", "npm install pg"],
    ["mysql://localhost/x", "npm install mysql2"],
    ["redis://localhost/0", "npm install redis, or npm install ioredis"],
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
  if (!builtIn) expect(sqlite.stderr).toContain("npm install libsql, or npm install better-sqlite3");

  const { redis } = inject("servers");
  if (redis === undefined) return;
  borrow("ioredis"); // and redis is not there
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
