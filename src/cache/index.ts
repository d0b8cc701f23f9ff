export type { InvalidationBus } from "./bus/bus.js";
export { type PostgresBusClient, type PostgresBusOptions, postgresBus } from "./bus/postgres.js";
export {
  type IoRedisSubscriber,
  type NodeRedisSubscriber,
  type RedisBusOptions,
  type RedisPublisher,
  redisBus,
} from "./bus/redis.js";
export {
  type CacheControl,
  type CachedKeyStore,
  type CachedManagedKeyStore,
  cachedStore,
} from "./cached-store.js";
export type { CachedStoreOptions } from "./options.js";
