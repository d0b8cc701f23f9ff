import type { Command } from "commander";
import type { Duration } from "../../internal/duration.js";
import { type ApiKey, KeyNotFoundError } from "../../kit.js";
import { command, omitUndefined, type Run, withActor, withStore } from "../arguments.js";
import { writeIssuedKey } from "../issued-key.js";
import { formatDetails } from "../output.js";
import { confirm } from "../prompts.js";
import { type Session, type StoreOptions, withSession } from "../session.js";
import { keyDetails } from "../tables.js";

/** An id for examples. */
export const KEY_ID = "key_0123456789abcdef0123456789abcdef";

/** Creates a command that changes one key. */
export function keyCommand(name: string, description: string, ...examples: readonly string[]): Command {
  const target = command(
    name,
    description,
    examples.map((example) => `keybearer ${name} ${example}`),
  );
  return withActor(withStore(target.argument("<id>", "the id of the key, as shown by list")));
}

/** Reports the result of a change. */
export async function showKey({ output, json }: Session, message: string, key: ApiKey): Promise<void> {
  output.log(message);
  if (json) return output.json({ key });
  output.log(formatDetails(keyDetails(key, output.terminal !== undefined)).trimEnd());
}

interface RotateOptions extends StoreOptions {
  readonly overlap: string;
  readonly environment?: string;
}

/** `keybearer rotate`: issues a successor. */
export function rotateCommand(run: Run): Command {
  return keyCommand(
    "rotate",
    "replace a key by a successor; prints its secret, once, on stdout",
    `${KEY_ID} --overlap 24h`,
    `${KEY_ID} --overlap 0s`,
  )
    .requiredOption("--overlap <duration>", "how long the old secret stays valid; 0s to stop it at once")
    .option("--environment <name>", "the environment of the successor of an imported key without one")
    .action((id: string, { overlap, environment, ...options }: RotateOptions) =>
      withSession(run, options, async ({ manager, actor, output, json }) => {
        const rotation = { overlap: overlap as Duration, actor, ...omitUndefined({ environment }) };
        await writeIssuedKey(output, await manager.rotate(id, rotation), json);
      }),
    );
}

interface RevokeOptions extends StoreOptions {
  readonly reason?: string;
  readonly yes?: boolean;
}

/** Describes a key for a question. */
async function describeKey({ manager }: Session, id: string): Promise<string> {
  const key = await manager.get(id);
  if (key === undefined) throw new KeyNotFoundError();
  return [key.id, key.name && `"${key.name}"`, `of ${key.ownerId}`].filter(Boolean).join(" ");
}

/** `keybearer revoke`: revokes a key permanently. */
export function revokeCommand(run: Run): Command {
  return keyCommand("revoke", "revoke a key permanently", `${KEY_ID} --reason "laptop stolen"`)
    .option("--reason <text>", "the reason in the audit trail")
    .option("--yes", "do not ask for confirmation on a terminal")
    .action((id: string, { reason, yes, ...options }: RevokeOptions) =>
      withSession(run, options, async (session) => {
        const { manager, actor, signal } = session;
        await confirm(`Revoke ${await describeKey(session, id)} permanently?`, yes, signal);
        const key = await manager.revoke(id, { actor, ...omitUndefined({ reason }) });
        await showKey(session, "The key is revoked.", key);
      }),
    );
}

/** `keybearer disable`: disables a key until it is enabled. */
export function disableCommand(run: Run): Command {
  return keyCommand("disable", "disable a key until it is enabled again", KEY_ID).action(
    (id: string, options: StoreOptions) =>
      withSession(run, options, async (session) => {
        const { manager, actor } = session;
        await showKey(session, "The key is disabled.", await manager.disable(id, { actor }));
      }),
  );
}

/** `keybearer enable`: enables a disabled key. */
export function enableCommand(run: Run): Command {
  return keyCommand("enable", "enable a disabled key", KEY_ID).action((id: string, options: StoreOptions) =>
    withSession(run, options, async (session) => {
      const { manager, actor } = session;
      await showKey(session, "The key is enabled.", await manager.enable(id, { actor }));
    }),
  );
}
