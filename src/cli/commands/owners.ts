import type { Command } from "commander";
import { command, omitUndefined, type Run, withActor, withStore } from "../arguments.js";
import { confirm } from "../prompts.js";
import { type StoreOptions, withSession } from "../session.js";

function ownerCommand(name: string, description: string, example: string): Command {
  const target = command(name, description, [`keybearer ${name} ${example}`]);
  return withActor(withStore(target.argument("<owner>", "the id of the owner")));
}

interface SuspendOptions extends StoreOptions {
  readonly reason?: string;
  readonly yes?: boolean;
}

/** `keybearer suspend-owner`: denies all keys of an owner. */
export function suspendOwnerCommand(run: Run): Command {
  return ownerCommand(
    "suspend-owner",
    "deny all keys of an owner, and reject new ones, until it is resumed",
    'acme --reason "unpaid"',
  )
    .option("--reason <text>", "the reason in the audit trail")
    .option("--yes", "do not ask for confirmation on a terminal")
    .action((owner: string, { reason, yes, ...options }: SuspendOptions) =>
      withSession(run, options, async ({ manager, actor, output, json, signal }) => {
        await confirm(`Suspend all keys of ${owner}?`, yes, signal);
        const changed = await manager.suspendOwner(owner, { actor, ...omitUndefined({ reason }) });
        output.log(changed ? "The owner is suspended." : "The owner was already suspended.");
        if (json) await output.json({ changed });
      }),
    );
}

/** `keybearer resume-owner`: ends a suspension. */
export function resumeOwnerCommand(run: Run): Command {
  return ownerCommand("resume-owner", "end the suspension of an owner", "acme").action(
    (owner: string, options: StoreOptions) =>
      withSession(run, options, async ({ manager, actor, output, json }) => {
        const changed = await manager.resumeOwner(owner, { actor });
        output.log(changed ? "The owner is resumed." : "The owner was not suspended.");
        if (json) await output.json({ changed });
      }),
  );
}
