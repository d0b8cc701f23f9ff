import { createReadStream } from "node:fs";
import { isIP } from "node:net";
import { addAbortSignal, type Readable } from "node:stream";
import type { Command } from "commander";
import { collect, command, type Run, refuseSecrets, withStore } from "../arguments.js";
import { EXIT, usageError } from "../failure.js";
import { sheet } from "../output.js";
import { type StoreOptions, withSession } from "../session.js";
import { factsOf } from "../views.js";

interface Options extends StoreOptions {
  readonly file?: string;
  readonly scope?: readonly string[];
  readonly ip?: string;
  readonly environment?: string;
}

// A server is waited for longer here than behind a request.
const STORE_TIMEOUT = "10s";
const MAX_BYTES = 4_096;

/** `keybearer verify`: says whether a secret would be let in. */
export function verifyCommand(run: Run): Command {
  const made = command("verify", "say whether a secret would be let in; it is read from stdin or a file", [
    'printf %s "$SECRET" | keybearer verify --scope vehicles:read',
    "keybearer verify --file secret.txt --ip 203.0.113.7",
  ])
    .option("--file <file>", "read the secret from here")
    .option("--scope <scope>", "a scope that the request needs; once for each", collect)
    .option("--ip <address>", "where the request comes from, for keys with networks")
    .option("--environment <name>", "the environment of the service (default: any)");
  return withStore(made)
    .allowExcessArguments()
    .action(async (options: Options, self: Command) => {
      refuseSecrets(self);
      const secret = await readSecret(options.file, run.signal);
      await withSession(run, options, async ({ config, store, output, json }) => {
        const { scope, ip, environment } = options;
        if (ip !== undefined && isIP(ip) === 0) throw usageError("--ip is not an address");
        const unknown = scope?.find((name) => config.scopes.get(name) === undefined);
        if (unknown !== undefined) throw usageError("--scope is not a scope of the configuration");
        const verifier = config.verifier(store, environment, STORE_TIMEOUT);
        const request = {
          headers: { authorization: `Bearer ${secret}` },
          ...(ip !== undefined && { remoteAddress: ip }),
        };
        const result = await verifier.verify(request, scope);
        if (result.ok) {
          const { key } = result.principal;
          if (json) return output.json({ allowed: true, key });
          return output.write(sheet([["decision", "allowed"], ...(key ? factsOf(key) : [])]));
        }
        run.answer(EXIT.refused);
        const { code, message, details } = result.error;
        if (json) return output.json({ allowed: false, ...details, code, message });
        const more = Object.entries(details).map(([name, value]): [string, string] => [name, `${value}`]);
        await output.write(sheet([["decision", "denied"], ["code", code], ["message", message], ...more]));
        if (code === "ip_not_allowed" && ip === undefined)
          output.say("The key has networks: say where from with --ip.");
      });
    });
}

async function readSecret(file: string | undefined, signal: AbortSignal): Promise<string> {
  if (file === undefined && process.stdin.isTTY) {
    throw usageError("Pipe the secret in, or name a file with --file");
  }
  const stream: Readable = file === undefined ? process.stdin : createReadStream(file);
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of addAbortSignal(signal, stream)) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > MAX_BYTES) break;
    }
  } catch (error) {
    signal.throwIfAborted();
    throw usageError(`The secret cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  const secret = Buffer.concat(chunks)
    .toString("utf8")
    .replace(/\r?\n$/, "");
  if (secret !== "" && length <= MAX_BYTES && !/[\r\n]/.test(secret)) return secret;
  throw usageError("The secret must be one line that is not empty");
}
