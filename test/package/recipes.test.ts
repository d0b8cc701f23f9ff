import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startRedis } from "../contract/stores/redis-server.js";
import { isInstalled, startMariadb, startPostgres } from "../contract/stores/sql-servers.js";
import { createCompiledBlocks, isCode } from "./compiled-blocks.js";
import { type Block, blocksOf, markdownFiles } from "./markdown.js";

/** A server that can be killed and started again. */
interface Restartable {
  readonly url: string;
  start(): Promise<void>;
  kill(): Promise<void>;
  dispose(): Promise<void>;
}

const SERVERS: readonly [name: keyof typeof starters, client: RegExp][] = [
  ["postgres", /new pg\.\w+\(|\bpostgres\(process/],
  ["mysql", /createPool\(/],
  ["redis", /create(?:Client|ClientPool|Cluster|Sentinel)\(|new (?:Redis|Cluster)\(/],
];
const starters = { postgres: startPostgres, mysql: startMariadb, redis: startRedis };

/** Calls what a recipe exports, once for each line of stdin. */
const CALLER = `
import * as recipe from "./RECIPE";
import { createInterface } from "node:readline";
const key = { id: "key_1", ownerId: "acme", rateLimit: null, environment: "live" };
const calls = {
  store: (store) => store.findByHash("0".repeat(64)),
  rateLimiter: (limiter) => limiter.consume(key, { headers: {} }),
  revocations: (list) => list.has("token"),
  signingKeyStore: (store) => store.read(),
  replays: (list) => list.use("proof", new Date(Date.now() + 1000), "acme"),
  idempotency: ({ store }) =>
    store.compareAndSet({ id: "0".repeat(43), ownerId: "acme", until: new Date(Date.now() + 1000) }, undefined, "x"),
  verifier: async (verifier) => {
    const { keys } = await import("./auth.js");
    const { secret } = await keys.create({ ownerId: "acme", scopes: ["vehicles:read"], environment: "live" });
    const result = await verifier.verify({ headers: { authorization: "Bearer " + secret } });
    if (!result.ok) throw result.error;
  },
};
const exported = Object.keys(calls).find((name) => recipe[name]);
console.log(exported);
for await (const _ of createInterface({ input: process.stdin })) {
  console.log(await Promise.resolve(recipe[exported]).then(calls[exported]).then(() => "works", () => "fails"));
}`;

const compiled = createCompiledBlocks();
const blocks = markdownFiles().flatMap(blocksOf).filter(isCode);

beforeAll(async () => {
  await compiled.compile();
});
afterAll(() => compiled.remove());

describe("recipes that open a client", () => {
  it.each(SERVERS)("exist for %s", (_, client) => {
    expect(blocks.filter(({ code }) => client.test(code))).not.toEqual([]);
  });

  describe.each(SERVERS.filter(([name]) => isInstalled(name)))("of %s", (name, client) => {
    let server: Restartable;
    beforeAll(async () => {
      server = await starters[name]();
    });
    afterAll(() => server?.dispose());

    const recipes = blocks.filter(({ code }) => client.test(code));
    it.each(recipes.map((block) => [`${block.file}:${block.line}`, block] as const))(
      "%s survives a restart of its server",
      async (_, block) => {
        const { call, stop } = await startRecipe(block, server.url);
        try {
          expect(await call()).toBe("works");
          await server.kill();
          try {
            await sleep(300); // an error event without a listener ends the process
            await call();
          } finally {
            await server.start();
          }
          while ((await call()) !== "works") await sleep(50);
        } finally {
          await stop();
        }
      },
    );
  });
});

async function startRecipe(block: Block, url: string) {
  const { folder, entry } = compiled.place(block);
  const code = readFileSync(join(folder, entry), "utf8");
  const local = code
    .replaceAll(/"(?:redis|mysql):\/\/[^"]*"/g, JSON.stringify(url))
    .replaceAll("createClient()", `createClient({ url: ${JSON.stringify(url)} })`);
  writeFileSync(join(folder, entry), local);
  writeFileSync(join(folder, "caller.js"), CALLER.replace("RECIPE", entry));
  const env = { ...process.env, DATABASE_URL: url, IDEMPOTENCY_SECRET: "x".repeat(32) };
  const child = spawn(process.execPath, ["caller.js"], { cwd: folder, env });
  let stderr = "";
  child.stderr.on("data", (text) => {
    stderr += text;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`the recipe ended: ${stderr}`);
    return value;
  };
  expect(await next(), "exports a store, limiter, list or verifier").not.toBe("undefined");
  expect(stderr).not.toContain("KEYBEARER_NO_ERROR_LISTENER");
  return {
    call: () => {
      child.stdin.write("call\n");
      return next();
    },
    stop: async () => {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    },
  };
}
