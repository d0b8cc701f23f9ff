import { type ImportKey, KeyConflictError, KeyInputError, type KeyManager, StoreError } from "../kit.js";
import { CommandError, describeError, EXIT, tablesAreMissing } from "./errors.js";
import { escapeText } from "./escape.js";
import type { Line } from "./read-lines.js";

/** The results so far. */
export interface ImportCounts {
  readonly imported: number;
  /** Keys that the store already had. */
  readonly skipped: number;
  readonly failed: number;
}

/** Imports lines in batches. */
export interface Importer {
  readonly counts: ImportCounts;
  add(line: Line): Promise<void>;
  /** Imports the last batch. */
  finish(): Promise<void>;
}

const BATCH_SIZE = 20; // enough to keep a server busy
const MAX_CONSECUTIVE_FAILURES = 10;

/** @param log is called for each line that fails, with its number and without its content. */
export function createImporter(
  manager: KeyManager,
  actor: string,
  signal: AbortSignal,
  log: (text: string) => void,
): Importer {
  const counts = { imported: 0, skipped: 0, failed: 0 };
  let batch: Line[] = [];
  let consecutiveFailures = 0;

  /** Returns the error of a line that fails. */
  const importLine = async ({ text }: Line): Promise<unknown> => {
    try {
      if (text === undefined) throw new KeyInputError("the line", "is too long or not UTF-8");
      await manager.import(parseLine(text), actor);
      return undefined;
    } catch (error) {
      return error;
    }
  };

  const flush = async (): Promise<void> => {
    const lines = batch;
    batch = [];
    const errors = await Promise.all(lines.map(importLine));
    for (const [index, line] of lines.entries()) {
      const error = errors[index];
      // Two lines of a batch may be the same key, which some stores report as a failure. Alone, the second line is a
      // conflict.
      const retry = error instanceof StoreError && !signal.aborted && !tablesAreMissing(error);
      record(line, retry ? await importLine(line) : error);
    }
  };

  const record = ({ number }: Line, error: unknown): void => {
    signal.throwIfAborted();
    if (tablesAreMissing(error)) throw error;
    consecutiveFailures = error instanceof StoreError ? consecutiveFailures + 1 : 0;
    if (error === undefined) counts.imported += 1;
    else if (error instanceof KeyConflictError) counts.skipped += 1;
    else {
      counts.failed += 1;
      const message = error instanceof KeyInputError ? error.message : describeError(error).message;
      log(escapeText(`line ${number}: ${message}`));
    }
    if (consecutiveFailures === MAX_CONSECUTIVE_FAILURES) {
      throw new CommandError(
        EXIT.failed,
        `The import stopped, because the store failed ${MAX_CONSECUTIVE_FAILURES} times in a row`,
      );
    }
  };

  return {
    counts,
    finish: flush,
    async add(line) {
      if (line.text?.trim() === "") return;
      batch.push(line);
      if (batch.length >= BATCH_SIZE) await flush();
    },
  };
}

function parseLine(text: string): ImportKey {
  try {
    return JSON.parse(text);
  } catch {
    throw new KeyInputError("the line", "is not JSON"); // the parser's message would quote it
  }
}
