import cluster from "node:cluster";
import type { Command } from "commander";
import { command, type Run } from "../arguments.js";

interface Options {
  readonly config?: string;
  readonly url?: string;
  readonly connectTimeout: string;
  readonly host?: string;
  readonly port?: string;
  readonly workers?: string;
}

/** `keybearer serve`: the key service over HTTP. */
export function serveCommand(run: Run): Command {
  return command("serve", "serve keys over HTTP: verification, management, the key page, metrics", [
    "keybearer serve",
    "KEYBEARER_URL=postgres://app@db/app keybearer serve --host 0.0.0.0 --workers 4",
  ])
    .option(
      "--config <file>",
      "the configuration file (default: keybearer.config.json, .ts, .js or .mjs, if there is one)",
    )
    .option("--url <url>", "the URL of the store (default: a SQLite file, keybearer.db)")
    .option("--connect-timeout <duration>", "the time limit for connecting to the server", "10s")
    .option("--host <address>", "the address to listen on (default: 127.0.0.1)")
    .option("--port <number>", "the port (default: 8080)")
    .option("--workers <number>", "the number of processes (default: 1)")
    .action(async (options: Options) => {
      const { runService } = await import("../serve/run.js"); // other commands do not need it
      await runService(run, options, cluster.isWorker);
    });
}
