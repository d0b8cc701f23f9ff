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
  connect(): PromiseLike<unknown>;
  destroy?(): unknown;
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
  disconnect(reconnect: boolean): unknown;
  on(event: "message", listener: (channel: string, message: string) => void): unknown;
  on(event: string, listener: () => void): unknown;
  off(event: string, listener: (channel: string, message: string) => void): unknown;
}

/** Options of {@link redisBus}. */
export interface RedisBusOptions {
  /** May be a client that is used for other commands too. */
  readonly publisher: RedisPublisher;
  /**
   * A separate connection, because a subscribed connection accepts no other commands: `client.duplicate()`, and with
   * node-redis also `connect()`.
   */
  readonly subscriber: NodeRedisSubscriber | IoRedisSubscriber;
  /**
   * The channel, 1 to 200 characters; `"keybearer"` by default. Channels are shared by all databases of a server, so use
   * one for each service.
   */
  readonly channel?: string;
}

type Listener = (message: string) => void;

/** A subscribing client of either library. */
interface Subscriber {
  isReady(): boolean;
  subscribe(listener: Listener): PromiseLike<unknown>;
  unsubscribe(listener: Listener): PromiseLike<unknown>;
  /** Subscribes again after a reconnect, if the library may not have done so before its `ready` event. */
  resubscribe(): PromiseLike<unknown>;
  /** Replaces the connection. */
  reconnect(): void;
}

const DOWN_EVENTS = ["reconnecting", "close", "end", "terminated"];

/**
 * Creates a bus over Redis pub/sub. The caller creates, connects and closes both clients, which may be of node-redis or
 * ioredis. In a Redis Cluster, pass clients of single nodes: a message reaches every node.
 *
 * While it is in use, the bus listens to the `error` events of both clients; without a listener they would end the process.
 * The clients reconnect by themselves. If no message has come back for ten heartbeats on an open connection, the bus
 * makes the subscriber reconnect.
 *
 * @throws TypeError if a client lacks a method or belongs to a cluster, both clients are the same, an option is unknown,
 *   or the channel is invalid.
 *
 * @example
 * const subscriber = await client.duplicate().connect();
 * const store = cachedStore(inner, { bus: redisBus({ publisher: client, subscriber }) });
 */
export function redisBus(given: RedisBusOptions): InvalidationBus {
  const options = checkOptions("redisBus", given, ["publisher", "subscriber", "channel"]);
  const { publisher, subscriber: client, channel = "keybearer" } = options;
  checkClient("publisher", publisher, ["publish"]);
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
    async publish(message: string): Promise<void> {
      await publisher.publish(channel, message);
    },

    async subscribe(
      onMessage: (message: string) => void,
      onState: (up: boolean) => void,
    ): Promise<() => Promise<void>> {
      const listener = (message: string) => onMessage(message); // a new function for each subscription
      const ignore = () => {};
      const onDown = () => onState(false);
      const onError = () => {
        if (!subscriber.isReady()) onState(false);
      };
      let subscribed = false;
      const onReady = () => {
        if (!subscribed) return; // the first subscribe() is still pending
        Promise.resolve(subscriber.resubscribe()).then(() => onState(true), ignore); // an event reports a failure
      };
      publisher.on("error", ignore);
      events.on("error", onError);
      events.on("ready", onReady);
      for (const event of DOWN_EVENTS) events.on(event, onDown);

      const unsubscribe = async (): Promise<void> => {
        events.off("ready", onReady);
        for (const event of DOWN_EVENTS) events.off(event, onDown);
        const unsubscribing = (async () => subscriber.unsubscribe(listener))().catch(ignore);
        const unsubscribed = unsubscribing.then(() => {
          events.off("error", onError);
          publisher.off("error", ignore);
        });
        if (subscriber.isReady()) await unsubscribed; // otherwise it settles when the client is up again or closed
      };

      try {
        await subscriber.subscribe(listener);
      } catch (error) {
        void unsubscribe();
        throw error;
      }
      subscribed = true;
      if (subscriber.isReady()) onState(true);
      return unsubscribe;
    },

    reconnect(): void {
      if (subscriber.isReady()) subscriber.reconnect();
    },
  });
}

function overNodeRedis(client: NodeRedisSubscriber, channel: string): Subscriber {
  return {
    isReady: () => client.isReady,
    subscribe: (listener) => client.subscribe(channel, listener),
    unsubscribe: (listener) => client.unsubscribe(channel, listener),
    resubscribe: async () => {}, // node-redis subscribes again before its "ready" event
    reconnect() {
      client.destroy?.();
      client.connect().then(undefined, () => {}); // an event reports the result
    },
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
    resubscribe: () => client.subscribe(channel),
    reconnect: () => client.disconnect(true),
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
