// Runs the built command in its own process.

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";

export const BIN: string = fileURLToPath(new URL("../../dist/cli/index.js", import.meta.url));

/** The result of a run. */
export interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The directory and the store of a run. */
export interface Place {
  /** A directory with a configuration file. */
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

/** Creates a directory with a configuration file, and the URL of a SQLite file by default. */
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

/** Runs a command until it exits. */
export async function run(place: Place, args: readonly string[], options: RunOptions = {}): Promise<Result> {
  const child = start(place, args, options.env);
  child.stdin.on("error", () => {}); // it may exit before it has read everything
  child.stdin.end(options.input ?? "");
  return ended(child);
}

/** Runs a command that must succeed, and returns its stdout. */
export async function done(place: Place, args: readonly string[], options?: RunOptions): Promise<string> {
  const { code, stdout, stderr } = await run(place, args, options);
  if (code !== 0) throw new Error(`keybearer ${args.join(" ")} exited with ${code}: ${stderr}`);
  return stdout;
}

/** Runs a command with `--json` that must succeed, and returns the document. */
export async function json(place: Place, args: readonly string[], options?: RunOptions): Promise<unknown> {
  return JSON.parse(await done(place, [...args, "--json"], options));
}

export function freshName(): string {
  return `cli_${randomUUID().replaceAll("-", "").slice(0, 16)}`;
}
