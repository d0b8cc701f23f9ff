import type { Command } from "commander";
import type { Duration } from "../../internal/duration.js";
import type { ApiKey } from "../../kit.js";
import { command, given, type Run, withActor, withStore } from "../arguments.js";
import { handOut } from "../issued-key.js";
import { sheet } from "../output.js";
import { type Session, type StoreOptions, withSession } from "../session.js";
import { factsOf } from "../views.js";

const ID = "key_0123456789abcdef0123456789abcdef";

function changing(name: string, description: string, ...examples: readonly string[]): Command {
  const made = command(
    name,
    description,
    examples.map((example) => `keybearer ${name} ${example}`),
  );
  return withActor(withStore(made.argument("<id>", "the id of a key, as list shows it")));
}

async function show({ output, json }: Session, done: string, key: ApiKey): Promise<void> {
  output.say(done);
  if (json) return output.json({ key });
  output.say(sheet(factsOf(key)).trimEnd());
}

interface RotateOptions extends StoreOptions {
  readonly overlap: string;
  readonly environment?: string;
}

/** `keybearer rotate`: issues a successor. */
export function rotateCommand(run: Run): Command {
  return changing(
    "rotate",
    "issue a successor; its secret goes to stdout, this once",
    `${ID} --overlap 24h`,
    `${ID} --overlap 0s`,
  )
    .requiredOption("--overlap <duration>", "how long the old secret still works; 0s for not at all")
    .option("--environment <name>", "that of the successor, for a key that was imported without one")
    .action((id: string, { overlap, environment, ...options }: RotateOptions) =>
      withSession(run, options, async ({ manager, actor, output, json }) => {
        const how = { overlap: overlap as Duration, actor, ...given({ environment }) };
        await handOut(output, await manager.rotate(id, how), json);
      }),
    );
}

/** `keybearer revoke`: stops a key for good. */
export function revokeCommand(run: Run): Command {
  return changing("revoke", "stop a key for good", `${ID} --reason "laptop stolen"`)
    .option("--reason <text>", "why, for the audit trail")
    .action((id: string, { reason, ...options }: StoreOptions & { readonly reason?: string }) =>
      withSession(run, options, async (session) => {
        const { manager, actor } = session;
        await show(session, "The key is revoked.", await manager.revoke(id, { actor, ...given({ reason }) }));
      }),
    );
}

/** `keybearer disable`: stops a key for a while. */
export function disableCommand(run: Run): Command {
  return changing("disable", "stop a key until it is enabled again", ID).action(
    (id: string, options: StoreOptions) =>
      withSession(run, options, async (session) => {
        const { manager, actor } = session;
        await show(session, "The key is disabled.", await manager.disable(id, { actor }));
      }),
  );
}

/** `keybearer enable`: lets a disabled key work again. */
export function enableCommand(run: Run): Command {
  return changing("enable", "let a disabled key work again", ID).action((id: string, options: StoreOptions) =>
    withSession(run, options, async (session) => {
      const { manager, actor } = session;
      await show(session, "The key is enabled.", await manager.enable(id, { actor }));
    }),
  );
}
