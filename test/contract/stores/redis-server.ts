import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const TIMEOUT_MS = 60_000;
const ATTEMPTS = 3;

/** A Redis server for one test, on loopback. The test may fill, block and kill it. */
export interface RedisServer {
  readonly url: string;
  readonly port: number;
  /** Starts it again with its files. */
  start(): Promise<void>;
  /** Kills it with SIGKILL. */
  kill(): Promise<void>;
  /** Kills it and deletes its files. */
  dispose(): Promise<void>;
}

/** Starts a Redis on a free port, without persistence by default. */
export async function startRedis(...options: string[]): Promise<RedisServer> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(options);
    } catch (error) {
      if (attempt === ATTEMPTS) throw error; // otherwise another process may have taken the port
    }
  }
}

async function startOnce(options: readonly string[]): Promise<RedisServer> {
  const directory = mkdtempSync(join(tmpdir(), "keybearer-redis-"));
  const port = await freePort();
  let child: ChildProcess | undefined;

  const start = async (): Promise<void> => {
    const fixed = ["--bind", "127.0.0.1", "--port", `${port}`, "--dir", directory, "--save", ""];
    const started = spawn(process.env.REDIS_SERVER ?? "redis-server", [...fixed, ...options], {
      stdio: "ignore",
    });
    child = started;
    await until(async () => {
      if (started.exitCode !== null) throw new Error(`redis-server ended with ${started.exitCode}`);
      return isUp(port);
    });
  };
  const kill = async (): Promise<void> => {
    child?.kill("SIGKILL");
    if (child && child.exitCode === null && child.signalCode === null) await once(child, "exit");
  };
  const dispose = async (): Promise<void> => {
    await kill();
    rmSync(directory, { recursive: true, force: true });
  };

  await start().catch(async (error) => {
    await dispose();
    throw error;
  });
  return { url: `redis://127.0.0.1:${port}`, port, start, kill, dispose };
}

/** A proxy between a client and a Redis that can hold back or drop replies. */
export interface RedisProxy {
  readonly port: number;
  /** Receives everything that clients sent. While it returns false, replies are held back. */
  forwardsReplies: (sent: string) => boolean;
  /** Drops the next reply and closes its connection. */
  dropNextReply(): void;
  close(): Promise<void>;
}

/** Starts a proxy to the Redis on this port. */
export async function startRedisProxy(to: number): Promise<RedisProxy> {
  const sockets = new Set<Socket>();
  let dropping = false;
  const server: Server = createServer((client) => {
    const upstream = connect(to, "127.0.0.1");
    const held: Buffer[] = [];
    let sent = "";
    const flush = (): void => {
      if (proxy.forwardsReplies(sent)) for (const reply of held.splice(0)) client.write(reply);
    };
    const end = (): void => {
      for (const socket of [client, upstream]) socket.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", end).on("close", () => {
        sockets.delete(socket);
        end();
      });
    }
    client.on("data", (data) => {
      sent += data;
      upstream.write(data);
      flush();
    });
    upstream.on("data", (data) => {
      if (dropping) {
        dropping = false;
        end();
        return;
      }
      held.push(data);
      flush();
    });
  });
  const proxy: RedisProxy = {
    port: await listening(server),
    forwardsReplies: () => true,
    dropNextReply() {
      dropping = true;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await once(server.close(), "close");
    },
  };
  return proxy;
}

/** Polls until the condition holds. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + TIMEOUT_MS;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error("the condition did not hold in time");
    await sleep(20);
  }
}

async function isUp(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    socket.write("PING\r\n");
    const [reply] = await once(socket, "data");
    return `${reply}`.startsWith("+PONG");
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  await once(server.close(), "close");
  return port;
}

async function listening(server: Server): Promise<number> {
  await once(server.listen(0, "127.0.0.1"), "listening");
  return (server.address() as { port: number }).port;
}
