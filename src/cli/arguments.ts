import { Command, InvalidArgumentError, Option } from "commander";
import { usageError } from "./failure.js";
import { type Context, readDuration } from "./session.js";

/** What a command gets from the process. */
export interface Run extends Context {
  /** Sets what the process answers, when it is not 0. */
  readonly answer: (exit: number) => void;
}

/** Makes a command with its examples. */
export function command(name: string, description: string, examples: readonly string[]): Command {
  const lines = examples.map((example) => `  $ ${example}`);
  return new Command(name).description(description).addHelpText("after", `\nExamples:\n${lines.join("\n")}`);
}

/** Adds what every command has that opens a store. */
export function withStore(made: Command): Command {
  return made
    .option("--config <file>", "the configuration (default: keybearer.config.json, .js or .mjs here)")
    .option("--url <url>", "the store; a variable keeps its password out of the list of processes")
    .option("--connect-timeout <duration>", "how long to wait for the server", "10s")
    .option("--json", "write one JSON document instead of a table");
}

/** Adds who did it, for commands that change something. */
export function withActor(made: Command): Command {
  return made.option("--actor <name>", "who does it, for the audit trail (default: cli:<your user name>)");
}

/** Adds how much of a list to show. */
export function withLength(made: Command): Command {
  return made
    .addOption(new Option("--limit <n>", "at most so many").argParser(readCount).default(50))
    .option("--all", "all of them, however many");
}

/** How many items {@link withLength} asks for. */
export function lengthOf({ limit, all }: { readonly limit: number; readonly all?: boolean }): number {
  return all ? Number.POSITIVE_INFINITY : limit;
}

/** Reads a whole number above 0. */
export function readCount(text: string): number {
  const count = Number(text);
  if (/^\d{1,15}$/.test(text) && count > 0) return count;
  throw new InvalidArgumentError("It must be a whole number above 0.");
}

/** Collects an option that may be given several times. */
export function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value];
}

/** Reads when a key expires: a moment, or a length of time from now. */
export function readExpiry(text: string): Date | string {
  return /^\d+[a-z]+$/.test(text) ? new Date(Date.now() + readDuration("--expires", text)) : text;
}

/** Reads `600/1m` as 600 requests in 60 seconds. */
export function readRateLimit(text: string): { limit: number; windowSeconds: number } {
  const [, limit, window] = /^(\d{1,15})\/(\d\w*)$/.exec(text) ?? [];
  const windowMs = window === undefined ? 0 : readDuration("--rate-limit", window);
  if (limit !== undefined && windowMs >= 1_000 && windowMs % 1_000 === 0) {
    return { limit: Number(limit), windowSeconds: windowMs / 1_000 };
  }
  throw usageError("--rate-limit must be requests and whole seconds, such as 600/1m");
}

/** Reads a JSON object. The error does not quote it. */
export function readJson(argument: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw usageError(`${argument} must be JSON`);
  }
}

/** Leaves out what was not given: a filter that is `undefined` would be none. */
export function given<T extends object>(members: T): { [Name in keyof T]: Exclude<T[Name], undefined> } {
  const entries = Object.entries(members).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [Name in keyof T]: Exclude<T[Name], undefined> };
}

/** @throws CommandError when arguments came that a secret may be among. It says nothing of them. */
export function refuseSecrets(made: Command, most = 0): void {
  if (made.args.length <= most) return;
  throw usageError(
    "A secret must not be an argument: other users see it in the list of processes, and the shell keeps it. Pipe it in, or name a file",
  );
}
