import { Command } from "commander";
import type { Run } from "./arguments.js";
import { auditCommand } from "./commands/audit.js";
import { disableCommand, enableCommand, revokeCommand, rotateCommand } from "./commands/changes.js";
import { createCommand } from "./commands/create.js";
import { importCommand } from "./commands/import.js";
import { initCommand } from "./commands/init.js";
import { inspectCommand } from "./commands/inspect.js";
import { listCommand } from "./commands/list.js";
import { migrateCommand } from "./commands/migrate.js";
import { purgeCommand } from "./commands/purge.js";
import { staleCommand } from "./commands/stale.js";
import { verifyCommand } from "./commands/verify.js";
import { printable } from "./printable.js";

const AFTER = `
The store is that of --url, else of KEYBEARER_URL, else of DATABASE_URL: postgres://, mysql://, mariadb://,
redis://, rediss://, sqlite:PATH or file:PATH. Its driver (pg, mysql2, redis or ioredis, libsql or
better-sqlite3) is that of your project.

Exit codes:
  0  done, or allowed
  1  failed: the store cannot be reached, lines were not imported
  2  nothing was tried: wrong arguments or configuration, no driver
  3  refused: no key of this id, a state that forbids it, a secret that is denied
  130, 143  ended by SIGINT, SIGTERM`;

/** Puts the commands together. */
export function createProgram(run: Run, version: string): Command {
  const program = new Command("keybearer")
    .description("API keys at the command line: issued, listed, rotated, revoked, verified and audited.")
    .version(version)
    .helpCommand(true)
    .addHelpText("after", AFTER);
  for (const make of [
    initCommand,
    migrateCommand,
    createCommand,
    listCommand,
    inspectCommand,
    rotateCommand,
    revokeCommand,
    disableCommand,
    enableCommand,
    verifyCommand,
    auditCommand,
    staleCommand,
    importCommand,
    purgeCommand,
  ]) {
    program.addCommand(make(run));
  }
  for (const each of [program, ...program.commands]) {
    each.exitOverride().configureOutput({ outputError: (text, write) => write(withoutValues(text)) });
  }
  return program;
}

/** What stood behind an option, or where a command should, may be a secret. */
function withoutValues(text: string): string {
  const told = text
    .replace(/'(--?[^'=]*)=[^']*'/gs, "'$1=…'")
    .replace(/(unknown command) '.*'/s, "$1")
    .replace(/(argument) '.*' is invalid/s, "$1 is invalid");
  return told.split("\n").map(printable).join("\n");
}
