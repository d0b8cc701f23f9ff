import { redisLibrary } from "../../internal/redis-client.js";
import { checkMethods, checkOptions, hasMethod } from "../../internal/validate.js";
import type { InvalidationBus } from "./bus.js";

/** The part of a publishing client that {@link redisBus} uses. Clients of node-redis and ioredis have it. */
export interface RedisPublisher {
  publish(channel: string, message: string): PromiseLike<unknown>;
  on(event: "error", listener: () => void): unknown;
  off(event: "error", listener: () => void): unknown;
}

/** The part of a subscribing node-redis client that {@link redisBus} uses. */
export interface NodeRedisSubscriber {
  readonly isReady: boolean;
  subscribe(channel: string, listener: (message: string) => void): PromiseLike<unknown>;
  unsubscribe(channel: string, listener: (message: string) => void): PromiseLike<unknown>;
  /** Only node-redis has a method of this name; ioredis has `psubscribe`. */
  pSubscribe(pattern: string, listener: (message: string) => void): PromiseLike<unknown>;
  on(event: string, listener: () => void): unknown;
  off(event: string, listener: () => void): unknown;
}

/** The part of a subscribing ioredis client that {@link redisBus} uses. */
export interface IoRedisSubscriber {
  readonly status: string;
  subscribe(channel: string): PromiseLike<unknown>;
  unsubscribe(channel: string): PromiseLike<unknown>;
  on(event: "message", listener: (channel: string, message: string) => void): unknown;
  on(event: string, listener: () => void): unknown;
  off(event: string, listener: (channel: string, message: string) => void): unknown;
}

/** Options of {@link redisBus}. */
export interface RedisBusOptions {
  /**
   * Announces changes made through this cache. Omit it with `redisStore`, which announces changes by itself. May be a
   * client that is used for other commands too.
   */
  readonly publisher?: RedisPublisher;
  /**
   * A separate connection, because a subscribed connection accepts no other commands: `client.duplicate()`, and with
   * node-redis also `connect()`.
   */
  readonly subscriber: NodeRedisSubscriber | IoRedisSubscriber;
  /**
   * The channel, 1 to 200 characters. `redisStore` announces changes on `{<prefix>}:changes`. `"{keybearer}:changes"` by
   * default. Channels are shared by all databases of a server, so use one for each service.
   */
  readonly channel?: string;
}

type Listener = (message: string) => void;

/** A subscribing client of either library. */
interface Subscriber {
  isReady(): boolean;
  subscribe(listener: Listener): PromiseLike<unknown>;
  unsubscribe(listener: Listener): PromiseLike<unknown>;
}

/**
 * Creates a bus over Redis pub/sub. The caller creates, connects and closes the clients, which may be of node-redis or
 * ioredis. In a Redis Cluster, pass clients of single nodes: a message reaches every node.
 *
 * While it is in use, the bus listens to the `error` events of the clients; without a listener they would end the process.
 * The clients reconnect and subscribe again by themselves. Set `pingInterval` (node-redis) or `keepAlive` (ioredis) so that
 * the subscriber notices a dead connection.
 *
 * @throws TypeError if a client lacks a method or belongs to a cluster, both clients are the same, an option is unknown,
 *   or the channel is invalid.
 *
 * @example
 * const subscriber = await client.duplicate().connect();
 * const store = cachedStore(inner, { bus: redisBus({ subscriber }) });
 */
export function redisBus(given: RedisBusOptions): InvalidationBus {
  const options = checkOptions("redisBus", given, ["publisher", "subscriber", "channel"]);
  const { publisher, subscriber: client, channel = "{keybearer}:changes" } = options;
  if (publisher !== undefined) checkClient("publisher", publisher, ["publish"]);
  checkClient("subscriber", client, ["subscribe", "unsubscribe"]);
  if ((client as unknown) === publisher) {
    throw new TypeError('redisBus: "subscriber" must be another client than "publisher"');
  }
  if (typeof channel !== "string" || channel === "" || channel.length > 200) {
    throw new TypeError('redisBus: "channel" must be a string of 1 to 200 characters');
  }
  // The two libraries declare their events differently.
  const events = client as Pick<NodeRedisSubscriber, "on" | "off">;
  const subscriber =
    redisLibrary(client) === "node-redis"
      ? overNodeRedis(client as NodeRedisSubscriber, channel)
      : overIoRedis(client as IoRedisSubscriber, channel);

  return Object.freeze({
    ...(publisher && {
      async publish(keyId: string): Promise<void> {
        await publisher.publish(channel, JSON.stringify(keyId).slice(1, -1));
      },
    }),

    async subscribe(onKeyChanged: (keyId: string) => void): Promise<() => Promise<void>> {
      const listener = (message: string) => onKeyChanged(decode(message)); // a new function for each subscription
      const ignore = () => {};
      publisher?.on("error", ignore);
      events.on("error", ignore);

      const unsubscribe = async (): Promise<void> => {
        const unsubscribing = (async () => subscriber.unsubscribe(listener))().catch(ignore);
        const unsubscribed = unsubscribing.then(() => {
          events.off("error", ignore);
          publisher?.off("error", ignore);
        });
        if (subscriber.isReady()) await unsubscribed; // otherwise it settles when the client is up again or closed
      };

      try {
        await subscriber.subscribe(listener);
      } catch (error) {
        void unsubscribe();
        throw error;
      }
      return unsubscribe;
    },
  });
}

/** Decodes an id that is escaped as inside a JSON string. Anything else is returned as it is, and is no id. */
function decode(message: string): string {
  try {
    return message.includes("\\") ? JSON.parse(`"${message}"`) : message;
  } catch {
    return message;
  }
}

function overNodeRedis(client: NodeRedisSubscriber, channel: string): Subscriber {
  return {
    isReady: () => client.isReady,
    subscribe: (listener) => client.subscribe(channel, listener),
    unsubscribe: (listener) => client.unsubscribe(channel, listener),
  };
}

function overIoRedis(client: IoRedisSubscriber, channel: string): Subscriber {
  const listeners = new Set<Listener>();
  const onMessage = (from: string, message: string) => {
    if (from === channel) for (const listener of listeners) listener(message);
  };
  return {
    isReady: () => client.status === "ready",
    subscribe(listener) {
      if (listeners.size === 0) client.on("message", onMessage);
      listeners.add(listener);
      return client.subscribe(channel);
    },
    async unsubscribe(listener) {
      listeners.delete(listener);
      if (listeners.size > 0) return;
      client.off("message", onMessage);
      await client.unsubscribe(channel);
    },
  };
}

function checkClient(name: string, client: unknown, methods: readonly string[]): void {
  checkMethods("redisBus", name, client, [...methods, "on", "off"]);
  // A cluster client moves to another node without an event, and does not keep the order of messages.
  const { isCluster } = client as { readonly isCluster?: unknown };
  if (isCluster === true || hasMethod(client, "getRandomNode")) {
    throw new TypeError(`redisBus: "${name}" must be a client of one node; received a cluster client`);
  }
}
