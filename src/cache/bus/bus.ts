/**
 * Carries the ids of changed keys between the caches of several processes, so that they are evicted within milliseconds.
 * `redisBus` and `postgresBus` are included; implement this interface for NATS, Kafka or another broker.
 *
 * A bus may lose, delay, repeat and reorder messages: the bound of a cache depends on what it reads from the store. A
 * client that can publish can evict keys from caches and nothing else.
 *
 * @example
 * const natsBus = (connection: NatsConnection): InvalidationBus => ({
 *   async publish(keyId) {
 *     connection.publish("keybearer", keyId);
 *   },
 *   async subscribe(onKeyChanged) {
 *     const callback = (_: unknown, message: NatsMessage) => onKeyChanged(message.string());
 *     const subscription = connection.subscribe("keybearer", { callback });
 *     return async () => subscription.unsubscribe();
 *   },
 * });
 */
export interface InvalidationBus {
  /**
   * Sends the id of a changed key. Omit it if the store announces changes by itself. A change waits for at most 250 ms;
   * observers receive `background.failed` if it rejects or takes longer.
   */
  publish?(keyId: string): Promise<void>;
  /**
   * Subscribes, and reconnects by itself until the returned function is called. If it rejects, it is called again after
   * a heartbeat.
   */
  subscribe(onKeyChanged: (keyId: string) => void): Promise<() => Promise<void>>;
}
