import type { Command } from "commander";
import type { CreateKey } from "../../kit.js";
import {
  collect,
  command,
  given,
  type Run,
  readExpiry,
  readJson,
  readRateLimit,
  withActor,
  withStore,
} from "../arguments.js";
import { handOut } from "../issued-key.js";
import { type StoreOptions, withSession } from "../session.js";

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
  const made = command("create", "issue a key; its secret goes to stdout, this once", [
    "keybearer create --owner acme --scope vehicles:read",
    'keybearer create --owner acme --name "CI" --scope vehicles:read --scope drivers:read --expires 90d',
    "keybearer create --owner acme --scope vehicles:write --ip 203.0.113.0/24 --rate-limit 600/1m",
    "SECRET=$(keybearer create --owner acme --scope vehicles:read)",
  ])
    .requiredOption("--owner <id>", "whom the key belongs to")
    .option("--scope <scope>", "what it may do; give it once for each scope", collect)
    .option("--name <text>", "for people")
    .option("--environment <name>", 'one of "environments" (default: "environment" of the configuration)')
    .option("--ip <network>", "a network that may use it, as CIDR; once for each (default: all)", collect)
    .option("--expires <when>", "a duration such as 90d, or 2030-01-31T12:00:00Z (default: never)")
    .option("--metadata <json>", "a JSON object to keep with it")
    .option("--rate-limit <limit>", "such as 600/1m, for a verifier with a rate limiter");
  return withActor(withStore(made)).action((options: Options) =>
    withSession(run, options, async ({ manager, config, actor, output, json }) => {
      const {
        owner,
        scope,
        name,
        environment = config.environment,
        ip,
        expires,
        metadata,
        rateLimit,
      } = options;
      const input = {
        ownerId: owner,
        scopes: scope ?? [],
        ...given({
          name,
          environment,
          ipAllowlist: ip,
          expiresAt: expires === undefined ? undefined : readExpiry(expires),
          metadata: metadata === undefined ? undefined : readJson("--metadata", metadata),
          rateLimit: rateLimit === undefined ? undefined : readRateLimit(rateLimit),
        }),
      };
      const issued = await manager.create(input as CreateKey, actor);
      if (input.scopes.length === 0) output.say("The key has no scopes: it opens what asks for none.");
      await handOut(output, issued, json);
    }),
  );
}
