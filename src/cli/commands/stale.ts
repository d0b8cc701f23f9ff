import type { Command } from "commander";
import type { ApiKey } from "../../kit.js";
import { command, given, type Run, withStore } from "../arguments.js";
import { type Column, writeList } from "../output.js";
import { readDuration, type StoreOptions, withSession } from "../session.js";
import { KEY_COLUMNS, pagesOf } from "../views.js";

interface Options extends StoreOptions {
  readonly unused?: string;
  readonly older?: string;
  readonly owner?: string;
  readonly environment?: string;
}

type StaleKey = ApiKey & { readonly reasons: readonly ("unused" | "old")[] };

const WHY: Column<StaleKey> = { title: "WHY", text: ({ reasons }) => reasons.join(" ") };
const DEFAULT_UNUSED = "90d";

/** `keybearer stale`: keys that still work, and that nobody seems to need or has replaced for long. */
export function staleCommand(run: Run): Command {
  const made = command("stale", "list keys that still work and were not used, or not replaced, for long", [
    "keybearer stale",
    "keybearer stale --unused 90d --older 365d",
    "keybearer stale --older 365d --owner acme --json",
  ])
    .option("--unused <duration>", `not used for so long, nor made since (default: ${DEFAULT_UNUSED})`)
    .option("--older <duration>", "made longer ago than this")
    .option("--owner <id>", "only keys of this owner")
    .option("--environment <name>", "only keys of this environment");
  return withStore(made).action((options: Options) => {
    const { older, owner: ownerId, environment } = options;
    const unused = options.unused ?? (older === undefined ? DEFAULT_UNUSED : undefined);
    const now = Date.now();
    const unusedSince = unused === undefined ? undefined : now - readDuration("--unused", unused);
    const madeBefore = older === undefined ? undefined : now - readDuration("--older", older);

    const judge = (key: ApiKey): StaleKey => {
      const made = key.createdAt?.getTime() ?? now;
      const reasons: StaleKey["reasons"][number][] = [];
      if (unusedSince !== undefined && Math.max(made, key.lastUsedAt?.getTime() ?? 0) <= unusedSince)
        reasons.push("unused");
      if (madeBefore !== undefined && made <= madeBefore) reasons.push("old");
      return { ...key, reasons };
    };

    return withSession(run, options, async ({ manager, output, json }) => {
      const filter = given({ ownerId, environment });
      async function* stale(): AsyncGenerator<readonly StaleKey[]> {
        for await (const keys of pagesOf(
          (page) => manager.list({ ...filter, ...page }),
          Number.POSITIVE_INFINITY,
        )) {
          const working = keys.filter(({ status }) => status !== "revoked" && status !== "expired");
          yield working.map(judge).filter(({ reasons }) => reasons.length > 0);
        }
      }
      const [id, ...others] = KEY_COLUMNS as readonly [Column<ApiKey>, ...Column<ApiKey>[]];
      const count = await writeList(output, stale(), [id, WHY, ...others], json);
      output.say(count === 0 ? "No stale keys." : `${count} stale.`);
    });
  });
}
