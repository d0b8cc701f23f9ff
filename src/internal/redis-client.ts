import { createHash } from "node:crypto";
import { checkOptions, hasMethod } from "./validate.js";
import { warnWithoutErrorListener } from "./warn.js";

/** A Redis client library. `node-redis` is the package `redis`, version 4 or later. */
export type RedisLibrary = "node-redis" | "ioredis";

/** Returns the library of a Redis client, or `undefined` for anything else, such as a pipeline. */
export function redisLibrary(client: unknown): RedisLibrary | undefined {
  // Pipelines and the legacy client of node-redis have the same methods, but return no promises and emit no events.
  if (!hasMethod(client, "on")) return undefined;
  if (hasMethod(client, "evalSha") || hasMethod(client, "pSubscribe")) return "node-redis";
  // node-redis 3 has evalsha() too, but takes callbacks; only ioredis has pipeline().
  return hasMethod(client, "evalsha") && hasMethod(client, "pipeline") ? "ioredis" : undefined;
}

/** The methods of a node-redis client that run scripts. */
export interface NodeRedisScripting {
  evalSha(sha1: string, options: { keys: string[]; arguments: string[] }): PromiseLike<unknown>;
  eval(script: string, options: { keys: string[]; arguments: string[] }): PromiseLike<unknown>;
}

/** The methods of an ioredis client that run scripts. */
export interface IoRedisScripting {
  evalsha(sha1: string, numberOfKeys: number, ...keysAndArguments: string[]): PromiseLike<unknown>;
  eval(script: string, numberOfKeys: number, ...keysAndArguments: string[]): PromiseLike<unknown>;
}

/** `EVALSHA` and `EVAL` of a client, in one form for both libraries. */
export interface ScriptCommands {
  evalSha(sha1: string, keys: readonly string[], args: readonly string[]): unknown;
  eval(text: string, keys: readonly string[], args: readonly string[]): unknown;
}

/** Returns the script commands of a node-redis client. */
export function nodeRedisScripts(client: NodeRedisScripting): ScriptCommands {
  return {
    evalSha: (sha1, keys, args) => client.evalSha(sha1, { keys: [...keys], arguments: [...args] }),
    eval: (text, keys, args) => client.eval(text, { keys: [...keys], arguments: [...args] }),
  };
}

/** Returns the script commands of an ioredis client. */
export function ioRedisScripts(client: IoRedisScripting): ScriptCommands {
  return {
    evalSha: (sha1, keys, args) => client.evalsha(sha1, keys.length, ...keys, ...args),
    eval: (text, keys, args) => client.eval(text, keys.length, ...keys, ...args),
  };
}

/**
 * Returns the script commands of a client of either library.
 *
 * @throws TypeError for anything else.
 */
export function scriptsOf(where: string, client: NodeRedisScripting | IoRedisScripting): ScriptCommands {
  const library = redisLibrary(client);
  if (library === "node-redis") return nodeRedisScripts(client as NodeRedisScripting);
  if (library === "ioredis") return ioRedisScripts(client as IoRedisScripting);
  throw new TypeError(`${where}: the client must be a node-redis (version 4 or later) or ioredis client`);
}

/**
 * Reads the option `prefix`, with which the names of all Redis keys begin.
 *
 * @throws TypeError if it is invalid.
 */
export function readPrefix(where: string, prefix: unknown): string {
  if (typeof prefix === "string" && /^[A-Za-z0-9_.:-]{1,64}$/.test(prefix)) return prefix;
  throw new TypeError(`${where}: "prefix" must be 1 to 64 characters of A-Z a-z 0-9 _ . : -`);
}

/** Options of the stores that keep one kind of entry in Redis. */
export interface RedisPrefixOptions {
  /** The prefix of all names; `"keybearer"` by default. */
  readonly prefix?: string;
}

/** The entries of one kind in Redis. */
export interface RedisEntries {
  /** The beginning of their names. */
  readonly name: string;
  run(script: RedisScript, keys: readonly string[], args: readonly string[]): Promise<unknown>;
}

/**
 * Opens the entries of one kind, such as `limit`.
 *
 * @throws TypeError if the client is neither node-redis nor ioredis, or an option is unknown or invalid.
 */
export function redisEntries(
  where: string,
  client: NodeRedisScripting | IoRedisScripting,
  given: RedisPrefixOptions,
  kind: string,
): RedisEntries {
  const { prefix = "keybearer" } = checkOptions(where, given, ["prefix"]);
  const name = `${readPrefix(where, prefix)}:${kind}:`;
  const commands = scriptsOf(where, client);
  warnWithoutErrorListener(where, client);
  return { name, run: (script, keys, args) => runScript(commands, script, keys, args) };
}

/** A Lua script and its SHA-1, by which Redis caches it. */
export interface RedisScript {
  readonly text: string;
  readonly sha1: string;
}

/** Creates a script from its text. */
export function redisScript(text: string): RedisScript {
  return { text, sha1: createHash("sha1").update(text).digest("hex") };
}

/** Runs a script by its SHA-1. Sends the text if Redis does not have the script. */
export async function runScript(
  commands: ScriptCommands,
  { sha1, text }: RedisScript,
  keys: readonly string[],
  args: readonly string[],
): Promise<unknown> {
  try {
    return await commands.evalSha(sha1, keys, args);
  } catch (error) {
    // NOSCRIPT: the script did not run, because Redis was restarted, failed over or flushed its scripts.
    if (redisErrorCode(error) !== "NOSCRIPT") throw error;
    return await commands.eval(text, keys, args);
  }
}

/** Returns the code of a network error, or the first word of a Redis error, such as `WRONGTYPE`. */
export function redisErrorCode(error: unknown): string | undefined {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  if (typeof code === "string") return code;
  return typeof message === "string" ? /^[A-Z][A-Z_]{1,39}(?= |$)/.exec(message)?.[0] : undefined;
}
