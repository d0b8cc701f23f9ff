// Starts a PostgreSQL and a Redis on loopback for the soak test, which restarts them.

import { startRedis } from "../../contract/stores/redis-server.js";
import { startPostgres } from "../../contract/stores/sql-servers.js";

export interface Stores {
  readonly postgresUrl: string;
  readonly redisUrl: string;
  /** Stops PostgreSQL like a crash, and starts it again. Committed data is kept. */
  restartPostgres(): Promise<void>;
  /** Kills Redis, which is not persistent, and starts it again. */
  restartRedis(): Promise<void>;
  stop(): Promise<void>;
}

export async function startStores(): Promise<Stores> {
  const redis = await startRedis();
  const postgres = await startPostgres().catch(async (error) => {
    await redis.dispose();
    throw error;
  });
  return {
    postgresUrl: postgres.url,
    redisUrl: redis.url,
    async restartPostgres() {
      await postgres.kill();
      await postgres.start();
    },
    async restartRedis() {
      await redis.kill();
      await redis.start();
    },
    async stop() {
      await Promise.all([postgres.dispose(), redis.dispose()]);
    },
  };
}
