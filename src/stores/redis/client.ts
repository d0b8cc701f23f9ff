import { StoreError } from "../../kit.js";

/**
 * What `redisStore` calls of a client of node-redis: that of `createClient`, `createCluster`, `createSentinel`
 * or `createClientPool` has it.
 */
export interface NodeRedisClient {
  get(key: string): PromiseLike<unknown>;
  mGet(keys: string[]): PromiseLike<unknown>;
  evalSha(sha1: string, options: { keys: string[]; arguments: string[] }): PromiseLike<unknown>;
  eval(script: string, options: { keys: string[]; arguments: string[] }): PromiseLike<unknown>;
}

/** What `redisStore` calls of a client of ioredis: `Redis` or `Cluster`. */
export interface IoRedisClient {
  get(key: string): PromiseLike<unknown>;
  mget(...keys: string[]): PromiseLike<unknown>;
  evalsha(sha1: string, numberOfKeys: number, ...keysAndArguments: string[]): PromiseLike<unknown>;
  eval(script: string, numberOfKeys: number, ...keysAndArguments: string[]): PromiseLike<unknown>;
}

/** A script, and the name that Redis knows it by once it has seen it. */
export interface Script {
  readonly text: string;
  readonly sha1: string;
}

/** A client of either kind. What it answers is not believed; what it fails with is a StoreError. */
export interface Connection {
  get(key: string): Promise<unknown>;
  getMany(keys: readonly string[]): Promise<readonly unknown[]>;
  run(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown>;
}

/**
 * Tells the kinds of client apart by their methods.
 *
 * @throws TypeError for anything else, and for a client that may read what is no longer true.
 */
export function connect(where: string, client: NodeRedisClient | IoRedisClient): Connection {
  // What multi(), legacy() and pipeline() answer has the methods too, but they promise nothing; it emits no events.
  const known = has(client, "get", "eval", "on");
  if (known && has(client, "mGet", "evalSha")) {
    return connection(overNodeRedis(where, client as NodeRedisClient));
  }
  // node-redis 3 has methods of these names too, but they answer to callbacks; it has no pipeline().
  if (known && has(client, "mget", "evalsha", "pipeline")) {
    return connection(overIoRedis(where, client as IoRedisClient));
  }
  throw new TypeError(`${where}: the client must be one of node-redis (version 4 or later) or ioredis`);
}

/** The commands of a client, in one shape. */
interface Commands {
  get(key: string): PromiseLike<unknown>;
  mGet(keys: readonly string[]): PromiseLike<unknown>;
  evalSha(sha1: string, keys: readonly string[], args: readonly string[]): PromiseLike<unknown>;
  eval(text: string, keys: readonly string[], args: readonly string[]): PromiseLike<unknown>;
}

function connection(commands: Commands): Connection {
  return {
    async get(key) {
      try {
        return await commands.get(key);
      } catch (error) {
        throw told(error);
      }
    },
    async getMany(keys) {
      try {
        const answer = await commands.mGet(keys);
        if (Array.isArray(answer) && answer.length === keys.length) return answer;
      } catch (error) {
        throw told(error);
      }
      throw new StoreError("Redis answered another number of records than it was asked for");
    },
    async run({ sha1, text }, keys, args) {
      try {
        try {
          return await commands.evalSha(sha1, keys, args);
        } catch (error) {
          // It did not run: this Redis has been restarted, has taken over, or has dropped its scripts.
          if (codeOf(error) !== "NOSCRIPT") throw error;
          return await commands.eval(text, keys, args);
        }
      } catch (error) {
        throw told(error);
      }
    },
  };
}

function overNodeRedis(where: string, given: NodeRedisClient): Commands {
  const { options, _options, clientSideCache, withTypeMapping } = given as NodeRedisClient & {
    readonly options?: { readonly legacyMode?: unknown; readonly readonly?: unknown };
    readonly _options?: { readonly useReplicas?: unknown };
    readonly clientSideCache?: unknown;
    readonly withTypeMapping?: (mapping: object) => NodeRedisClient;
  };
  if (options?.legacyMode) throw new TypeError(`${where}: the client must not be in legacy mode`);
  if (clientSideCache) {
    throw new TypeError(`${where}: the client must not have a clientSideCache: a revoked key could be in it`);
  }
  if (_options?.useReplicas || options?.readonly) throw new TypeError(`${where}: ${NO_REPLICAS}`);
  if (withTypeMapping === undefined && has(given, "sendCommand", "getSlotRandomNode")) {
    return overCluster4(given as unknown as Cluster4);
  }
  // Texts must come as texts, whatever the host has them come as elsewhere.
  const client = withTypeMapping === undefined ? given : withTypeMapping.call(given, {});
  return {
    get: (key) => client.get(key),
    mGet: (keys) => client.mGet([...keys]),
    evalSha: (sha1, keys, args) => client.evalSha(sha1, { keys: [...keys], arguments: [...args] }),
    eval: (text, keys, args) => client.eval(text, { keys: [...keys], arguments: [...args] }),
  };
}

/** The cluster client of `redis` 4. */
interface Cluster4 {
  sendCommand(firstKey: string | undefined, isReadonly: boolean, args: string[]): PromiseLike<unknown>;
}

/** It does not see the keys of scripts, and asks nodes at random. Told where to go, it also leaves out replicas. */
function overCluster4(client: Cluster4): Commands {
  const send = (keys: readonly string[], args: string[]) => client.sendCommand(keys[0], false, args);
  return {
    get: (key) => send([key], ["GET", key]),
    mGet: (keys) => send(keys, ["MGET", ...keys]),
    evalSha: (sha1, keys, args) => send(keys, ["EVALSHA", sha1, `${keys.length}`, ...keys, ...args]),
    eval: (text, keys, args) => send(keys, ["EVAL", text, `${keys.length}`, ...keys, ...args]),
  };
}

function overIoRedis(where: string, client: IoRedisClient): Commands {
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
    get: (key) => client.get(key),
    mGet: (keys) => client.mget(...keys),
    evalSha: (sha1, keys, args) => client.evalsha(sha1, keys.length, ...keys, ...args),
    eval: (text, keys, args) => client.eval(text, keys.length, ...keys, ...args),
  };
}

const NO_REPLICAS = "the client must not read from replicas: a key that was revoked is still valid there";

function has(client: unknown, ...methods: readonly string[]): boolean {
  const members = client as Record<string, unknown> | null | undefined;
  return methods.every((method) => typeof members?.[method] === "function");
}

/** What the scripts refuse with, in words. Two of the codes have an id behind them, as it stands in JSON. */
const REFUSALS: ReadonlyMap<string, (id: string) => string> = new Map([
  ["KEYBEARER_EXISTS", () => "A key of this id or hash exists"],
  ["KEYBEARER_ENTRY", () => "An audit entry of this id exists"],
  ["KEYBEARER_DAMAGED", (id: string) => `The record of "${id}" cannot be read, or is missing`],
  ["KEYBEARER_LOST", (id: string) => `The audit entry "${id}" is missing`],
]);

/** Names the kind of an error, never its text: clients keep the command, and so hashes, in their errors. */
function told(error: unknown): StoreError {
  const { name, message } = (error ?? {}) as { name?: unknown; message?: unknown };
  const code = codeOf(error) ?? "";
  const refusal = REFUSALS.get(code)?.(`${message}`.slice(code.length + 1));
  const kind = [name, code].filter((part) => typeof part === "string" && /^\w{1,64}$/.test(part)).join(" ");
  return new StoreError(refusal ?? `Redis failed${kind && ` (${kind})`}`, error);
}

/** The code of a network error, or the word in capitals that an error of Redis begins with. */
function codeOf(error: unknown): string | undefined {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  if (typeof code === "string") return code;
  return typeof message === "string" ? /^[A-Z][A-Z_]{1,39}(?= |$)/.exec(message)?.[0] : undefined;
}
