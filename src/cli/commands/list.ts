import { type Command, Option } from "commander";
import { KEY_STATUSES, type KeyStatus } from "../../kit.js";
import { command, limitOf, omitUndefined, type Run, withLimit, withStore } from "../arguments.js";
import { writeList } from "../output.js";
import { type StoreOptions, withSession } from "../session.js";
import { KEY_COLUMNS, paginate } from "../tables.js";

interface Options extends StoreOptions {
  readonly owner?: string;
  readonly status?: KeyStatus;
  readonly environment?: string;
  readonly createdByKey?: string;
  readonly limit: number;
  readonly all?: boolean;
}

/** `keybearer list`: lists keys, newest first. */
export function listCommand(run: Run): Command {
  const list = command("list", "list keys, newest first", [
    "keybearer list --owner acme",
    "keybearer list --status revoked --environment live --limit 200",
    "keybearer list --all --json | jq -r '.[].id'",
  ])
    .option("--owner <id>", "only keys of this owner")
    .addOption(new Option("--status <status>", "only keys with this status").choices(KEY_STATUSES))
    .option("--environment <name>", "only keys of this environment")
    .option("--created-by-key <id>", "only keys that this key created");
  return withLimit(withStore(list)).action((options: Options) =>
    withSession(run, options, async ({ manager, output, json }) => {
      const { owner: ownerId, status, environment, createdByKey } = options;
      const filter = omitUndefined({ ownerId, status, environment, createdByKey });
      const more = "There are more keys. List them with --all.";
      const pages = paginate((page) => manager.list({ ...filter, ...page }), limitOf(options), output, more);
      const count = await writeList(output, pages, KEY_COLUMNS, json);
      if (count === 0) output.log("No keys.");
    }),
  );
}
