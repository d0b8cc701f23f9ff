import { parseDuration } from "../../internal/duration.js";
import type { Run } from "../arguments.js";
import type { Config } from "../config.js";
import { type Connection, connect } from "../connect.js";
import { CommandError, EXIT, usageError } from "../errors.js";
import { escapeText } from "../escape.js";
import { readDurationArgument } from "../session.js";
import { resolveStoreUrl } from "../store-url.js";
import { hasAdministrator } from "./administrators.js";
import { createBootstrapToken } from "./bootstrap.js";
import { createHandler } from "./handler.js";
import { createLog, type Log } from "./log.js";
import { createRoutes } from "./routes.js";
import { isLoopback, startServer } from "./server.js";
import { createService } from "./service.js";
import { loadSettings, type SettingFlags, type Settings } from "./settings.js";
import { runWorkers } from "./workers.js";

/** The options of the command. */
export interface ServeOptions extends SettingFlags {
  readonly config?: string;
  readonly url?: string;
  readonly connectTimeout: string;
}

const DEFAULT_URL = "sqlite:keybearer.db";
const FLUSH_MS = 5_000;

/** Runs the service until SIGINT or SIGTERM. */
export async function runService(run: Run, options: ServeOptions, isWorker: boolean): Promise<void> {
  const { config: path, host, port, workers } = options;
  const flags = Object.fromEntries(
    Object.entries({ host, port, workers }).filter(([, value]) => value !== undefined),
  ) as SettingFlags;
  const { config, settings } = await loadSettings(path, flags, process.env);
  const log = createLog((line) => process.stdout.write(line));
  process.on("warning", (warning) => log.info("warning", { code: (warning as { code?: unknown }).code }));
  if (isWorker) ignoreInterrupts();
  run.setGrace((parseDuration(settings.limits.shutdown) as number) + FLUSH_MS);

  const connection = await open(config, options);
  if (!isWorker) {
    try {
      await prepare(run, config, settings, connection);
    } catch (error) {
      await connection.close();
      throw error;
    }
    if (settings.workers > 1) {
      await connection.close();
      if (settings.port === 0) throw usageError("--port must not be 0 with --workers");
      return runWorkers(settings.workers, run.signal, log);
    }
  }
  try {
    await serve(run.signal, config, settings, connection, log);
  } catch (error) {
    if (error instanceof TypeError) throw usageError(escapeText(error.message));
    throw error;
  } finally {
    await connection.close();
    if (isWorker) process.disconnect(); // the channel to the primary process keeps a worker alive
  }
}

async function open(config: Config, options: ServeOptions): Promise<Connection> {
  const { table, redisPrefix, urlVariables } = config;
  const isSet = options.url !== undefined || urlVariables.some((name) => process.env[name]);
  const url = isSet ? options.url : DEFAULT_URL;
  const target = resolveStoreUrl(url, urlVariables, process.env);
  const timeoutMs = readDurationArgument("--connect-timeout", options.connectTimeout);
  return connect(target, { table, redisPrefix, timeoutMs, purpose: "serve" }).catch((error: unknown) => {
    if (error instanceof TypeError) throw usageError(escapeText(target.redact(error.message)));
    throw error;
  });
}

/** Creates the tables and the bootstrap token. @throws CommandError if anybody could reach a service without administrators. */
async function prepare(run: Run, config: Config, settings: Settings, connection: Connection): Promise<void> {
  const { host, operator, oidc, openVerify, publicUrl, workers } = settings;
  if (openVerify && !isLoopback(host)) {
    throw usageError('"serve.openVerify" needs a loopback address, such as --host 127.0.0.1');
  }
  if (publicUrl !== undefined && workers > 1 && connection.redis === undefined) {
    throw usageError(
      '"serve.publicUrl" with --workers needs a store in Redis, where all processes find the sessions',
    );
  }
  await connection.migrate();
  if (oidc !== undefined) return;
  const keys = config.manager(connection.store, [], "10s");
  if (await hasAdministrator(keys, operator)) return;
  if (!isLoopback(host)) {
    throw new CommandError(
      EXIT.usage,
      `There is no administrator, so the service does not listen on ${escapeText(host)}. Start it on 127.0.0.1 and ` +
        'redeem the bootstrap token, run "keybearer create --owner ' +
        `${escapeText(operator)} --scope keybearer:admin", or configure "serve.oidc"`,
    );
  }
  const token = await createBootstrapToken(connection.store, keys, operator);
  run.output.log(
    token === undefined
      ? "There is no administrator. The bootstrap token was shown when this store was first used."
      : `Bootstrap token, shown once: ${token}\nRedeem it with POST /bootstrap and {"token": "…"} for the key of the first administrator.`,
  );
}

async function serve(
  signal: AbortSignal,
  config: Config,
  settings: Settings,
  connection: Connection,
  log: Log,
): Promise<void> {
  const service = createService(config, settings, connection, log);
  const routes = createRoutes(service, () => signal.aborted);
  try {
    const server = await startServer(createHandler(routes, log), settings);
    log.info("listening", { url: server.url });
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve());
    });
    log.info("stopping");
    await server.close();
  } finally {
    await service.close();
  }
  log.info("stopped");
}

/** Ctrl-C reaches every process of a terminal, and the primary process ends its workers itself. */
function ignoreInterrupts(): void {
  process.removeAllListeners("SIGINT");
  process.on("SIGINT", () => {});
}
