export {
  type FlexibleCount,
  type FlexibleLimiter,
  flexibleLimits,
} from "./flexible.js";
export { type GuessingOptions, slowGuessing } from "./guessing.js";
export { createRateLimiter, type RateLimiterOptions } from "./limiter.js";
export { type MemoryLimits, type MemoryLimitsOptions, memoryLimits } from "./memory.js";
export { type IoRedisScripts, type NodeRedisScripts, type RedisLimitsOptions, redisLimits } from "./redis.js";
export type { Counter, LimitStore, Standing, Taken } from "./store.js";
export type { RateWindow } from "./windows.js";
