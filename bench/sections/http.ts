// Each framework with an open route, our guard, two hand-written checks, and another library. Server and client run on
// separate CPUs if there are two. Arguments name the frameworks; all by default.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { type Load, openLoad } from "../http/load.js";
import { quantile, shuffled } from "../measure.js";
import { printRow, ratioRow } from "../rows.js";
import { createPicker, newKey } from "../service.js";

const SERVER = fileURLToPath(new URL("../http/server.ts", import.meta.url));
const KEYS = 10_000;
const CONNECTIONS = 16;
const SLOT_MS = 50;
const SECONDS = 6;
const WARM_UP_SLOTS = 8;
const LATENCY_SLOT_MS = 250; // several thousand requests
const LATENCY_ROUNDS = 16;

interface Framework {
  /** The least requests per second with our guard, divided by those with the hand-written check. */
  readonly least: number;
  readonly peer?: string;
}

const FRAMEWORKS: Readonly<Record<string, Framework>> = {
  node: { least: 0.99 },
  express: { least: 0.97, peer: "passport-http-bearer" },
  koa: { least: 0.99 },
  hono: { least: 0.99, peer: "hono/bearer-auth" },
  fastify: { least: 0.99, peer: "@fastify/bearer-auth" },
};

const separate = cpus().length > 1 && spawnSync("taskset", ["--version"]).status === 0;
if (separate) spawnSync("taskset", ["-a", "-c", "-p", "0", String(process.pid)]);

const selected = process.argv.slice(2);
const keys = Array.from({ length: KEYS }, () => newKey());
for (const [name, framework] of Object.entries(FRAMEWORKS)) {
  if (selected.length > 0 && !selected.includes(name)) continue;
  const child = start(name);
  try {
    const port = (await call(child, { keys: keys.map(({ record }) => record) })).port as number;
    const load = await openLoad(port, CONNECTIONS, createPicker(keys.map(({ secret }) => secret)));
    await compareRates(child, load, name, framework);
    if (name === "node") await compareLatencies(load, name);
    load.close();
  } finally {
    child.kill();
  }
}

async function compareRates(
  child: ChildProcess,
  load: Load,
  name: string,
  { least, peer }: Framework,
): Promise<void> {
  const paths = ["/open", "/guard", "/hand", "/least", ...(peer === undefined ? [] : ["/peer"])];
  for (let slot = 0; slot < WARM_UP_SLOTS; slot++) for (const path of paths) await load.slot(path, SLOT_MS);
  const rates = new Map<string, number[]>(paths.map((path) => [path, []]));
  const end = performance.now() + SECONDS * 1_000;
  while (performance.now() < end) {
    for (const path of shuffled(paths)) {
      const before = (await call(child, { cpu: true })).cpu as number;
      const { length } = await load.slot(path, SLOT_MS);
      const after = (await call(child, { cpu: true })).cpu as number;
      rates.get(path)?.push(length / (after - before));
    }
  }
  const ratiosOf = (path: string, base: string) =>
    (rates.get(path) ?? []).map((rate, round) => rate / (rates.get(base)?.[round] as number));
  const hand = `${name}, hand-written check`;
  printRow(ratioRow("http", `${name}, our guard`, hand, ratiosOf("/guard", "/hand"), { least }));
  if (peer !== undefined) printRow(ratioRow("http", `${name}, ${peer}`, hand, ratiosOf("/peer", "/hand")));
  printRow(ratioRow("http", `${name}, open`, hand, ratiosOf("/open", "/hand")));
  printRow(ratioRow("http", `${name}, our guard`, `${name}, least check`, ratiosOf("/guard", "/least")));
}

/** Compares the 99th percentile of the response time while every connection waits for a response. */
async function compareLatencies(load: Load, name: string): Promise<void> {
  const ratios: number[] = [];
  for (let round = 0; round < LATENCY_ROUNDS; round++) {
    const p99 = new Map<string, number>();
    for (const path of shuffled(["/guard", "/hand"]))
      p99.set(path, quantile(await load.slot(path, LATENCY_SLOT_MS), 0.99));
    ratios.push((p99.get("/guard") as number) / (p99.get("/hand") as number));
  }
  const measured = `${name}, our guard, p99 of the response time`;
  printRow(ratioRow("http", measured, `${name}, hand-written check`, ratios, { most: 1.05 }));
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
