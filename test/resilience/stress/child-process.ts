import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { inject } from "vitest";
import type { Target } from "./backends.js";

/** A process that has opened a store and waits for commands. */
export interface Child {
  /** Returns the next line of output, or `undefined` after the last one. */
  next(): Promise<unknown>;
  send(line: string): void;
  /** Sends SIGKILL, and waits for the exit. */
  kill(): Promise<void>;
}

/** What the process does with each key id that it receives; see child.ts. */
export type Command = "race" | "rotate";

/** Starts a process, and waits until it has opened the store. */
export async function startChild(
  command: Command,
  { kind, backend }: Target,
  place: string,
  count = 1,
): Promise<Child> {
  const args = ["--no-warnings", inject("child"), command, kind, backend.name, place, `${count}`];
  const env = { ...process.env, STRESS_SERVERS: JSON.stringify(inject("servers")) };
  const child = spawn(process.execPath, args, { env });
  let stderr = "";
  child.stderr.on("data", (text) => {
    stderr += text;
  });
  child.stdin.on("error", () => {}); // the process may have been killed; `next` then returns undefined
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    const { value, done } = await lines.next();
    if (done && stderr !== "") throw new Error(stderr);
    return done ? undefined : JSON.parse(value);
  };
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  };
  if ((await next()) !== "ready") {
    await kill();
    throw new Error(`the child process did not start: ${stderr}`);
  }
  return { next, send: (line) => child.stdin.write(`${line}\n`), kill };
}
