import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { CommandError, EXIT } from "./errors.js";
import { escapeText } from "./escape.js";

/** Whether someone can answer a question: stdin and stderr are a terminal. */
export function isInteractive(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

/** Asks for a line of text on the terminal. */
export function ask(question: string, signal: AbortSignal): Promise<string> {
  return prompt(question, { hidden: false, signal });
}

/** Asks for a secret on the terminal, without showing what is typed. */
export async function askSecret(question: string, signal: AbortSignal): Promise<string> {
  try {
    return await prompt(question, { hidden: true, signal });
  } finally {
    process.stderr.write("\n");
  }
}

/**
 * Asks for a confirmation if there is a terminal, unless `yes` is set. Scripts are not asked.
 *
 * @throws CommandError if the answer is not yes.
 */
export async function confirm(
  question: string,
  yes: boolean | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (yes === true || !isInteractive()) return;
  const answer = await ask(`${escapeText(question)} [y/N] `, signal);
  if (!/^y(es)?$/i.test(answer.trim()))
    throw new CommandError(EXIT.rejected, "Canceled; nothing was changed");
}

async function prompt(
  question: string,
  { hidden, signal }: { hidden: boolean; signal: AbortSignal },
): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const output = hidden ? nowhere : process.stderr;
  // Puts the terminal into raw mode. Until then it shows what is typed, so the question follows.
  const reader = createInterface({ input: process.stdin, output, terminal: true });
  if (hidden) process.stderr.write(question);
  // In raw mode, Ctrl-C and Ctrl-D do not send signals.
  reader.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  const closed = new Promise<never>((_, reject) =>
    reader.once("close", () => reject(new CommandError(EXIT.usage, "The input ended before the answer"))),
  );
  try {
    return await Promise.race([reader.question(question, { signal }), closed]);
  } finally {
    closed.catch(() => {});
    reader.close();
  }
}
