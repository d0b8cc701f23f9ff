// Starts a PostgreSQL and a Redis on loopback for the soak test, which restarts them.

import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type RedisServer, startRedis } from "../../contract/stores/redis-server.js";

const run = promisify(execFile);

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
  const redis: RedisServer = await startRedis();
  const bin = postgresBin();
  const directory = mkdtempSync(join(tmpdir(), "keybearer-soak-"));
  const data = join(directory, "postgres");
  mkdirSync(data);
  if (process.getuid?.() === 0) await run("chown", ["-R", "postgres", directory]);
  const port = await freePort();
  const control = (...args: string[]) => asPostgres(`${bin}/pg_ctl`, `--pgdata=${data}`, "--wait", ...args);
  const start = () =>
    control(
      `--log=${data}/log`,
      `--options=-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=${data} -c fsync=off`,
      "start",
    );
  const dispose = async () => {
    await redis.dispose();
    await control("--mode=immediate", "stop").catch(() => {}); // it may not have been started
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await asPostgres(`${bin}/initdb`, "--auth=trust", "--username=postgres", "--no-sync", `--pgdata=${data}`);
    await start();
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    postgresUrl: `postgres://postgres@127.0.0.1:${port}/postgres`,
    redisUrl: redis.url,
    async restartPostgres() {
      await control("--mode=immediate", "stop");
      await start();
    },
    async restartRedis() {
      await redis.kill();
      await redis.start();
    },
    stop: dispose,
  };
}

/** PostgreSQL does not run as root. */
function asPostgres(command: string, ...args: string[]): Promise<unknown> {
  return process.getuid?.() === 0
    ? run("runuser", ["-u", "postgres", "--", command, ...args])
    : run(command, args);
}

function postgresBin(): string {
  const found = process.env.POSTGRES_BIN ?? newestOf("/usr/lib/postgresql");
  if (found === undefined) throw new Error("initdb was not found. Set POSTGRES_BIN to its directory");
  return found;
}

function newestOf(root: string): string | undefined {
  if (!existsSync(root)) return undefined;
  const versions = readdirSync(root).sort((a, b) => Number(b) - Number(a));
  return versions.map((version) => join(root, version, "bin")).find((bin) => existsSync(join(bin, "initdb")));
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
