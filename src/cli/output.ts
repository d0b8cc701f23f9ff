import type { Writable } from "node:stream";
import Table from "cli-table3";
import { OutputClosedError } from "./failure.js";
import { printable, printableJson } from "./printable.js";

/** Where a command writes: results to stdout, everything about them to stderr. */
export interface Output {
  /** Writes a result. @throws OutputClosedError when nobody reads any more. */
  write(text: string): Promise<void>;
  /** Writes a result as one JSON document. */
  json(value: unknown): Promise<void>;
  /** Says something to the person at the terminal, on stderr. */
  say(text: string): void;
  /** The terminal for progress, or `undefined`: stderr, if it is one that can move its cursor. */
  readonly terminal: NodeJS.WriteStream | undefined;
}

export function createOutput(stdout: NodeJS.WriteStream, stderr: NodeJS.WriteStream): Output {
  for (const stream of [stdout, stderr]) stream.on("error", () => {}); // each write tells its own
  const write = (text: string) => written(stdout, text);
  return {
    write,
    json: (value) => write(`${printableJson(value)}\n`),
    say: (text) => void stderr.write(`${text}\n`),
    terminal: stderr.isTTY && process.env.TERM !== "dumb" ? stderr : undefined,
  };
}

function written(stream: Writable, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => {
      if (!error) return resolve();
      const gone = ["EPIPE", "ERR_STREAM_DESTROYED"].includes((error as NodeJS.ErrnoException).code ?? "");
      reject(gone ? new OutputClosedError("Nobody reads the output any more") : error);
    });
  });
}

/** A column of a list. */
export interface Column<T> {
  readonly title: string;
  /** The text of a cell; it need not be printable. */
  readonly text: (item: T) => string;
}

// No lines, and no colours: what is piped into grep or awk is what is looked at.
const PLAIN = {
  chars: Object.fromEntries(
    "top,top-mid,top-left,top-right,bottom,bottom-mid,bottom-left,bottom-right,left,left-mid,mid,mid-mid,right,right-mid"
      .split(",")
      .map((name) => [name, ""]),
  ),
  style: { head: [], border: [], "padding-left": 0, "padding-right": 0, compact: true },
};

/** Lines up rows of printable cells. */
export function lineUp(rows: readonly (readonly string[])[]): string {
  const table = new Table({ ...PLAIN, chars: { ...PLAIN.chars, middle: "  " } });
  table.push(...rows.map((row) => [...row]));
  const lines = table.toString().split("\n");
  return `${lines.map((line) => line.trimEnd()).join("\n")}\n`;
}

/** Names and values, one a line. */
export function sheet(facts: readonly (readonly [name: string, value: string])[]): string {
  return lineUp(facts.map(([name, value]) => [name, printable(value)]));
}

/** Writes a list page by page, so that one of any length takes the memory of one page. */
export async function writeList<T>(
  output: Output,
  pages: AsyncIterable<readonly T[]>,
  columns: readonly Column<T>[],
  json: boolean,
): Promise<number> {
  let count = 0;
  let widths = columns.map(() => 0);
  for await (const items of pages) {
    if (items.length === 0) continue;
    if (json) {
      const texts = items.map((item) => printableJson(item, 0));
      await output.write(`${count === 0 ? "[\n" : ",\n"}${texts.join(",\n")}`);
    } else {
      const rows = items.map((item) => columns.map(({ text }) => printable(text(item))));
      if (count === 0) rows.unshift(columns.map(({ title }) => title));
      // Later pages are at least as wide as the ones before, so that columns stay where they are.
      const padded = rows.map((row) => row.map((cell, index) => cell.padEnd(widths[index] ?? 0)));
      widths = widths.map((width, index) => Math.max(width, ...padded.map((row) => row[index]?.length ?? 0)));
      await output.write(lineUp(padded));
    }
    count += items.length;
  }
  if (json) await output.write(count === 0 ? "[]\n" : "\n]\n");
  return count;
}
