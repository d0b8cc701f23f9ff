import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const TIMEOUT_MS = 60_000;
const ATTEMPTS = 3;

/** A Redis Cluster of three processes on loopback, without replicas or persistence. */
export interface RedisCluster {
  /** The URLs of its nodes. */
  readonly nodes: readonly string[];
  stop(): Promise<void>;
}

/** Starts a cluster on free ports. @throws if redis-server is not installed, or the nodes do not start. */
export async function startRedisCluster(): Promise<RedisCluster> {
  await run("redis-server", ["--version"]);
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce();
    } catch (error) {
      if (attempt === ATTEMPTS) throw error; // otherwise another process may have taken a port
    }
  }
}

async function startOnce(): Promise<RedisCluster> {
  const directory = mkdtempSync(join(tmpdir(), "keybearer-cluster-"));
  const ports = await freePorts(6);
  const nodes = ports.slice(0, 3);
  const processes = nodes.map((port, index) => startNode(directory, port, ports[index + 3] as number));
  const stop = async (): Promise<void> => {
    await Promise.all(processes.map(kill));
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const hasExited = ({ exitCode }: ChildProcess) => exitCode !== null;
    const isListening = async (port: number) => (await redisCli(port, "ping")).includes("PONG");
    await Promise.all(nodes.map((port) => until(async () => processes.some(hasExited) || isListening(port))));
    if (processes.some(hasExited)) throw new Error("a node exited");
    const addresses = nodes.map((port) => `127.0.0.1:${port}`);
    await run("redis-cli", ["--cluster", "create", ...addresses, "--cluster-yes"]);
    const isUp = async (port: number) =>
      (await redisCli(port, "cluster", "info")).includes("cluster_state:ok");
    await Promise.all(nodes.map((port) => until(() => isUp(port))));
    return { nodes: nodes.map((port) => `redis://127.0.0.1:${port}`), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function startNode(directory: string, port: number, busPort: number): ChildProcess {
  const options = {
    bind: "127.0.0.1",
    port,
    "cluster-enabled": "yes",
    "cluster-port": busPort,
    "cluster-config-file": `nodes-${port}.conf`,
    dir: directory,
    save: "",
    appendonly: "no",
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  return spawn("redis-server", args, { stdio: "ignore" });
}

async function redisCli(port: number, ...command: string[]): Promise<string> {
  return (await run("redis-cli", ["-p", String(port), ...command])).stdout;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + TIMEOUT_MS;
  while (!(await condition().catch(() => false))) {
    if (performance.now() > end) throw new Error("the nodes did not start in time");
    await sleep(50);
  }
}

async function kill(process: ChildProcess): Promise<void> {
  process.kill("SIGKILL");
  if (process.exitCode === null && process.signalCode === null) await once(process, "exit");
}

/** Returns free ports, all different. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}
