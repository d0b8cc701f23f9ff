/**
 * Carries messages about changed keys between the caches of several processes. `redisBus` and `postgresBus` are
 * included; implement this interface for NATS, Kafka or another broker.
 *
 * Requirements:
 *
 * - Every message reaches every subscriber, including the publishing process. Messages are strings of at most 4,000
 *   bytes. They contain key ids, never secrets or hashes.
 * - A subscriber receives messages in the order in which the bus accepted them. The return of a cache's own ping then
 *   proves that every earlier message has arrived.
 * - The bus may lose messages. They are numbered: a cache that notices a gap clears itself, and one that receives no
 *   messages is bypassed after three heartbeats.
 *
 * Protect the channel like the store. A client that can publish can clear caches, but cannot add keys to them. A client
 * that can delay messages can keep a revoked key valid for the `ttl`.
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
   * Resolves when the bus has accepted the message, and rejects if it has not. It must settle eventually; a change waits
   * for at most 250 ms.
   */
  publish(message: string): Promise<void>;
  /**
   * Subscribes, and reconnects by itself until the returned function is called. If it rejects, it is called again after
   * a heartbeat. If it neither settles nor delivers a message within ten heartbeats, it is called again, with
   * exponential back-off. Messages of the abandoned call are then ignored, and the function that it returns later is
   * called at once.
   *
   * Call `onState(true)` when messages arrive from now on. Call `onState(false)` as soon as messages may be lost, and
   * before delivering any message after the gap.
   */
  subscribe(
    onMessage: (message: string) => void,
    onState: (up: boolean) => void,
  ): Promise<() => Promise<void>>;
  /**
   * Replaces a connection that may be dead. Optional. Called when the last state was `true` but no message has come back
   * for ten heartbeats.
   */
  reconnect?(): void;
}
