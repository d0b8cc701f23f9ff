import type { Command } from "commander";
import { KeyNotFoundError } from "../../kit.js";
import { command, type Run, withStore } from "../arguments.js";
import { formatDetails, writeList } from "../output.js";
import { type StoreOptions, withSession } from "../session.js";
import { AUDIT_COLUMNS, keyDetails } from "../tables.js";

const ENTRIES = 10;

/** `keybearer inspect`: shows a key and its latest audit entries. */
export function inspectCommand(run: Run): Command {
  return withStore(
    command("inspect", `show a key and the last ${ENTRIES} entries of its audit trail`, [
      "keybearer inspect key_0123456789abcdef0123456789abcdef",
      "keybearer inspect key_0123456789abcdef0123456789abcdef --json | jq .key.status",
    ]).argument("<id>", "the id of the key, as shown by list"),
  ).action((id: string, options: StoreOptions) =>
    withSession(run, options, async ({ manager, output, json }) => {
      const key = await manager.get(id);
      if (key === undefined) throw new KeyNotFoundError();
      const { items: audit } = await manager.auditTrail({ keyId: id, limit: ENTRIES });
      if (json) return output.json({ key, audit });
      await output.write(`${formatDetails(keyDetails(key, output.columns !== undefined))}\n`);
      await writeList(output, [audit] as unknown as AsyncIterable<typeof audit>, AUDIT_COLUMNS, false);
    }),
  );
}
