import { spawnSync } from "node:child_process";
import Database from "libsql";
import type pg from "pg";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import type { ManagedKeyStore } from "../../src/kit.js";
import { postgresStore } from "../../src/stores/postgres.js";
import { sqliteStore } from "../../src/stores/sqlite.js";
import { dropTablesSql, freshTable, poolAt } from "../contract/stores/backends/postgres.js";
import { hasBrowser, launch, watch } from "./browser.js";
import { BASES, MOUNTS, startNginx, startServer } from "./mounts.js";
import { closeServer, createPage } from "./site.js";

const hasNginx = spawnSync("nginx", ["-v"]).error === undefined;
if (!hasNginx && process.env.CI) throw new Error("nginx was not found");
const postgres = inject("servers").postgres;

interface Combination {
  readonly framework: string;
  readonly base: string;
  readonly database: "SQLite" | "PostgreSQL";
  readonly proxied: boolean;
}

/** Every framework at every base path; the databases and the proxy take turns, so that each pair of values occurs. */
function pairwise(): Combination[] {
  return Object.keys(MOUNTS).flatMap((framework, row) =>
    BASES.map((base, column) => ({
      framework,
      base,
      database: (row + column) % 2 === 0 ? ("SQLite" as const) : ("PostgreSQL" as const),
      proxied: (row + (column >> 1)) % 2 === 0,
    })),
  );
}

function everyOne(): Combination[] {
  return Object.keys(MOUNTS).flatMap((framework) =>
    BASES.flatMap((base) =>
      (["SQLite", "PostgreSQL"] as const).flatMap((database) =>
        [false, true].map((proxied) => ({ framework, base, database, proxied })),
      ),
    ),
  );
}

const combinations = process.env.MOUNTS === "all" ? everyOne() : pairwise();

describe.skipIf(!hasBrowser || !hasNginx || postgres === undefined)("the mounted key page", () => {
  let browser: Browser;
  let page: Page;
  let nginx: Awaited<ReturnType<typeof startNginx>>;
  let pool: pg.Pool;
  const stores: Record<string, ManagedKeyStore> = {};
  const database = new Database(":memory:");
  const table = freshTable();

  beforeAll(async () => {
    browser = await launch();
    page = await browser.newPage({ locale: "en-US", reducedMotion: "reduce" });
    nginx = await startNginx();
    pool = poolAt(postgres as string);
    const server = postgresStore(pool, { table });
    await server.migrate();
    const file = sqliteStore(database);
    await file.migrate();
    Object.assign(stores, { PostgreSQL: server, SQLite: file });
  });
  afterAll(async () => {
    await browser?.close();
    await nginx?.stop();
    database.close();
    await pool?.query(dropTablesSql(table));
    await pool?.end();
  });

  it("is tried with each pair of values", () => {
    const pairs = new Set<string>();
    const names = ["framework", "base", "database", "proxied"] as const;
    for (const one of combinations)
      for (const a of names) for (const b of names) pairs.add(`${a}=${one[a]} ${b}=${one[b]}`);
    const all = new Set<string>();
    for (const one of everyOne())
      for (const a of names) for (const b of names) all.add(`${a}=${one[a]} ${b}=${one[b]}`);
    expect([...all].filter((pair) => !pairs.has(pair))).toEqual([]);
  });

  it.each(combinations)(
    "works in $framework at “$base” over $database, behind nginx: $proxied",
    async (one) => {
      const { framework, base, proxied } = one;
      const { page: handler, keys } = createPage(stores[one.database]);
      const server = await (MOUNTS[framework] as (typeof MOUNTS)[string])(handler, base);
      const port = await startServer(server);
      const origin = proxied ? `${nginx.url}/proxied/${port}` : `http://127.0.0.1:${port}`;
      const name = `${framework} ${base} ${port}`;
      try {
        await page.context().clearCookies();
        await page.context().addCookies([{ name: "person", value: "mia", url: origin }]);
        // The path without its final slash, where the framework routes it. Hono's "/*" does not match it at the root.
        const problems = await watch(page, base === "" ? `${origin}/?create` : `${origin}${base}?create`);
        expect(new URL(page.url()).href).toBe(`${origin}${base}/?create`);
        const dialog = page.getByRole("dialog");
        await dialog.getByRole("textbox", { name: "Name" }).fill(name);
        await dialog.getByRole("checkbox", { name: /^drivers:read/ }).check();
        await dialog.getByRole("button", { name: "Create key" }).click();
        await page.getByLabel("I have saved it").check();
        await page.getByRole("button", { name: "Done" }).click();
        await page.getByRole("link", { name }).waitFor();
        expect(problems).toEqual([]);
        const [key] = (await keys.list({ ownerId: "acme", search: name })).items;
        expect(key).toMatchObject({ name, createdBy: "mia@acme.example" });
      } finally {
        page.removeAllListeners();
        await page.goto("about:blank");
        await closeServer(server);
      }
    },
  );
});
