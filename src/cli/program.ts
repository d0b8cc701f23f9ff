import { Command } from "commander";
import type { Run } from "./arguments.js";
import { auditCommand } from "./commands/audit.js";
import { completionCommand } from "./commands/completion.js";
import { createCommand } from "./commands/create.js";
import { importCommand } from "./commands/import.js";
import { initCommand } from "./commands/init.js";
import { inspectCommand } from "./commands/inspect.js";
import { disableCommand, enableCommand, rotateCommand } from "./commands/lifecycle.js";
import { listCommand } from "./commands/list.js";
import { migrateCommand } from "./commands/migrate.js";
import { resumeOwnerCommand, suspendOwnerCommand } from "./commands/owners.js";
import { purgeCommand } from "./commands/purge.js";
import { revokeCommand } from "./commands/revoke.js";
import { scanCommand } from "./commands/scan.js";
import { scanRulesCommand } from "./commands/scan-rules.js";
import { serveCommand } from "./commands/serve.js";
import { staleCommand } from "./commands/stale.js";
import { updateCommand } from "./commands/update.js";
import { verifyCommand } from "./commands/verify.js";
import { ERROR_PREFIX, usageError } from "./errors.js";
import { escapeText } from "./escape.js";

const HELP_FOOTER = `
The URL of the store is --url, or the environment variable KEYBEARER_URL, or DATABASE_URL:
postgres://, mysql://, mariadb://, redis://, rediss://, sqlite:PATH or file:PATH. Install its driver in
your project: pg, mysql2, redis or ioredis, libsql or better-sqlite3.

Exit codes:
  0  success; verify: allowed
  1  failure: the store is unavailable, or lines were not imported; scan: a live secret was found
  2  usage error: invalid arguments or configuration, or no driver; nothing was done
  3  rejected: unknown key id, a state that does not allow the change, or no confirmation; verify: denied
  130, 143  ended by SIGINT, SIGTERM`;

/** Creates the program with all commands. */
export function createProgram(run: Run, version: string): Command {
  const program = new Command("keybearer")
    .description("Issues, lists, rotates, revokes, verifies and audits API keys.")
    .version(version)
    .helpCommand(true)
    .addHelpText("after", HELP_FOOTER)
    .hook("preAction", loadEnvironmentFile);
  for (const create of [
    initCommand,
    migrateCommand,
    createCommand,
    listCommand,
    inspectCommand,
    updateCommand,
    rotateCommand,
    revokeCommand,
    disableCommand,
    enableCommand,
    suspendOwnerCommand,
    resumeOwnerCommand,
    verifyCommand,
    auditCommand,
    staleCommand,
    importCommand,
    purgeCommand,
    scanCommand,
    scanRulesCommand,
    serveCommand,
    completionCommand,
  ]) {
    program.addCommand(create(run));
  }
  for (const each of [program, ...program.commands]) {
    each.exitOverride().configureOutput({ outputError: (text, write) => write(redactArguments(text)) });
  }
  return program;
}

/** Sets the variables of `.env` in the current directory that are not set. */
function loadEnvironmentFile(): void {
  try {
    process.loadEnvFile();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT") throw usageError(`.env cannot be read (${code})`);
  }
}

/** Removes the values of arguments from an error of commander: they may be secrets. */
function redactArguments(text: string): string {
  const redacted = text
    .replace(/^error: /, ERROR_PREFIX)
    .replace(/'(--?[^'=]*)=[^']*'/gs, "'$1=…'")
    .replace(/(unknown command) '.*'/s, "$1")
    .replace(/(argument) '.*' is invalid/s, "$1 is invalid");
  return redacted.split("\n").map(escapeText).join("\n");
}
