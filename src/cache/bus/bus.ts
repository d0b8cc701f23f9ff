/**
 * How the caches of several processes tell each other that a key has changed. `redisBus` and `postgresBus` are
 * two; write your own for NATS, Kafka or anything that brings a message to every subscriber.
 *
 * What a bus has to keep to:
 *
 * - Every message reaches every subscriber, the publisher's own process too. Messages are texts of at most
 *   4,000 bytes. They hold ids of keys, never secrets or hashes.
 * - Order: what the bus took before a message, a subscriber gets before that message. This is what makes the
 *   return of an own ping prove that every earlier invalidation has arrived.
 * - It may lose messages, but has to say so, or lose what follows as well: messages are numbered, and a cache
 *   that sees a gap forgets everything.
 * - Whoever can write to its channel can make caches forget, not make them keep; whoever can hold messages
 *   back can keep a revoked key alive for the `ttl`. Protect it as you protect the store.
 *
 * @example
 * const natsBus = (connection: NatsConnection): InvalidationBus => ({
 *   async publish(message) {
 *     connection.publish("keybearer", message);
 *     await connection.flush();
 *   },
 *   async subscribe(onMessage, onState) {
 *     const subscription = connection.subscribe("keybearer", { callback: (_, m) => onMessage(m.string()) });
 *     void (async () => {
 *       for await (const { type } of connection.status()) {
 *         if (type === "disconnect") onState(false);
 *         if (type === "reconnect") onState(true);
 *       }
 *     })();
 *     onState(true);
 *     return async () => subscription.unsubscribe();
 *   },
 * });
 */
export interface InvalidationBus {
  /**
   * Resolves when the bus has taken the message, rejects when it has not. It has to settle in the end; a cache
   * waits for a quarter of a second.
   */
  publish(message: string): Promise<void>;
  /**
   * Begins to listen, and goes on, reconnecting by itself, until the function that it answers is called. When
   * it rejects it is called again, after a heartbeat. When it has neither answered nor brought anything for ten
   * heartbeats it is given up and called again, each time after twice as long: what the earlier call brings is not
   * heard, and the function that it answers late is called at once.
   *
   * `onState(true)` says that messages arrive from now on; nothing is taken for granted before. `onState(false)`
   * says that some may be lost: at once when that is noticed, and before any message from behind the gap.
   */
  subscribe(
    onMessage: (message: string) => void,
    onState: (up: boolean) => void,
  ): Promise<() => Promise<void>>;
  /**
   * Called when the bus is said to be up, and yet nothing has come back for ten heartbeats: a connection may be
   * dead without its owner having noticed, for hours. Replaces it, if that can be done.
   */
  reconnect?(): void;
}
