import type { Command } from "commander";
import type { CreateKey } from "../../kit.js";
import {
  command,
  omitUndefined,
  type Run,
  readExpiry,
  readJson,
  readRateLimit,
  withActor,
  withStore,
} from "../arguments.js";
import { writeIssuedKey } from "../issued-key.js";
import { type StoreOptions, withSession } from "../session.js";
import { checkScopes } from "../suggest.js";

interface Options extends StoreOptions {
  readonly owner: string;
  readonly scope?: readonly string[];
  readonly name?: string;
  readonly environment?: string;
  readonly ip?: readonly string[];
  readonly expires?: string;
  readonly metadata?: string;
  readonly rateLimit?: string;
}

/** `keybearer create`: issues a key. */
export function createCommand(run: Run): Command {
  const create = command("create", "issue a key; prints its secret, once, on stdout", [
    "keybearer create --owner acme --scope vehicles:read",
    'keybearer create --owner acme --name "CI" --scope vehicles:read drivers:read --expires 90d',
    "keybearer create --owner acme --scope vehicles:write --ip 203.0.113.0/24 --rate-limit 600/1m",
    "SECRET=$(keybearer create --owner acme --scope vehicles:read)",
  ])
    .requiredOption("--owner <id>", "the owner of the key")
    .option("--scope <scope...>", "the scopes of the key")
    .option("--name <text>", "a name for display")
    .option("--environment <name>", 'one of "environments" (default: "environment" of the configuration)')
    .option("--ip <network...>", "the allowed networks as CIDR (default: all)")
    .option(
      "--expires <when>",
      "a duration such as 90d, or a date such as 2030-01-31, which begins in UTC (default: never)",
    )
    .option("--metadata <json>", "a JSON object to store with the key")
    .option("--rate-limit <limit>", "a limit such as 600/1m, for a verifier with a rate limiter");
  return withActor(withStore(create)).action((options: Options) =>
    withSession(run, options, async ({ manager, config, actor, output, json }) => {
      const { owner, scope = [], name, ip, expires, metadata, rateLimit } = options;
      checkScopes(scope, config.scopes);
      const input = {
        ownerId: owner,
        scopes: scope,
        ...omitUndefined({
          name,
          environment: options.environment ?? config.environment,
          ipAllowlist: ip,
          expiresAt: expires === undefined ? undefined : readExpiry(expires),
          metadata: metadata === undefined ? undefined : readJson("--metadata", metadata),
          rateLimit: rateLimit === undefined ? undefined : readRateLimit(rateLimit),
        }),
      };
      const issued = await manager.create(input as CreateKey, actor);
      if (scope.length === 0) output.log("The key has no scopes: it can only use routes that require none.");
      await writeIssuedKey(output, issued, json);
    }),
  );
}
