import type { Command } from "commander";
import { command, limitOf, omitUndefined, type Run, withLimit, withStore } from "../arguments.js";
import { writeList } from "../output.js";
import { type StoreOptions, withSession } from "../session.js";
import { AUDIT_COLUMNS, paginate } from "../tables.js";

interface Options extends StoreOptions {
  readonly owner?: string;
  readonly actor?: string;
  readonly limit: number;
  readonly all?: boolean;
}

/** `keybearer audit`: shows the audit trail, newest first. */
export function auditCommand(run: Run): Command {
  const audit = command("audit", "show the audit trail, newest first", [
    "keybearer audit",
    "keybearer audit key_0123456789abcdef0123456789abcdef",
    "keybearer audit --owner acme --all --json > audit.json",
  ])
    .argument("[id]", "only entries of this key, which may be purged")
    .option("--owner <id>", "only entries of keys of this owner")
    .option("--actor <name>", "only entries of this actor, such as the id of a key that manages keys");
  return withLimit(withStore(audit)).action((keyId: string | undefined, options: Options) =>
    withSession(run, options, async ({ manager, output, json }) => {
      const filter = omitUndefined({ keyId, ownerId: options.owner, actor: options.actor });
      const fetchPage = (page: object) => manager.auditTrail({ ...filter, ...page });
      const more = "There are more entries. Show them with --all.";
      const pages = paginate(fetchPage, limitOf(options), output, more);
      const count = await writeList(output, pages, AUDIT_COLUMNS, json);
      if (count === 0) output.log("No entries.");
    }),
  );
}
