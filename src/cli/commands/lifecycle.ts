import type { Command } from "commander";
import type { Duration } from "../../internal/duration.js";
import type { ApiKey } from "../../kit.js";
import { command, omitUndefined, type Run, withActor, withStore } from "../arguments.js";
import { writeIssuedKey } from "../issued-key.js";
import { formatDetails } from "../output.js";
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
