import type { Command } from "commander";
import type { UpdateKey } from "../../kit.js";
import { omitUndefined, type Run, readExpiry, readJson, readRateLimit } from "../arguments.js";
import { usageError } from "../errors.js";
import { type StoreOptions, withSession } from "../session.js";
import { KEY_ID, keyCommand, showKey } from "./lifecycle.js";

interface Options extends StoreOptions {
  readonly name?: string;
  readonly ip?: readonly string[];
  readonly expires?: string;
  readonly metadata?: string;
  readonly rateLimit?: string;
}

/** `keybearer update`: changes a key. */
export function updateCommand(run: Run): Command {
  return keyCommand(
    "update",
    "change the name, networks, expiry, metadata or rate limit of a key",
    `${KEY_ID} --name "CI" --expires 2030-01-31`,
    `${KEY_ID} --ip 203.0.113.0/24 2001:db8::/32`,
    `${KEY_ID} --ip any --expires never --rate-limit none`,
  )
    .option("--name <text>", 'a name for display; "" removes it')
    .option("--ip <network...>", "the allowed networks as CIDR; any removes the allowlist")
    .option("--expires <when>", "a duration such as 90d, or a date such as 2030-01-31; never removes it")
    .option("--metadata <json>", "a JSON object that replaces the stored one; none removes it")
    .option("--rate-limit <limit>", "a limit such as 600/1m; none removes it")
    .action((id: string, options: Options) => {
      const { name, ip, expires, metadata, rateLimit } = options;
      const change = omitUndefined({
        name: name === "" ? null : name,
        ipAllowlist: ip?.length === 1 && ip[0] === "any" ? null : ip,
        expiresAt: readUnless("never", expires, readExpiry),
        metadata: readUnless("none", metadata, (text) => readJson("--metadata", text)),
        rateLimit: readUnless("none", rateLimit, readRateLimit),
      });
      if (Object.keys(change).length === 0) {
        throw usageError("Pass at least one of --name, --ip, --expires, --metadata and --rate-limit");
      }
      return withSession(run, options, async (session) => {
        const { manager, actor } = session;
        const key = await manager.update(id, change as UpdateKey, { actor });
        await showKey(session, "The key is updated.", key);
      });
    });
}

/** Reads the value of an option; the word that removes it is `null`. */
function readUnless<T>(
  word: string,
  text: string | undefined,
  read: (text: string) => T,
): T | null | undefined {
  if (text === undefined) return undefined;
  return text === word ? null : read(text);
}
