import { Command, InvalidArgumentError, Option } from "commander";
import { usageError } from "./errors.js";
import { type Context, readDurationArgument } from "./session.js";

/** What a command receives from the process. */
export interface Run extends Context {
  /** Sets the exit code of a command that does not throw; 0 by default. */
  readonly setExitCode: (code: number) => void;
  /** Sets how long the command may take after a signal, in milliseconds; 3,000 by default. */
  readonly setGrace: (ms: number) => void;
}

/** Creates a command with examples. */
export function command(name: string, description: string, examples: readonly string[]): Command {
  const lines = examples.map((example) => `  $ ${example}`);
  return new Command(name).description(description).addHelpText("after", `\nExamples:\n${lines.join("\n")}`);
}

/** Adds the options of every command that opens a store. */
export function withStore(target: Command): Command {
  return target
    .option("--config <file>", "the configuration file (default: keybearer.config.json, .ts, .js or .mjs)")
    .option("--url <url>", "the URL of the store; use an environment variable if it has a password")
    .option("--connect-timeout <duration>", "the time limit for connecting to the server", "10s")
    .option("--json", "print one JSON document instead of a table");
}

/** Adds `--actor`, for commands that change something. */
export function withActor(target: Command): Command {
  return target.option("--actor <name>", "the actor in the audit trail (default: cli:<your user name>)");
}

/** Adds `--limit` and `--all`, for lists. */
export function withLimit(target: Command): Command {
  return target
    .addOption(
      new Option("--limit <n>", "the maximum number of rows").argParser(readPositiveInteger).default(50),
    )
    .option("--all", "no maximum");
}

/** Returns the maximum number of rows. */
export function limitOf({ limit, all }: { readonly limit: number; readonly all?: boolean }): number {
  return all ? Number.POSITIVE_INFINITY : limit;
}

/** Reads a positive integer. */
export function readPositiveInteger(text: string): number {
  const value = Number(text);
  if (/^\d{1,15}$/.test(text) && value > 0) return value;
  throw new InvalidArgumentError("It must be a positive integer.");
}

/** Reads an expiry: a date, a day in UTC, or a duration from now. */
export function readExpiry(text: string): Date | string {
  if (/^\d{4}-\d\d-\d\d$/.test(text)) return `${text}T00:00:00Z`;
  return /^\d+[a-z]+$/.test(text) ? new Date(Date.now() + readDurationArgument("--expires", text)) : text;
}

/** Reads `600/1m` as 600 requests in 60 seconds. */
export function readRateLimit(text: string): { limit: number; windowSeconds: number } {
  const [, limit, window] = /^(\d{1,15})\/(\d\w*)$/.exec(text) ?? [];
  const windowMs = window === undefined ? 0 : readDurationArgument("--rate-limit", window);
  if (limit !== undefined && windowMs >= 1_000 && windowMs % 1_000 === 0) {
    return { limit: Number(limit), windowSeconds: windowMs / 1_000 };
  }
  throw usageError("--rate-limit must be a number of requests and whole seconds, such as 600/1m");
}

/** Reads JSON. The error does not contain the text. */
export function readJson(argument: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw usageError(`${argument} must be JSON`);
  }
}

/** Removes members that are `undefined`: the manager rejects filters that are `undefined`. */
export function omitUndefined<T extends object>(
  members: T,
): { [Name in keyof T]: Exclude<T[Name], undefined> } {
  const entries = Object.entries(members).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [Name in keyof T]: Exclude<T[Name], undefined> };
}

/** @throws CommandError if there are more than `max` arguments. It does not contain them: one may be a secret. */
export function rejectSecretArguments(target: Command, max = 0): void {
  if (target.args.length <= max) return;
  throw usageError(
    "A secret must not be an argument: process lists and the shell history show it. Pass it on stdin or in a file",
  );
}
