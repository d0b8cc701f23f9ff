import { KeyInputError } from "../../../../src/index.js";

/** Returns the KeyInputError that `read` throws. */
export function inputError(read: () => unknown): KeyInputError {
  try {
    read();
  } catch (error) {
    if (error instanceof KeyInputError) return error;
    throw error;
  }
  throw new Error("no error was thrown");
}

/** Returns `<path> <problem>` of the KeyInputError that `read` throws. */
export function problemOf(read: () => unknown): string {
  const { path, problem } = inputError(read);
  return `${path} ${problem}`;
}
