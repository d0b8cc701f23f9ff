import { type ImportKey, KeyConflictError, KeyInputError, type KeyManager, StoreError } from "../kit.js";
import { CommandError, EXIT, explain, tablesAreMissing } from "./failure.js";
import type { Line } from "./lines.js";
import { printable } from "./printable.js";

/** What came of the lines so far. */
export interface Tally {
  readonly imported: number;
  /** Keys that were there already. */
  readonly skipped: number;
  readonly failed: number;
}

/** Imports lines, several at once. */
export interface Importer {
  readonly tally: Tally;
  add(line: Line): Promise<void>;
  /** Imports what still waits. */
  finish(): Promise<void>;
}

// Two round trips and an insertion each: so many at once keep a server busy, and are little to remember.
const AT_ONCE = 20;
const MAX_FAILURES = 10;

/**
 * @param say is told of each line that fails, with its number and without its content.
 */
export function createImporter(
  manager: KeyManager,
  actor: string,
  signal: AbortSignal,
  say: (text: string) => void,
): Importer {
  const tally = { imported: 0, skipped: 0, failed: 0 };
  let waiting: Line[] = [];
  let failuresInARow = 0;

  const take = async ({ text }: Line): Promise<unknown> => {
    try {
      if (text === undefined) throw new KeyInputError("the line", "is too long, or no UTF-8");
      await manager.import(parsed(text), actor);
      return undefined;
    } catch (error) {
      return error;
    }
  };

  const flush = async (): Promise<void> => {
    const lines = waiting;
    waiting = [];
    const outcomes = await Promise.all(lines.map(take));
    for (const [index, line] of lines.entries()) {
      // What the store failed with may be that two of these lines are the same key: alone, the second one is
      // a key that is there.
      const first = outcomes[index];
      if (first instanceof StoreError && !signal.aborted && !tablesAreMissing(first)) {
        settle(line, await take(line));
      } else settle(line, first);
    }
  };

  const settle = ({ number }: Line, error: unknown): void => {
    signal.throwIfAborted();
    if (tablesAreMissing(error)) throw error;
    failuresInARow = error instanceof StoreError ? failuresInARow + 1 : 0;
    if (error === undefined) tally.imported += 1;
    else if (error instanceof KeyConflictError) tally.skipped += 1;
    else {
      tally.failed += 1;
      const message = error instanceof KeyInputError ? error.message : explain(error).message;
      say(printable(`line ${number}: ${message}`));
    }
    if (failuresInARow === MAX_FAILURES) {
      throw new CommandError(EXIT.failed, `The store failed ${MAX_FAILURES} times in a row; gave up`);
    }
  };

  return {
    tally,
    finish: flush,
    async add(line) {
      if (line.text?.trim() === "") return;
      waiting.push(line);
      if (waiting.length >= AT_ONCE) await flush();
    },
  };
}

function parsed(text: string): ImportKey {
  try {
    return JSON.parse(text);
  } catch {
    throw new KeyInputError("the line", "is not JSON"); // the parser's own words quote it
  }
}
