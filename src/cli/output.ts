import type { Writable } from "node:stream";
import Table from "cli-table3";
import { OutputClosedError } from "./errors.js";
import { escapeJson, escapeText } from "./escape.js";

/** The streams of a command: results go to stdout, messages to stderr. */
export interface Output {
  /** Writes a result to stdout. @throws OutputClosedError if the reader has closed it. */
  write(text: string): Promise<void>;
  /** Writes a result to stdout as one JSON document. */
  json(value: unknown): Promise<void>;
  /** Writes a message to stderr. */
  log(text: string): void;
  /** Stderr, if it is a terminal that can move its cursor. */
  readonly terminal: NodeJS.WriteStream | undefined;
}

export function createOutput(stdout: NodeJS.WriteStream, stderr: NodeJS.WriteStream): Output {
  for (const stream of [stdout, stderr]) stream.on("error", () => {}); // each write reports its own error
  const write = (text: string) => writeTo(stdout, text);
  return {
    write,
    json: (value) => write(`${escapeJson(value)}\n`),
    log: (text) => void stderr.write(`${text}\n`),
    terminal: stderr.isTTY && process.env.TERM !== "dumb" ? stderr : undefined,
  };
}

function writeTo(stream: Writable, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => {
      if (!error) return resolve();
      const closed = ["EPIPE", "ERR_STREAM_DESTROYED"].includes((error as NodeJS.ErrnoException).code ?? "");
      reject(closed ? new OutputClosedError("The output is closed") : error);
    });
  });
}

/** A column of a table. */
export interface Column<T> {
  readonly title: string;
  /** Returns the text of a cell, unescaped. */
  readonly text: (item: T) => string;
}

// No borders and no colors, so that grep and awk see what a terminal shows.
const PLAIN = {
  chars: Object.fromEntries(
    "top,top-mid,top-left,top-right,bottom,bottom-mid,bottom-left,bottom-right,left,left-mid,mid,mid-mid,right,right-mid"
      .split(",")
      .map((name) => [name, ""]),
  ),
  style: { head: [], border: [], "padding-left": 0, "padding-right": 0, compact: true },
};

/** Formats rows of escaped cells in aligned columns. */
function formatTable(rows: readonly (readonly string[])[]): string {
  const table = new Table({ ...PLAIN, chars: { ...PLAIN.chars, middle: "  " } });
  table.push(...rows.map((row) => [...row]));
  const lines = table.toString().split("\n");
  return `${lines.map((line) => line.trimEnd()).join("\n")}\n`;
}

/** Formats names and values, one pair a line. */
export function formatDetails(details: readonly (readonly [name: string, value: string])[]): string {
  return formatTable(details.map(([name, value]) => [name, escapeText(value)]));
}

/** Writes a list page by page, with at most one page in memory. Returns the number of items. */
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
      const texts = items.map((item) => escapeJson(item, 0));
      await output.write(`${count === 0 ? "[\n" : ",\n"}${texts.join(",\n")}`);
    } else {
      const rows = items.map((item) => columns.map(({ text }) => escapeText(text(item))));
      if (count === 0) rows.unshift(columns.map(({ title }) => title));
      // Columns never get narrower, so that they stay aligned with earlier pages.
      const padded = rows.map((row) => row.map((cell, index) => cell.padEnd(widths[index] ?? 0)));
      widths = widths.map((width, index) => Math.max(width, ...padded.map((row) => row[index]?.length ?? 0)));
      await output.write(formatTable(padded));
    }
    count += items.length;
  }
  if (json) await output.write(count === 0 ? "[]\n" : "\n]\n");
  return count;
}
