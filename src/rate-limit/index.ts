/**
 * Rate limits for keys, and a limit on failed authentications per client address.
 *
 * @module
 */

export { type FailedAuthLimiterOptions, failedAuthLimiter } from "./failed-auth-limiter.js";
export { type FlexibleCount, type FlexibleLimiter, flexibleLimits } from "./flexible.js";
export { createRateLimiter, type RateLimiterOptions } from "./limiter.js";
export { type MemoryLimits, type MemoryLimitsOptions, memoryLimits } from "./memory.js";
export { type IoRedisScripts, type NodeRedisScripts, type RedisLimitsOptions, redisLimits } from "./redis.js";
export type { Counter, CounterState, LimitStore, TakeResult } from "./store.js";
export type { RateWindow } from "./windows.js";
