import type { Servers } from "../../../servers.js";
import type { Backend } from "./backend.js";
import { memoryBackends } from "./memory.js";
import { mysqlBackends } from "./mysql.js";
import { postgresBackends } from "./postgres.js";
import { redisBackends } from "./redis.js";
import { sqliteBackends } from "./sqlite.js";

/** Every store over every driver, including those that are missing on this machine. */
export function allBackends({ postgres, mysql, redis, redisCluster }: Servers): readonly Backend[] {
  return [
    ...memoryBackends(),
    ...sqliteBackends(),
    ...postgresBackends(postgres),
    ...mysqlBackends(mysql),
    ...redisBackends(redis, redisCluster),
  ];
}
