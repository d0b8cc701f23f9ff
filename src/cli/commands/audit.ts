import type { Command } from "commander";
import { command, given, lengthOf, type Run, withLength, withStore } from "../arguments.js";
import { writeList } from "../output.js";
import { type StoreOptions, withSession } from "../session.js";
import { AUDIT_COLUMNS, pagesOf } from "../views.js";

interface Options extends StoreOptions {
  readonly owner?: string;
  readonly limit: number;
  readonly all?: boolean;
}

/** `keybearer audit`: what happened to keys, newest first. */
export function auditCommand(run: Run): Command {
  const made = command("audit", "show what happened to keys, newest first", [
    "keybearer audit",
    "keybearer audit key_0123456789abcdef0123456789abcdef",
    "keybearer audit --owner acme --all --json > audit.json",
  ])
    .argument("[id]", "only what happened to this key; also one that was purged")
    .option("--owner <id>", "only what happened to keys of this owner");
  return withLength(withStore(made)).action((keyId: string | undefined, options: Options) =>
    withSession(run, options, async ({ manager, output, json }) => {
      const filter = given({ keyId, ownerId: options.owner });
      const more = () => output.say("There are more: --all shows them all.");
      const pages = pagesOf((page) => manager.auditTrail({ ...filter, ...page }), lengthOf(options), more);
      const count = await writeList(output, pages, AUDIT_COLUMNS, json);
      if (count === 0) output.say("No entries.");
    }),
  );
}
