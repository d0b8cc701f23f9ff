import {
  type IoRedisScripting,
  ioRedisScripts,
  type NodeRedisScripting,
  nodeRedisScripts,
  type RedisScript,
  redisErrorCode,
  redisLibrary,
  runScript,
  type ScriptCommands,
} from "../../internal/redis-client.js";
import { hasMethod } from "../../internal/validate.js";
import { KeyConflictError, KeyStateError, OWNER_SUSPENDED, StoreError } from "../../kit.js";
import { createCreatorError } from "../record-codec.js";

/**
 * What `redisStore` calls of a node-redis client: one of `createClient`, `createCluster`, `createSentinel` or
 * `createClientPool`.
 */
export interface NodeRedisClient extends NodeRedisScripting {
  get(key: string): PromiseLike<unknown>;
  mGet(keys: string[]): PromiseLike<unknown>;
}

/** What `redisStore` calls of an ioredis client: `Redis` or `Cluster`. */
export interface IoRedisClient extends IoRedisScripting {
  get(key: string): PromiseLike<unknown>;
  mget(...keys: string[]): PromiseLike<unknown>;
}

/** The commands of a store, over either library. Errors are StoreErrors; results are not checked. */
export interface RedisCommands {
  get(key: string): Promise<unknown>;
  mGet(keys: readonly string[]): Promise<readonly unknown[]>;
  run(script: RedisScript, keys: readonly string[], args: readonly string[]): Promise<unknown>;
}

/** @throws TypeError if `client` is not a supported client, or may return outdated keys. */
export function redisCommands(where: string, client: NodeRedisClient | IoRedisClient): RedisCommands {
  const library = hasMethod(client, "get") && hasMethod(client, "eval") ? redisLibrary(client) : undefined;
  if (library === "node-redis" && hasMethod(client, "mGet")) {
    return withStoreErrors(nodeRedisCommands(where, client as NodeRedisClient));
  }
  if (library === "ioredis" && hasMethod(client, "mget")) {
    return withStoreErrors(ioRedisCommands(where, client as IoRedisClient));
  }
  throw new TypeError(`${where}: the client must be a client of node-redis (version 4 or later) or ioredis`);
}

interface ClientCommands extends ScriptCommands {
  get(key: string): PromiseLike<unknown>;
  mGet(keys: readonly string[]): PromiseLike<unknown>;
}

// Bounds the lookups that pile up in the client while Redis hangs: after their timeout they still wait for a reply.
const MAX_LOOKUPS = 1_000;

function withStoreErrors(commands: ClientCommands): RedisCommands {
  let lookups = 0;
  const lookUp = async (call: () => PromiseLike<unknown>): Promise<unknown> => {
    if (lookups >= MAX_LOOKUPS) throw new StoreError(`More than ${MAX_LOOKUPS} lookups are pending`);
    lookups += 1;
    try {
      return await call();
    } catch (error) {
      throw toStoreError(error);
    } finally {
      lookups -= 1;
    }
  };
  return {
    get: (key) => lookUp(() => commands.get(key)),
    async mGet(keys) {
      const values = await lookUp(() => commands.mGet(keys));
      if (Array.isArray(values) && values.length === keys.length) return values;
      throw new StoreError("MGET did not return one value for each key");
    },
    async run(script, keys, args) {
      try {
        return await runScript(commands, script, keys, args);
      } catch (error) {
        throw toStoreError(error);
      }
    },
  };
}

function nodeRedisCommands(where: string, given: NodeRedisClient): ClientCommands {
  const { options, _options, clientSideCache, withTypeMapping } = given as NodeRedisClient & {
    readonly options?: { readonly legacyMode?: unknown; readonly readonly?: unknown };
    readonly _options?: { readonly useReplicas?: unknown };
    readonly clientSideCache?: unknown;
    readonly withTypeMapping?: (mapping: object) => NodeRedisClient;
  };
  if (options?.legacyMode) throw new TypeError(`${where}: the client must not be in legacy mode`);
  if (clientSideCache) {
    throw new TypeError(`${where}: the client must not have a clientSideCache: it may return revoked keys`);
  }
  if (_options?.useReplicas || options?.readonly) throw new TypeError(`${where}: ${NO_REPLICAS}`);
  if (
    withTypeMapping === undefined &&
    hasMethod(given, "sendCommand") &&
    hasMethod(given, "getSlotRandomNode")
  ) {
    return cluster4Commands(given as unknown as Cluster4);
  }
  // Resets the type mapping of the caller, so that strings are returned as strings.
  const client = withTypeMapping === undefined ? given : withTypeMapping.call(given, {});
  return {
    ...nodeRedisScripts(client),
    get: (key) => client.get(key),
    mGet: (keys) => client.mGet([...keys]),
  };
}

/** The cluster client of `redis` 4. */
interface Cluster4 {
  sendCommand(firstKey: string | undefined, isReadonly: boolean, args: string[]): PromiseLike<unknown>;
}

/** It does not find the keys of scripts, and sends them to random nodes. With `isReadonly: false` it avoids replicas. */
function cluster4Commands(client: Cluster4): ClientCommands {
  const send = (keys: readonly string[], args: string[]) => client.sendCommand(keys[0], false, args);
  return {
    get: (key) => send([key], ["GET", key]),
    mGet: (keys) => send(keys, ["MGET", ...keys]),
    evalSha: (sha1, keys, args) => send(keys, ["EVALSHA", sha1, `${keys.length}`, ...keys, ...args]),
    eval: (text, keys, args) => send(keys, ["EVAL", text, `${keys.length}`, ...keys, ...args]),
  };
}

function ioRedisCommands(where: string, client: IoRedisClient): ClientCommands {
  const { options } = client as {
    readonly options?: {
      readonly scaleReads?: unknown;
      readonly readOnly?: unknown;
      readonly role?: unknown;
    };
  };
  if ((options?.scaleReads ?? "master") !== "master" || options?.readOnly || options?.role === "slave") {
    throw new TypeError(`${where}: ${NO_REPLICAS}`);
  }
  return {
    ...ioRedisScripts(client),
    get: (key) => client.get(key),
    mGet: (keys) => client.mget(...keys),
  };
}

const NO_REPLICAS = "the client must not read from replicas: they may return revoked keys";

/** The messages for the error codes of the scripts. `KEYBEARER_DAMAGED` is followed by an id, escaped as in JSON. */
const SCRIPT_ERRORS: ReadonlyMap<string, (id: string) => string> = new Map([
  ["KEYBEARER_ENTRY", () => "An audit entry of this id exists"],
  ["KEYBEARER_DAMAGED", (id: string) => `The record of "${id}" is missing or cannot be read`],
]);

/** Names the kind of an error and never its message, because clients put commands, and so hashes, into errors. */
function toStoreError(error: unknown): StoreError | KeyConflictError | KeyStateError {
  const { name, message } = (error ?? {}) as { name?: unknown; message?: unknown };
  const code = redisErrorCode(error) ?? "";
  if (code === "KEYBEARER_EXISTS") return new KeyConflictError("A key of this id or hash exists");
  if (code === "KEYBEARER_SUSPENDED") return new KeyStateError(OWNER_SUSPENDED);
  if (code === "KEYBEARER_CREATOR") return createCreatorError();
  if (/\bOOM command not allowed\b/.test(`${message}`)) {
    return new StoreError('Redis has reached its "maxmemory"; it can still revoke and disable keys', error);
  }
  const explanation = SCRIPT_ERRORS.get(code)?.(`${message}`.slice(code.length + 1));
  const kind = [name, code].filter((part) => typeof part === "string" && /^\w{1,64}$/.test(part)).join(" ");
  return new StoreError(explanation ?? `Redis failed${kind && ` (${kind})`}`, error);
}
