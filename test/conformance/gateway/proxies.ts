// Starts nginx, HAProxy and Caddy with the files of examples/gateway, on other ports.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { JSONWebKeySet } from "jose";
import { toNodeListener } from "../../../src/adapters/node.js";
import { createForwardAuth, type ForwardAuthOptions } from "../../../src/gateway/index.js";

const EXAMPLES = fileURLToPath(new URL("../../../examples/gateway/", import.meta.url));
const LUA = fileURLToPath(new URL("../../../src/gateway/keybearer.lua", import.meta.url));
const BACKEND = fileURLToPath(new URL("backend.py", import.meta.url));

export interface Setup {
  readonly file: string;
  readonly command: (folder: string) => readonly [command: string, ...args: string[]];
  /** What the configuration needs to run in a folder of its own. */
  readonly adapt?: (config: string, folder: string) => string;
}

export const SETUPS = {
  nginx: {
    file: "nginx.conf",
    command: (folder) => ["nginx", "-p", folder, "-c", join(folder, "nginx.conf")],
    adapt: (config, folder) => {
      const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map((name) => `${name}_temp_path ${folder}/${name};`)
        .join(" ");
      return `daemon off; pid ${folder}/nginx.pid; error_log stderr error;\n${config.replace(
        "http {",
        `http { access_log off; ${temporary}`,
      )}`;
    },
  },
  haproxy: { file: "haproxy.cfg", command: () => ["haproxy", "-f", "haproxy.cfg"] },
  caddy: {
    file: "Caddyfile",
    command: () => ["caddy", "run", "--config", "Caddyfile", "--adapter", "caddyfile"],
    adapt: (config) => `{\n\tadmin off\n}\n${config}`,
  },
} satisfies Record<string, Setup>;

export type ProxyName = keyof typeof SETUPS;

/** Whether a proxy is installed. */
export function isInstalled(name: ProxyName): boolean {
  return spawnSync("which", [name]).status === 0;
}

/** A proxy in front of a backend in Python, with a gateway beside it. */
export interface World {
  readonly port: number;
  /** The number of requests that reached the backend. */
  readonly reached: () => Promise<number>;
  readonly jwks: () => JSONWebKeySet;
  /** Stops the gateway, and leaves the proxy and the backend. */
  readonly stopGateway: () => Promise<void>;
  readonly close: () => Promise<void>;
}

export async function startWorld(
  name: ProxyName,
  options: Omit<ForwardAuthOptions, "proxy" | "peers">,
): Promise<World> {
  const { file, command, adapt = (config: string) => config }: Setup = SETUPS[name];
  const children: ChildProcess[] = [];
  const folder = mkdtempSync(join(tmpdir(), "keybearer-gateway-"));

  const python = spawn("python3", [BACKEND], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(python);
  const [backendPort] = await once(createInterface({ input: python.stdout }), "line");

  const authz = createForwardAuth({ ...options, proxy: name, peers: ["127.0.0.0/8"] });
  const gateway = createServer(toNodeListener(authz));
  gateway.listen(0, "127.0.0.1");
  await once(gateway, "listening");
  const gatewayPort = (gateway.address() as AddressInfo).port;

  const port = await freePort();
  const config = readFileSync(join(EXAMPLES, file), "utf8")
    .replaceAll(":8080", `:${port}`)
    .replaceAll("127.0.0.1:9000", `127.0.0.1:${backendPort}`)
    .replaceAll("127.0.0.1:3000", `127.0.0.1:${gatewayPort}`);
  writeFileSync(join(folder, file), adapt(config, folder));
  copyFileSync(LUA, join(folder, "keybearer.lua"));
  const [program, ...args] = command(folder);
  const env = { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder };
  const proxy = spawn(program, args, { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
  children.push(proxy);
  let output = "";
  for (const stream of [proxy.stdout, proxy.stderr]) stream.on("data", (text) => (output += text));
  for (let attempt = 0; !(await listens(port)); attempt++) {
    if (proxy.exitCode !== null || attempt > 100) throw new Error(`${name} did not start: ${output}`);
    await sleep(50);
  }

  const stopGateway = async () => {
    gateway.closeAllConnections();
    await new Promise((resolve) => gateway.close(resolve));
  };
  return {
    port,
    reached: async () =>
      Number(await (await fetch(`http://127.0.0.1:${backendPort}/number-of-requests`)).text()),
    jwks: () => authz.jwks(),
    stopGateway,
    async close() {
      // Not SIGKILL, which would leave the workers of nginx.
      await Promise.all(
        children.map((child) => {
          const ended = once(child, "exit");
          child.kill("SIGTERM");
          return ended;
        }),
      );
      await stopGateway();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

export interface RawResponse {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

/** Sends the bytes of a request on a connection of its own. */
export function send(port: number, request: string): Promise<RawResponse> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(request, "latin1"));
    let text = "";
    socket.setEncoding("latin1").on("data", (chunk) => (text += chunk));
    socket.on("error", reject);
    socket.setTimeout(10_000, () => socket.destroy(new Error("no response")));
    socket.on("close", () => {
      const [head = "", ...body] = text.split("\r\n\r\n");
      const [line = "", ...lines] = head.split("\r\n");
      resolve({
        status: Number(line.split(" ")[1]),
        headers: lines.map((header) => {
          const [name = "", ...value] = header.split(":");
          return [name.toLowerCase(), value.join(":").trim()] as const;
        }),
        body: body.join("\r\n\r\n"),
      });
    });
  });
}
