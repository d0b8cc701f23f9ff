import type { Output } from "./output.js";

/** Tells how far a long work has come: a bar on a terminal, else a line now and then. */
export interface Progress {
  /** So far. */
  update(done: number, counted: string): void;
  /** Says something while the bar is there. */
  say(text: string): void;
  stop(): void;
}

const LINE_EVERY_MS = 10_000;

/** @param total what `done` ends at; `undefined` when nobody knows. */
export async function startProgress(output: Output, title: string, total?: number): Promise<Progress> {
  const { terminal, say } = output;
  if (terminal === undefined) {
    let last = performance.now();
    return {
      say,
      stop() {},
      update(_, counted) {
        if (performance.now() - last < LINE_EVERY_MS) return;
        last = performance.now();
        say(`${title}: ${counted}`);
      },
    };
  }
  const { SingleBar } = await import("cli-progress");
  const format = total === undefined ? `${title}: {counted}` : `${title} [{bar}] {percentage}% {counted}`;
  const bar = new SingleBar({ format, stream: terminal, clearOnComplete: true, hideCursor: true, fps: 5 });
  // Whatever ends the process: a bar that is there hides the cursor, and keeps lines from wrapping.
  const stop = () => {
    process.off("exit", stop);
    bar.stop();
  };
  process.once("exit", stop);
  bar.start(total ?? 1, 0, { counted: "" });
  return {
    stop,
    update: (done, counted) => bar.update(total === undefined ? 0 : Math.min(done, total), { counted }),
    // Over the bar, which comes back by itself; it ends where the cursor was last saved (DECSC), so below this.
    say: (text) => void terminal.write(`\r\x1b[K${text}\n\x1b7`),
  };
}
