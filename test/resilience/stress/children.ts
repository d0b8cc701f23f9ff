import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { inject } from "vitest";
import type { Target } from "./backends.js";

/** A process that has a store open, and waits for what it is told. */
export interface Child {
  /** The next line that it says, or `undefined` at its end. */
  next(): Promise<unknown>;
  tell(line: string): void;
  /** Ends it with SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
}

/** What a process does with each id of a key that it is told; see child.ts. */
export type Command = "race" | "rotate";

/** Starts a process, and waits until it has the store open. */
export async function startChild(
  command: Command,
  { kind, backend }: Target,
  place: string,
  count = 1,
): Promise<Child> {
  const args = ["--no-warnings", inject("child"), command, kind, backend.name, place, `${count}`];
  const env = { ...process.env, STRESS_SERVERS: JSON.stringify(inject("servers")) };
  const child = spawn(process.execPath, args, { env });
  let complaint = "";
  child.stderr.on("data", (text) => {
    complaint += text;
  });
  child.stdin.on("error", () => {}); // it may be gone; what it says next tells
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    const { value, done } = await lines.next();
    if (done && complaint !== "") throw new Error(complaint);
    return done ? undefined : JSON.parse(value);
  };
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  };
  if ((await next()) !== "ready") {
    await kill();
    throw new Error(`a process did not start: ${complaint}`);
  }
  return { next, tell: (line) => child.stdin.write(`${line}\n`), kill };
}
