import type { Command } from "commander";
import type { Duration } from "../../internal/duration.js";
import { command, omitUndefined, type Run, readPositiveInteger, withActor, withStore } from "../arguments.js";
import { startProgress } from "../progress.js";
import { confirm } from "../prompts.js";
import { type StoreOptions, withSession } from "../session.js";

interface Options extends StoreOptions {
  readonly retention: string;
  readonly limit?: number;
  readonly yes?: boolean;
}

/** `keybearer purge`: deletes keys that were revoked or expired long ago. */
export function purgeCommand(run: Run): Command {
  const purge = command(
    "purge",
    "delete keys that were revoked or expired long ago; keeps their audit trail",
    ["keybearer purge --retention 365d", "keybearer purge --retention 365d --limit 10000"],
  )
    .requiredOption("--retention <duration>", "the minimum time since the revocation or expiry")
    .option("--limit <n>", "the maximum number of keys (default: all)", readPositiveInteger)
    .option("--yes", "do not ask for confirmation on a terminal");
  return withActor(withStore(purge)).action((options: Options) =>
    withSession(
      run,
      options,
      async ({ config, store, actor, output, json, signal }) => {
        const question = `Delete keys that were revoked or expired at least ${options.retention} ago?`;
        await confirm(question, options.yes, signal);
        let purged = 0;
        const summary = () => `${purged} purged`;
        const progress = await startProgress(output, "purge");
        const observer = (event: { readonly type: string }) => {
          if (event.type === "key.purged") progress.update(++purged, summary());
        };
        try {
          const retention = options.retention as Duration;
          const { limit } = options;
          await config.manager(store, [observer]).purge({ retention, actor, ...omitUndefined({ limit }) });
        } finally {
          progress.stop();
          if (purged > 0 || !signal.aborted) output.log(`${summary()}.`);
        }
        if (json) await output.json({ purged });
      },
      "bulk",
    ),
  );
}
