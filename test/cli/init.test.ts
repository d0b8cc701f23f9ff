import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { done, freshPlace, json, type Place, run } from "./command.js";

const root = new URL("../..", import.meta.url).pathname;

/** A project without a configuration file, with some packages. */
function emptyProject(...packages: readonly string[]): Place & { url: string } {
  const place = freshPlace();
  rmSync(join(place.folder, "keybearer.config.json"));
  writeFileSync(join(place.folder, "package.json"), '{ "type": "module" }');
  mkdirSync(join(place.folder, "node_modules"));
  symlinkSync(root, join(place.folder, "node_modules/keybearer"));
  for (const name of packages) {
    symlinkSync(join(root, "node_modules", name), join(place.folder, "node_modules", name));
  }
  return place;
}

const SERVICE = `
  import { defineScopes, keyFormat } from "keybearer";
  export const scopes = defineScopes({ "orders:read": { status: "planned" }, "orders:write": {} });
  export const format = keyFormat({ prefix: "shop", environments: ["prod", "dev"] });
`;

it("lists the scopes of --scope, and overwrites a file only with --force", async () => {
  const place = freshPlace();
  const init = ["init", "--prefix", "abc", "--environments", "prod, dev", "--scope", "a:read", "b:read"];
  expect(await run(place, init)).toMatchObject({ code: 2, stderr: expect.stringContaining("--force") });
  await done(place, [...init, "--force"]);
  expect(JSON.parse(readFileSync(join(place.folder, "keybearer.config.json"), "utf8"))).toEqual({
    prefix: "abc",
    environments: ["prod", "dev"],
    environment: "prod",
    scopes: { "a:read": {}, "b:read": {} },
  });
  await done(place, ["migrate"]);
  const create = ["create", "--owner", "acme", "--scope", "a:read", "b:read", "--ip", "10.0.0.0/8", "::1"];
  expect(await json(place, create)).toMatchObject({
    secret: expect.stringMatching(/^abc_prod_\w{38}$/),
    key: { scopes: ["a:read", "b:read"], ipAllowlist: ["10.0.0.0/8", "::1"] },
  });
});

it("invents neither scopes nor a prefix", async () => {
  const place = emptyProject();
  for (const args of [[], ["--prefix", "ezt"], ["--scope", "a"]]) {
    expect(await run(place, ["init", ...args])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("Pass --from"),
    });
  }
  expect(existsSync(join(place.folder, "keybearer.config.json"))).toBe(false);
});

it("imports scopes and format of the service, from JavaScript", async () => {
  const place = emptyProject();
  mkdirSync(join(place.folder, "src"));
  writeFileSync(join(place.folder, "src/auth.js"), SERVICE);
  const { stderr } = await run(place, ["init", "--from", "src/auth.js"]);
  expect(stderr).toContain("npx keybearer create --owner acme --scope orders:write");
  expect(readFileSync(join(place.folder, "keybearer.config.mjs"), "utf8")).toContain('from "./src/auth.js"');
  await done(place, ["migrate"]);
  const secret = (await done(place, ["create", "--owner", "acme", "--scope", "orders:write"])).trim();
  expect(secret).toMatch(/^shop_prod_/);
  expect(await json(place, ["verify", "--scope", "orders:write"], { input: secret })).toMatchObject({
    allowed: true,
  });
});

it.each(["tsx", "jiti"])(
  "imports them from TypeScript with the loader of the project: %s",
  async (loader) => {
    const place = emptyProject(loader);
    writeFileSync(join(place.folder, "auth.ts"), `${SERVICE} export const typed: string = "";`);
    await done(place, ["init", "--from", "auth.ts"]);
    expect(existsSync(join(place.folder, "keybearer.config.ts"))).toBe(true);
    await done(place, ["migrate"]);
    expect(await done(place, ["create", "--owner", "acme", "--scope", "orders:write"])).toMatch(
      /^shop_prod_/,
    );
  },
);

it.each<[string, string, readonly string[], RegExp]>([
  [
    "without scopes",
    "export const format = {};",
    [],
    /^keybearer: auth\.mjs must export "scopes" and "format"$/m,
  ],
  [
    "with another format",
    "export const [scopes, format] = [{ a: {} }, {}];",
    [],
    /^keybearer: auth\.mjs: "format" must have the methods/,
  ],
  [
    "that throws",
    "throw new RangeError('no');",
    [],
    /^keybearer: auth\.mjs cannot be loaded: RangeError: no$/m,
  ],
  ["next to --prefix", SERVICE, ["--prefix", "ezt"], /remove --scope and --prefix/],
])("rejects a module %s", async (_, code, more, problem) => {
  const place = emptyProject();
  writeFileSync(join(place.folder, "auth.mjs"), code);
  expect(await run(place, ["init", "--from", "auth.mjs", ...more])).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(problem),
  });
});

it("reads variables from .env, which do not replace those of the environment", async () => {
  const place = emptyProject();
  await done(place, ["init", "--prefix", "ezt", "--scope", "a"]);
  writeFileSync(join(place.folder, ".env"), "KEYBEARER_URL=sqlite:from-file.db\n");
  await done({ folder: place.folder }, ["migrate"]);
  await done(place, ["migrate"]);
  expect(existsSync(join(place.folder, "from-file.db"))).toBe(true);
  expect(existsSync(join(place.folder, "keys.db"))).toBe(true);
});

it("names a missing directory of a SQLite file", async () => {
  const place = { ...emptyProject(), url: "sqlite:none/keys.db" };
  await done(place, ["init", "--prefix", "ezt", "--scope", "a"]);
  expect(await run(place, ["migrate"])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^keybearer: Cannot open .*: the directory .*none does not exist$/m),
  });
});
