import { type Command, Option } from "commander";
import type { KeyStatus } from "../../kit.js";
import { command, given, lengthOf, type Run, withLength, withStore } from "../arguments.js";
import { writeList } from "../output.js";
import { type StoreOptions, withSession } from "../session.js";
import { KEY_COLUMNS, pagesOf } from "../views.js";

interface Options extends StoreOptions {
  readonly owner?: string;
  readonly status?: KeyStatus;
  readonly environment?: string;
  readonly limit: number;
  readonly all?: boolean;
}

const STATUSES: readonly KeyStatus[] = ["active", "disabled", "expired", "revoked", "retiring"];

/** `keybearer list`: keys, newest first. */
export function listCommand(run: Run): Command {
  const made = command("list", "list keys, newest first", [
    "keybearer list --owner acme",
    "keybearer list --status revoked --environment live --limit 200",
    "keybearer list --all --json | jq -r '.[].id'",
  ])
    .option("--owner <id>", "only those of this owner")
    .addOption(new Option("--status <status>", "only those of this status").choices(STATUSES))
    .option("--environment <name>", "only those of this environment");
  return withLength(withStore(made)).action((options: Options) =>
    withSession(run, options, async ({ manager, output, json }) => {
      const { owner: ownerId, status, environment } = options;
      const filter = given({ ownerId, status, environment });
      const more = () => output.say("There are more: --all lists them all.");
      const pages = pagesOf((page) => manager.list({ ...filter, ...page }), lengthOf(options), more);
      const count = await writeList(output, pages, KEY_COLUMNS, json);
      if (count === 0) output.say("No keys.");
    }),
  );
}
