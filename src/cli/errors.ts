import { KeyConflictError, KeyInputError, KeyNotFoundError, KeyStateError, StoreError } from "../kit.js";

/** Begins every error on stderr. */
export const ERROR_PREFIX = "keybearer: ";

/** The exit codes, also documented in `docs/cli.md` and `--help`. */
export const EXIT = {
  ok: 0,
  /** The command failed: the store is unavailable, or lines were not imported. */
  failed: 1,
  /** Nothing was done: the arguments or the configuration are invalid. */
  usage: 2,
  /** Unknown key id, a state that does not allow the change, or a secret that is denied. */
  rejected: 3,
  /** 128 + SIGINT (Ctrl-C). */
  interrupted: 130,
  /** 128 + SIGTERM. */
  terminated: 143,
} as const;

/** An error with an exit code, and a message for the user. */
export class CommandError extends Error {
  override readonly name: "CommandError" = "CommandError";
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The reader of stdout has closed it, like `head`. */
export class OutputClosedError extends Error {
  override readonly name: "OutputClosedError" = "OutputClosedError";
}

/** Creates the error for invalid arguments or an invalid configuration. */
export function usageError(message: string): CommandError {
  return new CommandError(EXIT.usage, message);
}

// Members of keys and queries, and the arguments that set them.
const ARGUMENTS: Readonly<Record<string, string>> = {
  ownerId: "--owner",
  name: "--name",
  scopes: "--scope",
  environment: "--environment",
  ipAllowlist: "--ip",
  expiresAt: "--expires",
  metadata: "--metadata",
  rateLimit: "--rate-limit",
  status: "--status",
  reason: "--reason",
  overlap: "--overlap",
  actor: "--actor",
  createdByKey: "--created-by-key",
  retention: "--retention",
  limit: "--limit",
};

/** Returns the exit code and the message for any error. The message holds no text of a driver, so no secret. */
export function describeError(error: unknown): { readonly exitCode: number; readonly message: string } {
  if (error instanceof CommandError) return error;
  if (error instanceof KeyInputError) {
    const [member = ""] = error.path.split(/[.[]/, 1);
    const argument = Object.hasOwn(ARGUMENTS, member) ? ARGUMENTS[member] : error.path;
    return { exitCode: EXIT.usage, message: `${argument} ${error.problem}` };
  }
  if (
    error instanceof KeyNotFoundError ||
    error instanceof KeyStateError ||
    error instanceof KeyConflictError
  ) {
    return { exitCode: EXIT.rejected, message: error.message };
  }
  if (tablesAreMissing(error)) {
    return {
      exitCode: EXIT.failed,
      message: "The store has no tables for keys. Create them with: npx keybearer migrate",
    };
  }
  const driverError = error instanceof StoreError ? (error.driverError ?? error) : error;
  // Messages of SQLite name tables and files, never values.
  const detail = nameOf(driverError) === "SqliteError" ? `: ${(driverError as Error).message}` : "";
  const message = error instanceof StoreError ? error.message : `The command failed (${errorKind(error)})`;
  return { exitCode: EXIT.failed, message: `${message}${detail}` };
}

/** Whether a store failed because `migrate` has not been run. */
export function tablesAreMissing(error: unknown): boolean {
  const { code, errno, message } = ((error instanceof StoreError ? error.driverError : error) ?? {}) as {
    readonly [member: string]: unknown;
  };
  // undefined_table of PostgreSQL, ER_NO_SUCH_TABLE of MySQL; SQLite has only a message.
  return code === "42P01" || errno === 1146 || /^no such table: /.test(`${message}`);
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : "";
}

/** Returns the name and the code of an error, which hold no data. */
export function errorKind(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown };
  const known = typeof code === "string" && /^\w{1,64}$/.test(code) ? code : "";
  return [nameOf(error), known].filter(Boolean).join(" ") || "unknown error";
}
