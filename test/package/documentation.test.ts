import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, connect as openSocket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Block, blocksOf, markdownFiles } from "./markdown.js";
import { createScratch, isCode } from "./scratch.js";

// Marks before a fence, which readers do not see:
//   run    the block is run by node; what it prints is what its comments "// → …" say
//   serve  the block is a server on port 3000
//   curl   the lines "curl -i … # 200 text" are sent to the servers before it, and answered so

const run = promisify(execFile);
const scratch = createScratch();
const blocks = markdownFiles().flatMap(blocksOf);
const titled = (block: Block) => [`${block.file}:${block.line}`, block] as const;

let complaints: Promise<string>;
beforeAll(async () => {
  complaints = scratch.compile();
  await complaints;
});
afterAll(() => scratch.remove());

describe("blocks of code", () => {
  test("compile against the built package", async () => {
    expect(await complaints).toBe("");
    expect(blocks.filter(isCode).length).toBeGreaterThan(50);
  });

  test("have no name twice in one document, and only marks that are known", () => {
    const names = blocks.filter(({ name }) => name !== undefined).map(({ file, name }) => `${file} ${name}`);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
    const marks = blocks.map(({ mark }) => mark).filter((mark) => mark !== undefined);
    expect(marks.filter((mark) => !["run", "serve", "curl"].includes(mark))).toEqual([]);
  });

  test.each(blocks.filter(({ language }) => language === "json").map(titled))("%s is JSON", (_, { code }) => {
    expect(typeof JSON.parse(code)).toBe("object");
  });
});

describe("blocks that run", () => {
  const running = blocks.filter(({ mark }) => mark === "run");

  test.concurrent.each(running.map(titled))("%s prints what it says", async (_, block) => {
    const { folder, entry } = scratch.place(block);
    const expected = [...block.code.matchAll(/\/\/ → (.*)$/gm)].map(([, line = ""]) => line);
    expect(expected).not.toEqual([]);
    const { stdout } = await run(process.execPath, [entry], { cwd: folder, timeout: 150_000 });
    expect(stdout.trimEnd().split("\n")).toEqual(expected);
  });
});

describe("servers", () => {
  const serving = blocks.filter(({ mark }) => mark === "serve");

  test("are there for every framework, with requests to send", () => {
    const imported = serving.flatMap(({ code }) => code.match(/keybearer\/[a-z]+(?=")/g) ?? []);
    for (const name of ["express", "koa", "hono", "fastify", "fetch", "node"])
      expect(imported).toContain(`keybearer/${name}`);
    expect(serving.filter((server) => requestsFor(server).length === 0).map(titled)).toEqual([]);
  });

  test.concurrent.each(serving.map(titled))("%s answers curl as it says", async (_, block) => {
    const { folder, entry } = scratch.place(block);
    const { secret, database } = await issued();
    cpSync(database, join(folder, "keys.db"));
    const port = await freePort();
    const code = readFileSync(join(folder, entry), "utf8").replaceAll("3000", String(port));
    writeFileSync(join(folder, entry), code);
    const server = spawn(process.execPath, [entry], { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
    try {
      await listening(server, port);
      for (const line of requestsFor(block)) {
        const [, command = "", status, text = ""] = /^(curl -i .*?) +# (\d{3}) ?(.*)$/.exec(line) ?? [];
        const sent = command.replaceAll(":3000", `:${port}`).replaceAll("ezt_live_…", secret);
        const { stdout } = await run("sh", ["-c", `${sent} -sS --max-time 60`], { cwd: folder });
        const answer = stdout.slice(stdout.lastIndexOf("HTTP/1.1 "));
        expect(answer, line).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
        expect(answer).toContain(text.trim());
      }
    } finally {
      const ended = once(server, "exit");
      if (server.exitCode === null && server.kill()) await ended;
    }
  });

  /** A key, issued as the README says, and the database that it lies in. */
  let issuing: Promise<{ readonly secret: string; readonly database: string }> | undefined;
  function issued() {
    issuing ??= (async () => {
      const script = blocks.find(({ file, name }) => file === "README.md" && name === "issue.ts") as Block;
      const { folder, entry } = scratch.place(script);
      const { stdout } = await run(process.execPath, [entry], { cwd: folder });
      const secret = /ezt_live_\w{38}/.exec(stdout)?.[0];
      if (secret === undefined) throw new Error(`No secret in ${JSON.stringify(stdout)}`);
      return { secret, database: join(folder, "keys.db") };
    })();
    return issuing;
  }

  /** The requests of the next block of them; several servers may share it. */
  function requestsFor({ file, line }: Block): readonly string[] {
    const asking = blocks.find((block) => block.mark === "curl" && block.file === file && block.line > line);
    return asking?.code.split("\n").filter((text) => text.startsWith("curl")) ?? [];
  }
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

async function listening(server: ChildProcess, port: number): Promise<void> {
  let complaint = "";
  server.stderr?.on("data", (chunk) => {
    complaint += chunk;
  });
  while (!(await accepts(port))) {
    if (server.exitCode !== null) throw new Error(`The server ended: ${complaint}`);
    await sleep(50);
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = openSocket({ port, host: "localhost" });
    const settle = (open: boolean) => {
      socket.destroy();
      resolve(open);
    };
    socket.on("connect", () => settle(true)).on("error", () => settle(false));
  });
}
