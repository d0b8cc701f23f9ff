import type { Command } from "commander";
import { command, type Run, withStore } from "../arguments.js";
import { type StoreOptions, withSession } from "../session.js";

/** `keybearer migrate`: creates or updates the tables. */
export function migrateCommand(run: Run): Command {
  return withStore(
    command("migrate", "create the tables, or update them to this version", [
      "keybearer migrate",
      "KEYBEARER_URL=postgres://app@db/app keybearer migrate",
    ]),
  ).action((options: StoreOptions) =>
    withSession(
      run,
      options,
      async ({ connection, output, json }) => {
        await connection.migrate();
        output.log("The store is up to date.");
        if (json) await output.json({ migrated: true });
      },
      "migrate",
    ),
  );
}
