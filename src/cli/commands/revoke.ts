import type { Command } from "commander";
import { KeyNotFoundError, type RevokeAllFilter } from "../../kit.js";
import { command, omitUndefined, type Run, withActor, withStore } from "../arguments.js";
import { usageError } from "../errors.js";
import { confirm } from "../prompts.js";
import { type Session, type StoreOptions, withSession } from "../session.js";
import { KEY_ID, showKey } from "./lifecycle.js";

interface Options extends StoreOptions {
  readonly reason?: string;
  readonly descendants?: boolean;
  readonly owner?: string;
  readonly createdByKey?: string;
  readonly yes?: boolean;
}

/** `keybearer revoke`: revokes a key, or many keys, permanently. */
export function revokeCommand(run: Run): Command {
  const revoke = command("revoke", "revoke a key, or many keys, permanently", [
    `keybearer revoke ${KEY_ID} --reason "laptop stolen"`,
    `keybearer revoke ${KEY_ID} --descendants --reason leaked`,
    "keybearer revoke --owner acme",
  ])
    .argument("[id]", "the id of the key, as shown by list")
    .option("--descendants", "with an id: also everything that the key or its rotations made")
    .option("--owner <id>", "instead of an id: all keys of this owner, and everything they made")
    .option(
      "--created-by-key <id>",
      "instead of an id: all keys that this key made, and everything they made",
    )
    .option("--reason <text>", "the reason in the audit trail")
    .option("--yes", "do not ask for confirmation on a terminal");
  return withActor(withStore(revoke)).action((id: string | undefined, options: Options) => {
    const { owner: ownerId, createdByKey, descendants = false } = options;
    const filters = [id, ownerId, createdByKey].filter((filter) => filter !== undefined);
    if (filters.length !== 1) throw usageError("Pass one of an id, --owner and --created-by-key");
    if (descendants && id === undefined) throw usageError("--descendants needs the id of a key");
    return withSession(run, options, async (session) => {
      if (id !== undefined) return revokeKey(session, id, options);
      const filter = omitUndefined({ ownerId, createdByKey }) as object as RevokeAllFilter;
      const which = ownerId === undefined ? `that ${createdByKey} made` : `of ${ownerId}`;
      return revokeAll(session, filter, `Revoke all keys ${which} permanently?`, options);
    });
  });
}

async function revokeKey(session: Session, id: string, options: Options): Promise<void> {
  const { manager, actor, signal } = session;
  const { reason, descendants = false, yes } = options;
  const found = await manager.get(id);
  if (found === undefined) throw new KeyNotFoundError();
  const name = [found.id, found.name && `"${found.name}"`, `of ${found.ownerId}`].filter(Boolean).join(" ");
  const which = descendants ? `${name} and everything made from it` : name;
  await confirm(`Revoke ${which} permanently?`, yes, signal);
  const key = await manager.revoke(id, { actor, descendants, ...omitUndefined({ reason }) });
  const message = descendants ? "The key and everything made from it are revoked." : "The key is revoked.";
  await showKey(session, message, key);
}

async function revokeAll(
  { manager, actor, signal, output, json }: Session,
  filter: RevokeAllFilter,
  question: string,
  { reason, yes }: Options,
): Promise<void> {
  await confirm(question, yes, signal);
  const { revoked } = await manager.revokeAll(filter, { actor, ...omitUndefined({ reason }) });
  output.log(`${revoked} revoked.`);
  if (json) await output.json({ revoked });
}
