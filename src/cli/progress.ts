import type { Output } from "./output.js";

/** Reports the progress of a command: a bar on a terminal, otherwise a line every ten seconds. */
export interface Progress {
  /** `summary` describes the progress in words. */
  update(done: number, summary: string): void;
  /** Writes a message above the bar. */
  log(text: string): void;
  stop(): void;
}

const LINE_INTERVAL_MS = 10_000;

/** @param total the final value of `done`, if it is known. */
export async function startProgress(output: Output, title: string, total?: number): Promise<Progress> {
  const { terminal, log } = output;
  if (terminal === undefined) {
    let lastLine = performance.now();
    return {
      log,
      stop() {},
      update(_, summary) {
        if (performance.now() - lastLine < LINE_INTERVAL_MS) return;
        lastLine = performance.now();
        log(`${title}: ${summary}`);
      },
    };
  }
  const { SingleBar } = (await import("cli-progress")).default;
  const format = total === undefined ? `${title}: {summary}` : `${title} [{bar}] {percentage}% {summary}`;
  const bar = new SingleBar({ format, stream: terminal, clearOnComplete: true, hideCursor: true, fps: 5 });
  // The bar hides the cursor and disables line wrapping, so it must be stopped however the process ends.
  const stop = () => {
    process.off("exit", stop);
    bar.stop();
  };
  process.once("exit", stop);
  bar.start(total ?? 1, 0, { summary: "" });
  return {
    stop,
    update: (done, summary) => bar.update(total === undefined ? 0 : Math.min(done, total), { summary }),
    // Overwrites the bar and saves the cursor below the text (DECSC), where the bar is drawn again.
    log: (text) => void terminal.write(`\r\x1b[K${text}\n\x1b7`),
  };
}
