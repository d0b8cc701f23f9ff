import type { Command } from "commander";
import type { ApiKey, KeyManager } from "../../kit.js";
import { command, omitUndefined, type Run, withStore } from "../arguments.js";
import { CommandError, EXIT } from "../errors.js";
import { type Column, writeList } from "../output.js";
import { readDurationArgument, type StoreOptions, withSession } from "../session.js";
import { KEY_COLUMNS, paginate } from "../tables.js";

interface Options extends StoreOptions {
  readonly unused?: string;
  readonly older?: string;
  readonly owner?: string;
  readonly environment?: string;
}

type StaleKey = ApiKey & { readonly reasons: readonly ("unused" | "old")[] };

const REASONS: Column<StaleKey> = { title: "WHY", text: ({ reasons }) => reasons.join(" ") };
const DEFAULT_UNUSED = "90d";

/** `keybearer stale`: lists valid keys that were not used, or not replaced, for a long time. */
export function staleCommand(run: Run): Command {
  const stale = command("stale", "list valid keys that were not used, or not replaced, for a long time", [
    "keybearer stale",
    "keybearer stale --unused 90d --older 365d",
    "keybearer stale --older 365d --owner acme --json",
  ])
    .option("--unused <duration>", `not used, and not created, for this long (default: ${DEFAULT_UNUSED})`)
    .option("--older <duration>", "created longer ago than this")
    .option("--owner <id>", "only keys of this owner")
    .option("--environment <name>", "only keys of this environment");
  return withStore(stale).action((options: Options) => {
    const { older, owner: ownerId, environment } = options;
    const unused = options.unused ?? (older === undefined ? DEFAULT_UNUSED : undefined);
    const now = Date.now();
    const unusedSince = unused === undefined ? undefined : now - readDurationArgument("--unused", unused);
    const createdBefore = older === undefined ? undefined : now - readDurationArgument("--older", older);

    const withReasons = (key: ApiKey): StaleKey => {
      const createdAt = key.createdAt?.getTime() ?? now;
      const reasons: StaleKey["reasons"][number][] = [];
      if (unusedSince !== undefined && Math.max(createdAt, key.lastUsedAt?.getTime() ?? 0) <= unusedSince)
        reasons.push("unused");
      if (createdBefore !== undefined && createdAt <= createdBefore) reasons.push("old");
      return { ...key, reasons };
    };

    return withSession(run, options, async ({ manager, output, json }) => {
      if (unusedSince !== undefined) await requireUses(manager);
      const filter = omitUndefined({ ownerId, environment });
      const pages = paginate((page) => manager.list({ ...filter, ...page }), Infinity, output);
      async function* staleKeys(): AsyncGenerator<readonly StaleKey[]> {
        for await (const keys of pages) {
          const valid = keys.filter(({ status }) => status !== "revoked" && status !== "expired");
          yield valid.map(withReasons).filter(({ reasons }) => reasons.length > 0);
        }
      }
      const [id, ...others] = KEY_COLUMNS as readonly [Column<ApiKey>, ...Column<ApiKey>[]];
      const count = await writeList(output, staleKeys(), [id, REASONS, ...others], json);
      output.log(count === 0 ? "No stale keys." : `${count} stale.`);
    });
  });
}

/**
 * Without last-used tracking, every key looks unused.
 *
 * @throws CommandError if the store has keys, but no use of any was recorded.
 */
async function requireUses(manager: KeyManager): Promise<void> {
  let hasKeys = false;
  for await (const keys of paginate((page) => manager.list(page), Infinity, { log: () => {} })) {
    if (keys.some(({ lastUsedAt }) => lastUsedAt !== null)) return;
    hasKeys ||= keys.length > 0;
  }
  if (!hasKeys) return;
  throw new CommandError(
    EXIT.failed,
    "No use of any key was recorded, so it is unknown which keys are unused. Record uses in your service with keybearer(), or with lastUsed() of keybearer/observers; or list keys by age with --older",
  );
}
