// Runs the command on a pseudo-terminal, which `script` of util-linux provides.

import { execFileSync, spawn } from "node:child_process";
import Database from "libsql";
import { afterAll, beforeAll, expect, it } from "vitest";
import { BIN, done, freshPlace, json } from "./command.js";

const place = freshPlace();
let secret = "";
let id = "";

interface Terminal {
  readonly columns?: number;
  /** What is typed, each after the text that it responds to has appeared. */
  readonly answers?: readonly (readonly [question: string, answer: string])[];
  readonly env?: NodeJS.ProcessEnv;
}

/** Runs a command on a terminal. Returns everything that it shows, and the exit code. */
async function onTerminal(args: readonly string[], { columns = 80, answers = [], env }: Terminal = {}) {
  const command = [process.execPath, BIN, ...args].map((word) => `'${word}'`).join(" ");
  const child = spawn("script", ["-qec", `stty cols ${columns}; exec ${command}`, "/dev/null"], {
    cwd: place.folder,
    env: { ...process.env, KEYBEARER_URL: place.url, TERM: "xterm", PAGER: "cat", ...env },
  });
  const pending = [...answers];
  let screen = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    screen += text;
    const [next] = pending;
    if (next !== undefined && screen.includes(next[0])) {
      pending.shift();
      child.stdin.write(next[1]);
    }
  });
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, screen: screen.replaceAll("\r", "") };
}

async function create(...args: string[]) {
  return (await json(place, ["create", "--owner", "acme", "--scope", "vehicles:read", ...args])) as {
    secret: string;
    key: { id: string };
  };
}

beforeAll(async () => {
  await done(place, ["migrate"]);
  const issued = await create("--name", "CI");
  ({ secret } = issued);
  ({ id } = issued.key);
  const database = new Database(place.url.slice("sqlite:".length));
  database
    .prepare("update keybearer_keys set created_at = ?, last_used_at = ?")
    .run(Date.now() - 3 * 86_400_000 - 60_000, Date.now() - 120_000);
  database.close();
});

afterAll(() => expect(execFileSync("script", ["--version"], { encoding: "utf8" })).toContain("util-linux"));

it("shows tables that fit the width, with relative times", async () => {
  const { screen } = await onTerminal(["list"]);
  const lines = screen.trimEnd().split("\n");
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  expect(lines[0]).toMatch(/^ID +OWNER +STATUS +LAST USED +NAME$/);
  expect(lines[1]).toMatch(/^key_\w{32} +acme +active +2 minutes ago +CI$/);
  expect(lines.at(-1)).toBe("Not shown in 80 columns: ENVIRONMENT, START, CREATED, EXPIRES, SCOPES.");
  const wide = await onTerminal(["list"], { columns: 200 });
  expect(wide.screen).toMatch(/ezt_live_\w{4} +3 days ago +2 minutes ago +- +vehicles:read +CI\n$/);
  expect((await onTerminal(["inspect", id])).screen).toMatch(/^last used +\S+Z \(2 minutes ago\)$/m);
  expect(await done(place, ["list"])).toMatch(/ 20\d\d-\d\d-\d\dT[\d:]{8}Z /);
});

it("shows lists in the pager", async () => {
  const pager = `${process.execPath} -e process.stdin.on('data',(text)=>process.stdout.write(text.toString().toLowerCase()))`;
  const { screen } = await onTerminal(["list"], { env: { PAGER: pager } });
  expect(screen).toMatch(/^id +owner +status/);
  expect(screen).toMatch(/\nNot shown in 80 columns: .*\n$/); // after the pager
  const missing = await onTerminal(["list"], { env: { PAGER: "no-such-pager" } });
  expect(missing.screen).toMatch(/^ID +OWNER/);
});

it("asks before it revokes, and changes nothing without a yes", async () => {
  const { key } = await create("--name", "laptop");
  const question = `Revoke ${key.id} "laptop" of acme permanently? [y/N] `;
  const statusOf = async () =>
    ((await json(place, ["inspect", key.id])) as { key: { status: string } }).key.status;
  const refused = await onTerminal(["revoke", key.id], { answers: [[question, "\r"]] });
  expect(refused.code).toBe(3);
  expect(refused.screen).toContain("keybearer: Canceled; nothing was changed");
  const interrupted = await onTerminal(["revoke", key.id], { answers: [[question, "\u0003"]] });
  expect(interrupted.code).toBe(130);
  expect((await onTerminal(["revoke", key.id], { answers: [[question, "\u0004"]] })).code).toBe(2);
  expect(await statusOf()).toBe("active");
  expect((await onTerminal(["revoke", key.id], { answers: [[question, "y\r"]] })).code).toBe(0);
  expect(await statusOf()).toBe("revoked");
  expect((await onTerminal(["revoke", key.id, "--yes"])).screen).not.toContain("[y/N]");
});

it("asks before it revokes many keys", async () => {
  const { key } = await create("--name", "laptop");
  for (const [args, question] of [
    [["--owner", "acme"], "Revoke all keys of acme permanently? [y/N] "],
    [["--created-by-key", key.id], `Revoke all keys that ${key.id} made permanently? [y/N] `],
    [
      [key.id, "--descendants"],
      `Revoke ${key.id} "laptop" of acme and everything made from it permanently? [y/N] `,
    ],
  ] as const) {
    const { code } = await onTerminal(["revoke", ...args], { answers: [[question, "no\r"]] });
    expect([question, code]).toEqual([question, 3]);
  }
  const { key: found } = (await json(place, ["inspect", key.id])) as { key: { status: string } };
  expect(found.status).toBe("active");
});

it("asks before it purges", async () => {
  const question = "Delete keys that were revoked or expired at least 1s ago? [y/N] ";
  const { code } = await onTerminal(["purge", "--retention", "1s"], { answers: [[question, "no\r"]] });
  expect(code).toBe(3);
});

it("reads a secret without showing it", async () => {
  const { code, screen } = await onTerminal(["verify", "--scope", "vehicles:read"], {
    answers: [["Secret: ", `${secret}\r`]],
  });
  expect(code).toBe(0);
  expect(screen).toMatch(/^decision +allowed$/m);
  expect(screen).not.toContain(secret.slice(-20));
});

it("hides a secret that is typed as soon as the question appears", async () => {
  // Stops the command for 300 ms once the question is on the screen, as a busy machine does.
  const pause = `const write = process.stderr.write.bind(process.stderr);
    process.stderr.write = (text, ...rest) => {
      const written = write(text, ...rest);
      if (text === "Secret: ") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
      return written;
    };`;
  const { code, screen } = await onTerminal(["verify", "--scope", "vehicles:read"], {
    answers: [["Secret: ", `${secret}\r`]],
    env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(pause)}` },
  });
  expect(code).toBe(0);
  expect(screen).not.toContain(secret.slice(-20));
});

it("asks for prefix and scopes in init", async () => {
  const { code } = await onTerminal(["init", "--force"], {
    answers: [
      ["Prefix", "shop\r"],
      ["Scopes", "orders:read orders:write\r"],
    ],
  });
  expect(code).toBe(0);
  const created = await create().catch((error: Error) => error.message);
  expect(created).toContain("The scopes are orders:read, orders:write");
});
