import type { Command } from "commander";
import type { Duration } from "../../internal/duration.js";
import { command, given, type Run, readCount, withActor, withStore } from "../arguments.js";
import { startProgress } from "../progress.js";
import { type StoreOptions, withSession } from "../session.js";

interface Options extends StoreOptions {
  readonly deadFor: string;
  readonly limit?: number;
}

/** `keybearer purge`: forgets keys that are dead for long. */
export function purgeCommand(run: Run): Command {
  const made = command(
    "purge",
    "forget keys that were revoked or expired long ago; their audit trail stays",
    ["keybearer purge --dead-for 365d", "keybearer purge --dead-for 365d --limit 10000"],
  )
    .requiredOption("--dead-for <duration>", "how long ago they must have been revoked or expired")
    .option("--limit <n>", "at most so many (default: all)", readCount);
  return withActor(withStore(made)).action((options: Options) =>
    withSession(
      run,
      options,
      async ({ config, store, actor, output, json, signal }) => {
        let purged = 0;
        const counted = () => `${purged} purged`;
        const progress = await startProgress(output, "purge");
        const observer = (event: { readonly type: string }) => {
          if (event.type === "key.purged") progress.update(++purged, counted());
        };
        try {
          const deadFor = options.deadFor as Duration;
          const { limit } = options;
          await config.manager(store, [observer]).purge({ retention: deadFor, actor, ...given({ limit }) });
        } finally {
          progress.stop();
          if (purged > 0 || !signal.aborted) output.say(`${counted()}.`);
        }
        if (json) await output.json({ purged });
      },
      "bulk",
    ),
  );
}
