import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Writable } from "node:stream";

/** A program that shows text page by page. */
export interface Pager {
  readonly stdin: Writable;
  /** Waits until the user closes the pager. */
  close(): Promise<void>;
}

// Quit if the text fits on one screen, pass colors through, and leave the text on the screen.
const LESS_OPTIONS = "FRX";

/** Starts the pager of the user: `PAGER`, or `less`. Returns `undefined` if neither can be started. */
export async function startPager(env: NodeJS.ProcessEnv): Promise<Pager | undefined> {
  const [name, ...args] = (env.PAGER ?? "less").trim().split(/\s+/);
  if (!name || name === "cat") return undefined;
  const child = spawn(name, args, {
    stdio: ["pipe", "inherit", "inherit"],
    env: { ...env, LESS: env.LESS ?? LESS_OPTIONS },
  });
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  try {
    await once(child, "spawn");
  } catch {
    return undefined; // not installed
  }
  child.stdin.on("error", () => {}); // each write reports its own error
  return {
    stdin: child.stdin,
    close() {
      child.stdin.end();
      return closed;
    },
  };
}
