import type { Writable } from "node:stream";
import Table from "cli-table3";
import { OutputClosedError } from "./errors.js";
import { escapeJson, escapeText, truncate } from "./escape.js";
import { type Pager, startPager } from "./pager.js";

/** The streams of a command: results go to stdout, messages to stderr. */
export interface Output {
  /** Writes a result to stdout. @throws OutputClosedError if the reader has closed it. */
  write(text: string): Promise<void>;
  /** Writes a result to stdout as one JSON document. */
  json(value: unknown): Promise<void>;
  /** Writes a message to stderr. */
  log(text: string): void;
  /** The width of stdout, if it is a terminal. */
  readonly columns: number | undefined;
  /** Shows the results of a function in a pager, if stdout is a terminal. Messages follow when it is closed. */
  page<T>(run: () => Promise<T>): Promise<T>;
  /** Stderr, if it is a terminal that can move its cursor. */
  readonly terminal: NodeJS.WriteStream | undefined;
}

const DEFAULT_WIDTH = 80;

export function createOutput(stdout: NodeJS.WriteStream, stderr: NodeJS.WriteStream): Output {
  for (const stream of [stdout, stderr]) stream.on("error", () => {}); // each write reports its own error
  let pager: Pager | undefined;
  let held: string[] = [];
  const write = (text: string) => writeTo(pager?.stdin ?? stdout, text);
  return {
    write,
    json: (value) => write(`${escapeJson(value)}\n`),
    log(text) {
      if (pager === undefined) stderr.write(`${text}\n`);
      else held.push(`${text}\n`);
    },
    columns: stdout.isTTY ? stdout.columns || DEFAULT_WIDTH : undefined,
    async page(run) {
      pager = stdout.isTTY ? await startPager(process.env) : undefined;
      try {
        return await run();
      } finally {
        await pager?.close();
        pager = undefined;
        for (const text of held) stderr.write(text);
        held = [];
      }
    },
    terminal: stderr.isTTY && process.env.TERM !== "dumb" ? stderr : undefined,
  };
}

/** Writes to a stream, and waits until it has been written. */
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
  /** Returns the text for a terminal; that of `text` by default. */
  readonly human?: (item: T) => string;
  /** In a narrow terminal, columns of a low rank are left out. Columns without a rank stay. */
  readonly rank?: number;
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
  const table = new Table({ ...PLAIN, chars: { ...PLAIN.chars, middle: GAP } });
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
  if (json) return writeJsonList(output, pages);
  return output.page(() => writeTable(output, pages, columns));
}

async function writeJsonList<T>(output: Output, pages: AsyncIterable<readonly T[]>): Promise<number> {
  let count = 0;
  for await (const items of pages) {
    if (items.length === 0) continue;
    const texts = items.map((item) => escapeJson(item, 0));
    await output.write(`${count === 0 ? "[\n" : ",\n"}${texts.join(",\n")}`);
    count += items.length;
  }
  await output.write(count === 0 ? "[]\n" : "\n]\n");
  return count;
}

async function writeTable<T>(
  { columns: width, write, log }: Output,
  pages: AsyncIterable<readonly T[]>,
  columns: readonly Column<T>[],
): Promise<number> {
  let count = 0;
  let shown = columns;
  let widths: readonly number[] = [];
  for await (const items of pages) {
    if (items.length === 0) continue;
    const cellsOf = ({ text, human = text }: Column<T>): readonly string[] =>
      items.map((item) => escapeText((width === undefined ? text : human)(item)));
    if (count === 0) {
      if (width !== undefined) shown = fitColumns(columns, cellsOf, width);
      widths = shown.map(({ title }) => title.length);
    }
    // Columns never get narrower, so that they stay aligned with earlier pages.
    const cells = shown.map(cellsOf);
    widths = cells.map((column, index) => Math.max(widths[index] ?? 0, ...column.map((cell) => cell.length)));
    const rows = items.map((_, row) => cells.map((column) => column[row] as string));
    if (count === 0) rows.unshift(shown.map(({ title }) => title));
    const padded = rows.map((row) => row.map((cell, index) => cell.padEnd(widths[index] ?? 0)));
    const table = formatTable(padded);
    await write(width === undefined ? table : truncateLines(table, width));
    count += items.length;
  }
  if (shown.length < columns.length) {
    const missing = columns.filter((column) => !shown.includes(column)).map(({ title }) => title);
    log(`Not shown in ${width} columns: ${missing.join(", ")}.`);
  }
  return count;
}

const GAP = "  ";

/** Returns the columns that fit into the width: those without a rank, and others by rank. */
function fitColumns<T>(
  columns: readonly Column<T>[],
  cellsOf: (column: Column<T>) => readonly string[],
  width: number,
): readonly Column<T>[] {
  const byRank = columns.toSorted((a, b) => rankOf(b) - rankOf(a));
  const shown = new Set<Column<T>>();
  let left = width + GAP.length;
  for (const column of byRank) {
    const need = GAP.length + Math.max(column.title.length, ...cellsOf(column).map((cell) => cell.length));
    if (column.rank !== undefined && need > left) continue;
    shown.add(column);
    left -= need;
  }
  return columns.filter((column) => shown.has(column));
}

function rankOf({ rank = Number.MAX_SAFE_INTEGER }: Column<never>): number {
  return rank;
}

function truncateLines(text: string, width: number): string {
  return text
    .split("\n")
    .map((line) => truncate(line, width))
    .join("\n");
}
