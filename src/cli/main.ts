import { CommanderError } from "commander";
import { CommandError, EXIT, explain, OutputClosedError } from "./failure.js";
import { createOutput } from "./output.js";
import { createProgram } from "./program.js";

// How long a command that was asked to end may take to finish what it is at, and how long connections may
// keep a process that is done.
const GRACE_MS = 3_000;

/** Runs the command that the process was started with, and sets its exit code. */
export async function main(version: string): Promise<void> {
  const output = createOutput(process.stdout, process.stderr);
  const ending = new AbortController();
  let exit: number = EXIT.ok;
  let signalled: number | undefined;

  const end = (code: number) => {
    if (signalled !== undefined) process.exit(code); // asked twice
    signalled = code;
    ending.abort();
    setTimeout(() => process.exit(code), GRACE_MS).unref();
  };
  process.on("SIGINT", () => end(EXIT.interrupted));
  process.on("SIGTERM", () => end(EXIT.terminated));

  const answer = (code: number) => {
    exit = code;
  };
  const program = createProgram({ output, signal: ending.signal, answer }, version);
  try {
    await program.parseAsync(process.argv);
  } catch (error) {
    if (error instanceof CommanderError) exit = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    else if (!(error instanceof OutputClosedError)) {
      const explained = explain(error);
      // Ctrl-C ends a whole pipeline: a secret that is lost by it must still be told of.
      if (signalled === undefined || error instanceof CommandError)
        output.say(`keybearer: ${explained.message}`);
      exit = explained.exit;
    }
    if (signalled !== undefined) exit = signalled;
  }
  process.exitCode = exit;
  process.stdin.destroy();
  setTimeout(() => process.exit(exit), GRACE_MS).unref();
}
