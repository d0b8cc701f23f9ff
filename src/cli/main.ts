import { CommanderError } from "commander";
import { CommandError, describeError, ERROR_PREFIX, EXIT, OutputClosedError } from "./errors.js";
import { createOutput } from "./output.js";
import { createProgram } from "./program.js";

// How long a store call in progress may take after a signal, and open connections after the command is done.
const GRACE_MS = 3_000;

/** Runs the command of the process and sets the exit code. */
export async function main(version: string): Promise<void> {
  const output = createOutput(process.stdout, process.stderr);
  const controller = new AbortController();
  let exitCode: number = EXIT.ok;
  let signalExitCode: number | undefined;
  let graceMs = GRACE_MS;

  const onSignal = (code: number) => {
    if (signalExitCode !== undefined) process.exit(code); // the second signal
    signalExitCode = code;
    controller.abort();
    setTimeout(() => process.exit(code), graceMs).unref();
  };
  process.on("SIGINT", () => onSignal(EXIT.interrupted));
  process.on("SIGTERM", () => onSignal(EXIT.terminated));

  const setExitCode = (code: number) => {
    exitCode = code;
  };
  const setGrace = (ms: number) => {
    graceMs = ms;
  };
  const program = createProgram({ output, signal: controller.signal, setExitCode, setGrace }, version);
  try {
    await program.parseAsync(process.argv);
  } catch (error) {
    if (error instanceof CommanderError) exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    else if (!(error instanceof OutputClosedError)) {
      const described = describeError(error);
      // After a signal only a CommandError is shown, such as the loss of a secret.
      if (signalExitCode === undefined || error instanceof CommandError) {
        output.log(`${ERROR_PREFIX}${described.message}`);
      }
      exitCode = described.exitCode;
    }
    if (signalExitCode !== undefined) exitCode = signalExitCode;
  }
  process.exitCode = exitCode;
  process.stdin.destroy();
  setTimeout(() => process.exit(exitCode), GRACE_MS).unref();
}
