// Bundles the worker as for Cloudflare, serves it with workerd, and sends requests to it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Outcome } from "../runtimes.js";
import { type Case, cases, jwk, type Send } from "./cases.js";

const WORKER = fileURLToPath(new URL("worker.ts", import.meta.url));
const START_TIMEOUT_MS = 60_000;

export async function runWorkerd(binary: string): Promise<Outcome> {
  const directory = mkdtempSync(join(tmpdir(), "keybearer-workerd-"));
  const port = await freePort();
  await bundle(join(directory, "worker.js"));
  writeFileSync(join(directory, "worker.capnp"), configuration(port));
  const child = spawn(binary, ["serve", "worker.capnp"], {
    cwd: directory,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      output += chunk;
    });
  }
  try {
    const send = sender(`http://127.0.0.1:${port}`);
    await ready(send, () => child.exitCode);
    const failed: string[] = [];
    let passed = 0;
    const record = (name: string, error: unknown) => {
      if (error === undefined) passed += 1;
      else failed.push(`${name}: ${error}`);
    };
    for (const each of cases) record(each.name, await errorOf(each, send));
    for (const { name, error } of (await send("GET /contract")).body) record(name, error);
    if (failed.length > 0 && output !== "") failed.push(output.slice(0, 2_000));
    return { files: 1, passed, failed, skipped: 0 };
  } catch (error) {
    return { files: 1, passed: 0, failed: [`${error}: ${output.slice(0, 2_000)}`], skipped: 0 };
  } finally {
    child.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  }
}

async function errorOf({ run }: Case, send: Send): Promise<unknown> {
  try {
    await run(send);
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Bundles like wrangler: `node:` imports stay, and the flag nodejs_compat resolves them. */
function bundle(outfile: string): Promise<unknown> {
  return build({
    entryPoints: [WORKER],
    outfile,
    bundle: true,
    format: "esm",
    target: "es2022",
    conditions: ["workerd", "worker", "browser"],
    external: ["node:*"],
    logLevel: "error",
  });
}

function configuration(port: number): string {
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker)],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "worker.js")],
  bindings = [(name = "JWK", text = ${JSON.stringify(jwk)})],
  compatibilityDate = "2026-01-01",
  compatibilityFlags = ["nodejs_compat"],
);
`;
}

function sender(url: string): Send {
  return async (line, { bearer, json, headers = {} } = {}) => {
    const [method = "GET", path = "/"] = line.split(" ");
    const response = await fetch(url + path, {
      method,
      headers: {
        ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }),
        ...(json !== undefined && { "content-type": "application/json" }),
        ...headers,
      },
      body: json === undefined ? null : JSON.stringify(json),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: text === "" ? undefined : JSON.parse(text),
    };
  };
}

/** Waits until the worker responds. */
async function ready(send: Send, exitCode: () => number | null): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    if (exitCode() !== null) throw new Error(`workerd exited with ${exitCode()}`);
    try {
      return void (await send("GET /vehicles"));
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as { port: number };
  await once(server.close(), "close");
  return port;
}
