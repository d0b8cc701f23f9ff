// Runs the built command as a process of its own, the way people do.

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";

export const BIN: string = fileURLToPath(new URL("../../dist/cli/index.js", import.meta.url));

/** What a run came to. */
export interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where a command runs. */
export interface Place {
  /** The directory, with a configuration in it. */
  readonly folder: string;
  readonly url?: string | undefined;
  readonly bin?: string;
}

export interface RunOptions {
  readonly input?: string;
  readonly env?: NodeJS.ProcessEnv;
}

export const CONFIG = {
  prefix: "ezt",
  environments: ["live", "test"],
  environment: "live",
  scopes: {
    "vehicles:read": { description: "List vehicles" },
    "vehicles:write": { implies: ["vehicles:read"] },
    "reports:read": { status: "planned" },
  },
};

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A directory of its own, with a configuration and the URL of a store in the environment. */
export function freshPlace(url?: string, config: object = CONFIG): Place & { url: string } {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "keybearer-cli-")));
  folders.push(folder);
  writeFileSync(join(folder, "keybearer.config.json"), JSON.stringify(config));
  return { folder, url: url ?? `sqlite:${join(folder, "keys.db")}` };
}

export function start(place: Place, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { KEYBEARER_URL: _, DATABASE_URL: __, ...inherited } = process.env;
  const own = place.url === undefined ? {} : { KEYBEARER_URL: place.url };
  return spawn(process.execPath, [place.bin ?? BIN, ...args], {
    cwd: place.folder,
    env: { ...inherited, ...own, ...env },
  });
}

export async function ended(child: ChildProcessWithoutNullStreams): Promise<Result> {
  const texts = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text) => {
      texts[name] += text;
    });
  }
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, ...texts };
}

/** Runs to the end. */
export async function run(place: Place, args: readonly string[], options: RunOptions = {}): Promise<Result> {
  const child = start(place, args, options.env);
  child.stdin.on("error", () => {}); // it may end before it has read all
  child.stdin.end(options.input ?? "");
  return ended(child);
}

/** A run that succeeds; answers its stdout. */
export async function done(place: Place, args: readonly string[], options?: RunOptions): Promise<string> {
  const { code, stdout, stderr } = await run(place, args, options);
  if (code !== 0) throw new Error(`keybearer ${args.join(" ")} answered ${code}: ${stderr}`);
  return stdout;
}

/** A run that succeeds with `--json`. */
export async function json(place: Place, args: readonly string[], options?: RunOptions): Promise<unknown> {
  return JSON.parse(await done(place, [...args, "--json"], options));
}

export function freshName(): string {
  return `cli_${randomUUID().replaceAll("-", "").slice(0, 16)}`;
}
