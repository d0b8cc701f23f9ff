import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const PATIENCE_MS = 60_000;
const ATTEMPTS = 3;

/** A Redis of a test's own, on loopback: it may be filled up, blocked and killed. */
export interface RedisServer {
  readonly url: string;
  readonly port: number;
  /** Starts it again, with the files that it has. */
  start(): Promise<void>;
  /** Without a chance to tidy up. */
  kill(): Promise<void>;
  /** Kills it, and forgets its files. */
  dispose(): Promise<void>;
}

/** Starts a Redis on a free port. It keeps nothing, unless the options say so. */
export async function startRedis(...options: string[]): Promise<RedisServer> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(options);
    } catch (error) {
      if (attempt === ATTEMPTS) throw error; // else somebody may have taken the port meanwhile
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
      return answers(port);
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

/** Between a client and a Redis: sees what is sent, and may keep the answers. */
export interface Relay {
  readonly port: number;
  /** Is shown all that clients send; while it answers false, answers are kept back. */
  passes: (sent: string) => boolean;
  /** Loses the answers to everything from now on, and the connections with the first of them. */
  loseNextAnswer(): void;
  close(): Promise<void>;
}

export async function startRelay(to: number): Promise<Relay> {
  const sockets = new Set<Socket>();
  let losing = false;
  const server: Server = createServer((near) => {
    const far = connect(to, "127.0.0.1");
    const kept: Buffer[] = [];
    let sent = "";
    const flush = (): void => {
      if (relay.passes(sent)) for (const answer of kept.splice(0)) near.write(answer);
    };
    const end = (): void => {
      for (const socket of [near, far]) socket.destroy();
    };
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", end).on("close", () => {
        sockets.delete(socket);
        end();
      });
    }
    near.on("data", (data) => {
      sent += data;
      far.write(data);
      flush();
    });
    far.on("data", (data) => {
      if (losing) {
        losing = false;
        end();
        return;
      }
      kept.push(data);
      flush();
    });
  });
  const relay: Relay = {
    port: await listening(server),
    passes: () => true,
    loseNextAnswer() {
      losing = true;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await once(server.close(), "close");
    },
  };
  return relay;
}

/** Waits for something that takes its time. */
export async function until(holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error("it did not come about");
    await sleep(20);
  }
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    socket.write("PING\r\n");
    const [answer] = await once(socket, "data");
    return `${answer}`.startsWith("+PONG");
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
