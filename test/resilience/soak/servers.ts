// Starts the servers of the soak test on loopback, and kills and restarts them.

import { setTimeout as sleep } from "node:timers/promises";
import { startRedis } from "../../contract/stores/redis-server.js";
import { startMariadb, startPostgres } from "../../contract/stores/sql-servers.js";
import type { Kind } from "./stores.js";

const MAX_DOWN_MS = 3_000;

interface Server {
  readonly url: string;
  start(): Promise<void>;
  kill(): Promise<void>;
  dispose(): Promise<void>;
}

export interface Servers {
  readonly storeUrl: string;
  /** The server of the bus. It is the server of the store if that is Redis. */
  readonly busUrl: string;
  /** Kills one of the servers at random and starts it again after up to three seconds. Returns which. */
  restartOne(): Promise<string>;
  stop(): Promise<void>;
}

const START: Readonly<Record<Kind, () => Promise<Server>>> = {
  postgres: startPostgres,
  mysql: startMariadb,
  redis: () => startRedis("--appendonly", "yes", "--appendfsync", "always"),
};

export async function startServers(kind: Kind): Promise<Servers> {
  const store = await START[kind]();
  const bus =
    kind === "redis"
      ? store
      : await startRedis().catch(async (error) => {
          await store.dispose();
          throw error;
        });
  const servers = [...new Set([store, bus])];
  return {
    storeUrl: store.url,
    busUrl: bus.url,
    async restartOne() {
      const server = servers[Math.floor(Math.random() * servers.length)] as Server;
      await server.kill();
      await sleep(Math.random() * MAX_DOWN_MS);
      await server.start();
      return server === store ? "the store" : "the bus";
    },
    async stop() {
      await Promise.all(servers.map((server) => server.dispose()));
    },
  };
}
