import { createReadStream } from "node:fs";
import { isIP } from "node:net";
import { addAbortSignal, type Readable } from "node:stream";
import type { Command } from "commander";
import { command, type Run, rejectSecretArguments, withStore } from "../arguments.js";
import { EXIT, usageError } from "../errors.js";
import { formatDetails } from "../output.js";
import { askSecret, isInteractive } from "../prompts.js";
import { type StoreOptions, withSession } from "../session.js";
import { checkScopes } from "../suggest.js";
import { keyDetails } from "../tables.js";

interface Options extends StoreOptions {
  readonly file?: string;
  readonly scope?: readonly string[];
  readonly ip?: string;
  readonly environment?: string;
}

const STORE_TIMEOUT = "10s"; // longer than the default for requests
const MAX_BYTES = 4_096;

/** `keybearer verify`: verifies a secret. */
export function verifyCommand(run: Run): Command {
  const verify = command("verify", "verify a secret from the terminal, stdin or a file: allowed or denied", [
    'printf %s "$SECRET" | keybearer verify --scope vehicles:read',
    "keybearer verify --file secret.txt --ip 203.0.113.7",
  ])
    .option("--file <file>", "a file with the secret (default: stdin, or a prompt)")
    .option("--scope <scope...>", "the required scopes")
    .option("--ip <address>", "the client address, for keys with an allowlist")
    .option("--environment <name>", "the environment of the service (default: any)");
  return withStore(verify)
    .allowExcessArguments()
    .action(async (options: Options, self: Command) => {
      rejectSecretArguments(self);
      const secret = await readSecret(options.file, run.signal);
      await withSession(run, options, async ({ config, store, output, json }) => {
        const { scope, ip, environment } = options;
        if (ip !== undefined && isIP(ip) === 0) throw usageError("--ip must be an IP address");
        checkScopes(scope ?? [], config.scopes);
        const verifier = config.verifier(store, environment, STORE_TIMEOUT);
        const request = {
          headers: { authorization: `Bearer ${secret}` },
          ...(ip !== undefined && { remoteAddress: ip }),
        };
        const result = await verifier.verify(request, scope);
        if (result.ok) {
          const { key } = result.principal;
          if (json) return output.json({ allowed: true, key });
          return output.write(
            formatDetails([
              ["decision", "allowed"],
              ...(key ? keyDetails(key, output.columns !== undefined) : []),
            ]),
          );
        }
        run.setExitCode(EXIT.rejected);
        const { code, message, details } = result.error;
        if (json) return output.json({ allowed: false, ...details, code, message });
        const more = Object.entries(details).map(([name, value]): [string, string] => [name, `${value}`]);
        const lines = [["decision", "denied"], ["code", code], ["message", message], ...more] as const;
        await output.write(formatDetails(lines));
        if (code === "ip_not_allowed" && ip === undefined) {
          output.log("The key has an allowlist. Pass the client address with --ip.");
        }
      });
    });
}

async function readSecret(file: string | undefined, signal: AbortSignal): Promise<string> {
  if (file === undefined && isInteractive()) return checkSecret(await askSecret("Secret: ", signal));
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
  return checkSecret(
    Buffer.concat(chunks)
      .toString("utf8")
      .replace(/\r?\n$/, ""),
  );
}

function checkSecret(secret: string): string {
  if (secret !== "" && Buffer.byteLength(secret) <= MAX_BYTES && !/[\r\n]/.test(secret)) return secret;
  throw usageError(`The secret must be a single line of at most ${MAX_BYTES} bytes and not empty`);
}
