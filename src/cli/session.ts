import { userInfo } from "node:os";
import { parseDuration } from "../internal/duration.js";
import type { KeyManager, ManagedKeyStore } from "../kit.js";
import type { Config } from "./config.js";
import { loadConfig } from "./config-file.js";
import { type Connection, connect, type Purpose } from "./connect.js";
import { usageError } from "./failure.js";
import type { Output } from "./output.js";
import { printable } from "./printable.js";
import { findTarget } from "./target.js";

/** What every command runs in. */
export interface Context {
  readonly output: Output;
  /** Aborted when the process is asked to end. */
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

/** A command with its store open. */
export interface Session extends Context {
  readonly config: Config;
  readonly connection: Connection;
  /** Stops between two calls when the process is asked to end. */
  readonly store: ManagedKeyStore;
  readonly manager: KeyManager;
  readonly actor: string;
  readonly json: boolean;
}

/** Opens the store, does the work, and closes it again, whatever comes of it. */
export async function withSession<T>(
  context: Context,
  options: StoreOptions,
  work: (session: Session) => Promise<T>,
  purpose: Purpose = "usual",
): Promise<T> {
  const timeoutMs = readDuration("--connect-timeout", options.connectTimeout);
  const config = await loadConfig(options.config);
  const target = findTarget(options.url, config.urlVariables, process.env);
  const { table, redisPrefix } = config;
  const connecting = connect(target, { table, redisPrefix, timeoutMs, purpose });
  const connection = await connecting.catch((error: unknown) => {
    // A name of a table that is none, or what a driver says of a URL.
    if (error instanceof TypeError) throw usageError(printable(target.redact(error.message)));
    throw error;
  });
  try {
    const store = interruptible(connection.store, context.signal);
    const manager = config.manager(store);
    const actor = options.actor ?? `cli:${userName()}`;
    return await work({ ...context, config, connection, store, manager, actor, json: options.json === true });
  } finally {
    await connection.close();
  }
}

/** Reads a length of time from an argument. @throws CommandError for anything else, and for none at all. */
export function readDuration(argument: string, value: string): number {
  const result = parseDuration(value);
  if (result) return result;
  throw usageError(`${argument} must be a duration such as "30s", "15m", "24h" or "90d", and not 0`);
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

/** Containers run under users that have no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `${process.getuid?.() ?? "unknown"}`;
  }
}
