import { userInfo } from "node:os";
import { parseDuration } from "../internal/duration.js";
import type { KeyManager, ManagedKeyStore } from "../kit.js";
import type { Config } from "./config.js";
import { loadConfig } from "./config-file.js";
import { type Connection, connect, type Purpose } from "./connect.js";
import { usageError } from "./errors.js";
import { escapeText } from "./escape.js";
import type { Output } from "./output.js";
import { resolveStoreUrl } from "./store-url.js";

/** The output and the abort signal of a command. */
export interface Context {
  readonly output: Output;
  /** Aborted on SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
}

/** The options of every command that opens a store. */
export interface StoreOptions {
  readonly config?: string;
  readonly url?: string;
  readonly connectTimeout: string;
  readonly json?: boolean;
  readonly actor?: string;
}

/** A command with an open store. */
export interface Session extends Context {
  readonly config: Config;
  readonly connection: Connection;
  /** Throws before the next call once the signal is aborted. */
  readonly store: ManagedKeyStore;
  readonly manager: KeyManager;
  readonly actor: string;
  readonly json: boolean;
}

/** Opens the store, runs a command and closes the store. */
export async function withSession<T>(
  context: Context,
  options: StoreOptions,
  run: (session: Session) => Promise<T>,
  purpose: Purpose = "default",
): Promise<T> {
  const timeoutMs = readDurationArgument("--connect-timeout", options.connectTimeout);
  const config = await loadConfig(options.config);
  const target = resolveStoreUrl(options.url, config.urlVariables, process.env);
  const { table, redisPrefix } = config;
  const connecting = connect(target, { table, redisPrefix, timeoutMs, purpose });
  const connection = await connecting.catch((error: unknown) => {
    // An invalid table name, or a URL that the driver rejects.
    if (error instanceof TypeError) throw usageError(escapeText(target.redact(error.message)));
    throw error;
  });
  try {
    const store = interruptible(connection.store, context.signal);
    const manager = config.manager(store);
    const actor = options.actor ?? `cli:${userName()}`;
    return await run({ ...context, config, connection, store, manager, actor, json: options.json === true });
  } finally {
    await connection.close();
  }
}

/**
 * Converts a duration argument to milliseconds.
 *
 * @throws CommandError if it is not a duration, or 0.
 */
export function readDurationArgument(argument: string, value: string): number {
  const result = parseDuration(value);
  if (result) return result;
  throw usageError(`${argument} must be a duration above 0, such as "30s", "15m", "24h" or "90d"`);
}

function interruptible(store: ManagedKeyStore, signal: AbortSignal): ManagedKeyStore {
  const wrapped = Object.entries(store).map(([name, method]) => [
    name,
    (...parameters: unknown[]) => {
      signal.throwIfAborted();
      return Reflect.apply(method, store, parameters);
    },
  ]);
  return Object.fromEntries(wrapped);
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `${process.getuid?.() ?? "unknown"}`; // users of containers may have no name
  }
}
