import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, connect as openSocket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createCompiledBlocks, isCode } from "./compiled-blocks.js";
import { type Block, blocksOf, markdownFiles } from "./markdown.js";

// HTML comments before a fence, invisible to readers, say how a block is tested:
//   run               node runs the block, and prints what its comments "// → …" say
//   serve             the block is a server on port 3000
//   curl STATUS TEXT  the command runs against the servers above it; TEXT is part of the response.
//                     A block of several commands has several expectations, separated by " | "

const run = promisify(execFile);
const compiled = createCompiledBlocks();
const blocks = markdownFiles().flatMap(blocksOf);
const titled = (block: Block) => [`${block.file}:${block.line}`, block] as const;

let errors: Promise<string>;
beforeAll(async () => {
  errors = compiled.compile();
  await errors;
});
afterAll(() => compiled.remove());

describe("code blocks", () => {
  it("compile against the built package", async () => {
    expect(await errors).toBe("");
    expect(blocks.filter(isCode).length).toBeGreaterThan(50);
  });

  it("have unique names in a document, and known marks only", () => {
    const names = blocks.filter(({ name }) => name !== undefined).map(({ file, name }) => `${file} ${name}`);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
    const marks = blocks.map(({ mark }) => mark).filter((mark) => mark !== undefined);
    expect(marks.filter((mark) => !/^(?:run|serve|curl \d{3} .+)$/.test(mark))).toEqual([]);
  });

  it.each(blocks.filter(({ language }) => language === "json").map(titled))(
    "%s is valid JSON",
    (_, { code }) => {
      expect(typeof JSON.parse(code)).toBe("object");
    },
  );
});

describe("shell blocks", () => {
  const commands = blocks.filter(({ language }) => language === "sh").map(titled);

  // Interactive zsh has no comments, and fails for a `?` or `*` that matches no file.
  it.each(commands)("%s can be pasted into bash and zsh", (_, { code }) => {
    expect(code.replace(/"[^"]*"|'[^']*'/g, '""')).not.toMatch(/(^|\s)#|[?*[\]]/m);
  });

  it.each(commands)("%s is valid bash", async (_, { code }) => {
    await expect(run("bash", ["-n", "-c", code])).resolves.toBeDefined();
  });
});

describe("blocks marked with run", () => {
  const running = blocks.filter(({ mark }) => mark === "run");

  it.concurrent.each(running.map(titled))("%s prints what its comments say", async (_, block) => {
    const { folder, entry } = compiled.place(block);
    const expected = [...block.code.matchAll(/\/\/ → (.*)$/gm)].map(([, line = ""]) => line);
    expect(expected).not.toEqual([]);
    const { stdout } = await run(process.execPath, [entry], { cwd: folder, timeout: 150_000 });
    expect(stdout.trimEnd().split("\n")).toEqual(expected);
  });
});

describe("blocks marked with serve", () => {
  const serving = blocks.filter(({ mark }) => mark === "serve");

  it("exist for every framework, with requests", () => {
    const imported = serving.flatMap(({ code }) => code.match(/keybearer\/[a-z]+(?=")/g) ?? []);
    for (const name of ["express", "koa", "hono", "fastify", "fetch", "node"])
      expect(imported).toContain(`keybearer/${name}`);
    expect(serving.filter((server) => requestsFor(server).length === 0).map(titled)).toEqual([]);
  });

  it.concurrent.each(serving.map(titled))("%s responds to curl as documented", async (_, block) => {
    const { folder, entry } = compiled.place(block);
    const { secret, database } = await issued();
    cpSync(database, join(folder, "keys.db"));
    const port = await freePort();
    const code = readFileSync(join(folder, entry), "utf8").replaceAll("3000", String(port));
    writeFileSync(join(folder, entry), code);
    const server = spawn(process.execPath, [entry], { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
    try {
      await listening(server, port);
      for (const { command, status, text, place } of requestsFor(block)) {
        const sent = command
          .replace("curl", "curl -sS --max-time 60")
          .replaceAll(":3000", `:${port}`)
          .replaceAll("ezt_live_…", secret);
        const { stdout } = await run("sh", ["-c", sent], { cwd: folder });
        const response = stdout.slice(stdout.lastIndexOf("HTTP/1.1 "));
        expect(response, place).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
        expect(response, place).toContain(text);
      }
    } finally {
      const ended = once(server, "exit");
      if (server.exitCode === null && server.kill()) await ended;
    }
  });

  /** A key that was created as in the README, and the database that contains it. */
  let issuing: Promise<{ readonly secret: string; readonly database: string }> | undefined;
  function issued() {
    issuing ??= (async () => {
      const script = blocks.find(({ file, name }) => file === "README.md" && name === "issue.ts") as Block;
      const { folder, entry } = compiled.place(script);
      const { stdout } = await run(process.execPath, [entry], { cwd: folder });
      const secret = /ezt_live_\w{38}/.exec(stdout)?.[0];
      if (secret === undefined) throw new Error(`no secret in the output: ${stdout}`);
      return { secret, database: join(folder, "keys.db") };
    })();
    return issuing;
  }

  /** Returns the commands after this server, and after those that directly follow it, up to the next server. */
  function requestsFor({ file, line }: Block) {
    const after = blocks.filter((block) => block.file === file && block.line > line);
    const first = after.findIndex(({ mark }) => mark?.startsWith("curl"));
    if (first < 0) return [];
    const next = after.findIndex(({ mark }, index) => index > first && mark === "serve");
    return after.slice(first, next < 0 ? undefined : next).flatMap(({ mark = "", code, line }) => {
      if (!mark.startsWith("curl")) return [];
      const place = `${file}:${line}`;
      const expectations = mark.slice("curl ".length).split(" | ");
      const commands = code.split("\n").filter((text) => text.startsWith("curl"));
      expect(commands.length, place).toBe(expectations.length);
      return commands.map((command, index) => {
        const [, status = "", text = ""] = /^(\d{3}) (.*)$/.exec(expectations[index] ?? "") ?? [];
        return { command, status, text, place };
      });
    });
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
  let stderr = "";
  server.stderr?.on("data", (chunk) => {
    stderr += chunk;
  });
  while (!(await accepts(port))) {
    if (server.exitCode !== null) throw new Error(`the server exited: ${stderr}`);
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
