import type { Command } from "commander";
import { command, type Run, withStore } from "../arguments.js";
import { type StoreOptions, withSession } from "../session.js";

/** `keybearer migrate`: makes the tables. */
export function migrateCommand(run: Run): Command {
  return withStore(
    command("migrate", "make the tables of keys, or bring them up to date", [
      "keybearer migrate",
      "KEYBEARER_URL=postgres://app@db/app keybearer migrate",
    ]),
  ).action((options: StoreOptions) =>
    withSession(
      run,
      options,
      async ({ connection, output, json }) => {
        await connection.migrate();
        output.say("The store is up to date.");
        if (json) await output.json({ migrated: true });
      },
      "migrate",
    ),
  );
}
