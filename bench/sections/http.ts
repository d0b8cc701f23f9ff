// Each framework with an open route, our guard, a hand-written check, and another library. Server and client run on
// separate CPUs if there are two.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { openLoad } from "../http/load.js";
import { shuffled } from "../measure.js";
import { printRow, ratioRow } from "../rows.js";
import { createPicker, newKey } from "../service.js";

const SERVER = fileURLToPath(new URL("../http/server.ts", import.meta.url));
const KEYS = 10_000;
const CONNECTIONS = 16;
const SLOT_MS = 50;
const SECONDS = 5;
const WARM_UP_SLOTS = 8;

const FRAMEWORKS: Readonly<Record<string, string | undefined>> = {
  node: undefined,
  express: "passport-http-bearer",
  koa: undefined,
  hono: "hono/bearer-auth",
  fastify: "@fastify/bearer-auth",
};

const separate = cpus().length > 1 && spawnSync("taskset", ["--version"]).status === 0;
if (separate) spawnSync("taskset", ["-a", "-c", "-p", "0", String(process.pid)]);

const keys = Array.from({ length: KEYS }, () => newKey());
for (const [framework, peer] of Object.entries(FRAMEWORKS)) await measure(framework, peer);

async function measure(framework: string, peer: string | undefined): Promise<void> {
  const child = start(framework);
  try {
    const port = (await call(child, { keys: keys.map(({ record }) => record) })).port as number;
    const load = await openLoad(port, CONNECTIONS, createPicker(keys.map(({ secret }) => secret)));
    const paths = ["/open", "/guard", "/hand", ...(peer === undefined ? [] : ["/peer"])];
    for (let slot = 0; slot < WARM_UP_SLOTS; slot++) for (const path of paths) await load.slot(path, SLOT_MS);
    const rates = new Map<string, number[]>(paths.map((path) => [path, []]));
    const end = performance.now() + SECONDS * 1_000;
    while (performance.now() < end) {
      for (const path of shuffled(paths)) {
        const before = (await call(child, { cpu: true })).cpu as number;
        const count = await load.slot(path, SLOT_MS);
        const after = (await call(child, { cpu: true })).cpu as number;
        rates.get(path)?.push(count / (after - before));
      }
    }
    load.close();
    const hand = rates.get("/hand") ?? [];
    const ratiosOf = (path: string) =>
      (rates.get(path) ?? []).map((rate, round) => rate / (hand[round] as number));
    const base = `${framework}, hand-written check`;
    printRow(ratioRow("http", `${framework}, open`, base, ratiosOf("/open")));
    printRow(ratioRow("http", `${framework}, our guard`, base, ratiosOf("/guard"), { least: 0.97 }));
    if (peer !== undefined) printRow(ratioRow("http", `${framework}, ${peer}`, base, ratiosOf("/peer")));
  } finally {
    child.kill();
  }
}

function start(framework: string): ChildProcess {
  const node = [process.execPath, "--import", "tsx", SERVER, framework];
  const [command = "", ...args] = separate ? ["taskset", "-c", "1", ...node] : node;
  return spawn(command, args, { stdio: ["ignore", "inherit", "inherit", "ipc"], serialization: "advanced" });
}

/** Sends a message to the server and returns its reply. */
function call(child: ChildProcess, message: object): Promise<{ port?: number; cpu?: number }> {
  return new Promise((resolve, reject) => {
    const onExit = () => reject(new Error("The server exited"));
    child.once("exit", onExit);
    child.once("message", (reply) => {
      child.off("exit", onExit);
      resolve(reply as { port?: number; cpu?: number });
    });
    child.send(message);
  });
}
