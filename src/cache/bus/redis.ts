import { checkOptions } from "../../internal/validate.js";
import type { InvalidationBus } from "./bus.js";

/** What {@link redisBus} calls of a client that publishes: one of node-redis or ioredis has it. */
export interface RedisPublisher {
  publish(channel: string, message: string): PromiseLike<unknown>;
  on(event: "error", listener: () => void): unknown;
  off(event: "error", listener: () => void): unknown;
}

/** What {@link redisBus} calls of a client of node-redis that subscribes. */
export interface NodeRedisSubscriber {
  readonly isReady: boolean;
  subscribe(channel: string, listener: (message: string) => void): PromiseLike<unknown>;
  unsubscribe(channel: string, listener: (message: string) => void): PromiseLike<unknown>;
  connect(): PromiseLike<unknown>;
  destroy?(): unknown;
  // Only node-redis writes it like this; ioredis has psubscribe.
  pSubscribe(pattern: string, listener: (message: string) => void): PromiseLike<unknown>;
  on(event: string, listener: () => void): unknown;
  off(event: string, listener: () => void): unknown;
}

/** What {@link redisBus} calls of a client of ioredis that subscribes. */
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
  /** The client that the service uses anyway will do. */
  readonly publisher: RedisPublisher;
  /**
   * A connection for this alone, because one that is subscribed takes no other commands: `client.duplicate()`
   * of node-redis, connected, or `client.duplicate()` of ioredis.
   */
  readonly subscriber: NodeRedisSubscriber | IoRedisSubscriber;
  /**
   * The channel, `keybearer` by default; 1 to 200 characters. It spans all databases of a server, so services
   * that share a server and not their keys should have a channel each.
   */
  readonly channel?: string;
}

type Receiver = (message: string) => void;

/** A client that subscribes, of either library. */
interface Line {
  isReady(): boolean;
  join(receive: Receiver): PromiseLike<unknown>;
  leave(receive: Receiver): PromiseLike<unknown>;
  /** Makes the subscription again, where the library may not have by the time it says that it is ready. */
  rejoin(): PromiseLike<unknown>;
  /** Gives up the connection, and makes another. */
  reconnect(): void;
}

const DOWN = ["reconnecting", "close", "end", "terminated"];

/**
 * A bus over Redis pub/sub, through clients that the host made, connects and closes: those of node-redis
 * or ioredis. In a Redis Cluster, give it clients of single nodes: a message reaches every node.
 *
 * While it is in use it listens to the `error` events of both clients, which would otherwise end the process.
 * The clients reconnect by themselves; only when nothing has come back for ten heartbeats, on a connection that
 * is said to be up, the subscriber is made to.
 *
 * @throws TypeError for clients that are none, one client in both places, a client of a cluster, an unknown
 * option or a channel that is none.
 *
 * @example
 * const subscriber = await client.duplicate().connect();
 * const store = cachedStore(inner, { bus: redisBus({ publisher: client, subscriber }) });
 */
export function redisBus(given: RedisBusOptions): InvalidationBus {
  const options = checkOptions("redisBus", given, ["publisher", "subscriber", "channel"]);
  const { publisher, subscriber, channel = "keybearer" } = options;
  checkClient("publisher", publisher, ["publish"]);
  checkClient("subscriber", subscriber, ["subscribe", "unsubscribe"]);
  if ((subscriber as unknown) === publisher)
    throw new TypeError('redisBus: "subscriber" must be a connection of its own');
  if (typeof channel !== "string" || channel === "" || channel.length > 200)
    throw new TypeError('redisBus: "channel" must be a text of 1 to 200 characters');
  // Both libraries declare their events so differently that no one type fits.
  const events = subscriber as Pick<NodeRedisSubscriber, "on" | "off">;
  const line =
    "pSubscribe" in subscriber ? overNodeRedis(subscriber, channel) : overIoRedis(subscriber, channel);

  return Object.freeze({
    async publish(message: string): Promise<void> {
      await publisher.publish(channel, message);
    },

    async subscribe(
      onMessage: (message: string) => void,
      onState: (up: boolean) => void,
    ): Promise<() => Promise<void>> {
      const receive = (message: string) => onMessage(message); // a function of its own for each subscription
      const ignore = () => {};
      const down = () => onState(false);
      const check = () => {
        if (!line.isReady()) onState(false);
      };
      let joined = false;
      const ready = () => {
        if (!joined) return; // it is still joining
        Promise.resolve(line.rejoin()).then(() => onState(true), ignore); // what broke it is told by an event
      };
      publisher.on("error", ignore);
      events.on("error", check);
      events.on("ready", ready);
      for (const event of DOWN) events.on(event, down);

      const leave = async (): Promise<void> => {
        events.off("ready", ready);
        for (const event of DOWN) events.off(event, down);
        const leaving = (async () => line.leave(receive))().catch(ignore);
        const left = leaving.then(() => {
          events.off("error", check);
          publisher.off("error", ignore);
        });
        if (line.isReady()) await left; // else it is done when the client is up again, or closed
      };

      try {
        await line.join(receive);
      } catch (error) {
        void leave();
        throw error;
      }
      joined = true;
      if (line.isReady()) onState(true);
      return leave;
    },

    reconnect(): void {
      if (line.isReady()) line.reconnect();
    },
  });
}

function overNodeRedis(client: NodeRedisSubscriber, channel: string): Line {
  return {
    isReady: () => client.isReady,
    join: (receive) => client.subscribe(channel, receive),
    leave: (receive) => client.unsubscribe(channel, receive),
    rejoin: async () => {}, // it has subscribed again before it says that it is ready
    reconnect() {
      client.destroy?.();
      client.connect().then(undefined, () => {}); // its events tell what comes of it
    },
  };
}

function overIoRedis(client: IoRedisSubscriber, channel: string): Line {
  const receivers = new Set<Receiver>();
  const listener = (from: string, message: string) => {
    if (from === channel) for (const receive of receivers) receive(message);
  };
  return {
    isReady: () => client.status === "ready",
    join(receive) {
      if (receivers.size === 0) client.on("message", listener);
      receivers.add(receive);
      return client.subscribe(channel);
    },
    async leave(receive) {
      receivers.delete(receive);
      if (receivers.size > 0) return;
      client.off("message", listener);
      await client.unsubscribe(channel);
    },
    rejoin: () => client.subscribe(channel),
    reconnect: () => client.disconnect(true),
  };
}

function checkClient(name: string, client: unknown, methods: readonly string[]): void {
  const members = client as Record<string, unknown> | null | undefined;
  const missing = [...methods, "on", "off"].find((method) => typeof members?.[method] !== "function");
  if (missing !== undefined) throw new TypeError(`redisBus: "${name}" must have a method ${missing}()`);
  // It would go on at another node without a word when one is lost, and publish in no certain order.
  if (members?.isCluster === true || typeof members?.getRandomNode === "function") {
    throw new TypeError(`redisBus: "${name}" must be a client of one node, not of a cluster`);
  }
}
