import { KeyConflictError, KeyInputError, KeyNotFoundError, KeyStateError, StoreError } from "../kit.js";

/** What the process answers. `docs/cli.md` and `--help` say the same. */
export const EXIT = {
  ok: 0,
  /** It was tried, and failed: the store is down, some lines were not imported. */
  failed: 1,
  /** Nothing was tried: the arguments or the configuration are wrong. */
  usage: 2,
  /** The answer is no: no key of this id, a state that forbids the change, a secret that is denied. */
  refused: 3,
  /** Ended by SIGINT (Ctrl-C), as shells write it. */
  interrupted: 130,
  /** Ended by SIGTERM. */
  terminated: 143,
} as const;

/** A failure that is worded for the person at the terminal. */
export class CommandError extends Error {
  override readonly name: "CommandError" = "CommandError";
  readonly exit: number;

  constructor(exit: number, message: string) {
    super(message);
    this.exit = exit;
  }
}

/** Whoever read our output has gone, as `head` does. */
export class OutputClosedError extends Error {
  override readonly name: "OutputClosedError" = "OutputClosedError";
}

/** Arguments or a configuration that cannot work. */
export function usageError(message: string): CommandError {
  return new CommandError(EXIT.usage, message);
}

// The members of keys, as the arguments that they come from.
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
  deadFor: "--dead-for",
  limit: "--limit",
};

/** An error in words that hold nothing of a driver's, and so no secret, hash or password. */
export function explain(error: unknown): { readonly exit: number; readonly message: string } {
  if (error instanceof CommandError) return { exit: error.exit, message: error.message };
  if (error instanceof KeyInputError) {
    const [member = ""] = error.path.split(/[.[]/, 1);
    const argument = Object.hasOwn(ARGUMENTS, member) ? ARGUMENTS[member] : error.path;
    return { exit: EXIT.usage, message: `${argument} ${error.problem}` };
  }
  if (
    error instanceof KeyNotFoundError ||
    error instanceof KeyStateError ||
    error instanceof KeyConflictError
  ) {
    return { exit: EXIT.refused, message: error.message };
  }
  if (tablesAreMissing(error)) {
    return { exit: EXIT.failed, message: "The store has no tables of keys yet: run npx keybearer migrate" };
  }
  const driverError = error instanceof StoreError ? (error.driverError ?? error) : error;
  // SQLite's messages name tables and files, never values.
  const detail = nameOf(driverError) === "SqliteError" ? `: ${(driverError as Error).message}` : "";
  const message = error instanceof StoreError ? error.message : `Failed (${kindOf(error)})`;
  return { exit: EXIT.failed, message: `${message}${detail}` };
}

/** Whether a store failed because nobody has called `migrate()` yet. */
export function tablesAreMissing(error: unknown): boolean {
  const { code, errno, message } = ((error instanceof StoreError ? error.driverError : error) ?? {}) as {
    readonly [member: string]: unknown;
  };
  // PostgreSQL's undefined_table, MySQL's ER_NO_SUCH_TABLE; SQLite has words only.
  return code === "42P01" || errno === 1146 || /^no such table: /.test(`${message}`);
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : "";
}

/** The name and the code of an error, which hold nothing of what it is about. */
export function kindOf(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown };
  const known = typeof code === "string" && /^\w{1,64}$/.test(code) ? code : "";
  return [nameOf(error), known].filter(Boolean).join(" ") || "unknown error";
}
