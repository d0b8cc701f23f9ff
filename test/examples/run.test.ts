import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";

const ROOT = new URL("../..", import.meta.url).pathname;

/** The credentials of each example that `fetch` and any curl can use, besides `url`. */
const CREDENTIALS: Readonly<Record<string, readonly string[]>> = {
  eztotrack: ["adminJwt", "otherJwt"],
  "legacy-partner": ["adminJwt", "otherJwt", "tokenPath"],
  inspections: ["adminJwt", "otherJwt", "keysPath"],
  trackyard: ["adminJwt", "key", "otherKey", "keysPath"],
  eazip: ["key", "otherKey"],
  metrics: ["key", "metricsKey"],
};
const NAMES = Object.keys(CREDENTIALS).filter((name) => existsSync(`${ROOT}/examples/${name}/main.ts`));

const running: ChildProcess[] = [];
afterEach(() => {
  for (const child of running.splice(0)) child.kill("SIGKILL");
});

/** Starts `npm run [--silent] example -- NAME`. */
function npm(args: readonly string[], PORT = "", quiet = true): ChildProcess {
  const { PORT: _, ...rest } = process.env;
  const argv = ["run", ...(quiet ? ["--silent"] : []), "example", "--", ...args];
  const child = spawn("npm", argv, { cwd: ROOT, env: { ...rest, PORT }, stdio: ["ignore", "pipe", "pipe"] });
  running.push(child);
  return child;
}

/** Returns what a process prints, up to and including `last`. */
function printed(child: ChildProcess, last: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    let errors = "";
    child.stderr?.on("data", (chunk) => {
      errors += chunk;
    });
    child.stdout?.on("data", (chunk) => {
      text += chunk;
      if (text.includes(last)) resolve(text);
    });
    child.once("exit", () => reject(new Error(`The process ended after printing ${text}${errors}`)));
  });
}

/** Returns the output and exit code of a process when it ends. */
async function ended(child: ChildProcess): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const streams = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.on("data", (chunk) => {
      streams[name] += chunk;
    });
  }
  const [code] = await once(child, "close");
  return { code, ...streams };
}

const READY = "Ctrl-C stops the server.";

const curlIsHere = spawnSync("curl", ["--version"]).status === 0;

describe("npm run example", { timeout: 120_000 }, () => {
  it.each(NAMES)("-- %s --json prints its URL and credentials, and serves until SIGTERM", async (name) => {
    const child = npm([name, "--json"]);
    const credentials = JSON.parse(await printed(child, "}\n"));
    expect(credentials).toMatchObject({ url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) });
    for (const member of CREDENTIALS[name] ?? []) expect(credentials[member]).toEqual(expect.any(String));

    const reply = await fetch(`${credentials.url}/there-is-nothing-here`);
    expect(reply.status).toBeGreaterThanOrEqual(400);
    expect(reply.headers.get("Content-Type")).toMatch(/^application\/(problem\+)?json/);
    await reply.json();

    child.kill("SIGTERM");
    await expect
      .poll(() => fetch(credentials.url).then(String, () => "gone"), { timeout: 20_000 })
      .toBe("gone");
  });

  it.each(NAMES)("-- %s prints commands to try", async (name) => {
    const prose = await printed(npm([name]), READY);
    expect(prose).not.toMatch(/^\{/m);
    // Some commands are denied. A backslash continues a command on the next line.
    const commands = prose.replaceAll(/\\\n\s*/g, "").match(/^curl .*$/gm) ?? [];
    expect(commands.length).toBeGreaterThan(1);
    for (const command of curlIsHere ? commands : []) {
      const { stdout } = spawnSync("sh", ["-c", `${command} -s -i`], { encoding: "utf8" });
      expect([command, stdout]).toEqual([command, expect.stringMatching(/^HTTP\/1\.1 (20[01]|40[13]) /)]);
      expect(stdout).toMatch(/\r\n\r\n([{[]|# HELP )/);
    }
  });

  it("prints JSON on its own line without --silent too", async () => {
    const child = npm(["eazip", "--json"], "", false);
    const lines = (await printed(child, "}\n")).split("\n");
    const found = lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
    expect(found).toEqual([expect.objectContaining({ url: expect.any(String) })]);
  });

  it("listens on PORT, and reports a port that is in use", async () => {
    const free = createServer().listen(0, "127.0.0.1");
    await once(free, "listening");
    const { port } = free.address() as AddressInfo;
    const taken = await ended(npm(["eazip"], String(port)));
    expect([taken.code, taken.stdout]).toEqual([1, ""]);
    expect(taken.stderr).toContain(`Port ${port} on 127.0.0.1 is in use.`);
    free.close();
    await once(free, "close");
    const credentials = await printed(npm(["eazip", "--json"], String(port)), "}\n");
    expect(JSON.parse(credentials).url).toBe(`http://127.0.0.1:${port}`);
  });

  it("exits with 2 if the example is unknown", async () => {
    const { code, stdout } = await ended(npm(["nothing"]));
    expect([code, stdout]).toEqual([2, ""]);
  });
});

describe("examples/run.ts", { timeout: 120_000 }, () => {
  const run = (args: readonly string[], PORT = "") => {
    const { PORT: _, ...rest } = process.env;
    const argv = ["--import", "tsx", "examples/run.ts", ...args]; // reads its arguments before it loads an example
    return spawnSync(process.execPath, argv, { cwd: ROOT, env: { ...rest, PORT }, encoding: "utf8" });
  };

  it.each<[args: string[], PORT: string, message: string]>([
    [[], "", "Name one example: eztotrack, "],
    [["../fleet"], "", "Name one example: eztotrack, "],
    [["constructor"], "", "Name one example: eztotrack, "],
    [["eazip", "eazip"], "", "Name one example: eztotrack, "],
    [["--loud"], "", "--loud"],
    [["eazip"], "http", "PORT"],
    [["eazip"], "65536", "PORT"],
    [["eazip"], "-1", "PORT"],
  ])("rejects %j with PORT=%s", (args, PORT, message) => {
    const { status, stdout, stderr } = run(args, PORT);
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain("    at ");
  });

  it("prints help", () => {
    const { status, stdout } = run(["--help"]);
    expect(status).toBe(0);
    for (const name of Object.keys(CREDENTIALS)) expect(stdout).toContain(name);
  });
});
