// Sends mixed traffic to two processes over a store and a bus, whose servers are killed at random and restarted. Compares
// every response with a model, and watches the processes for unhandled errors and growth of the heap.
//
//   npm run soak -- 30 mysql
//
// The arguments are the duration in minutes, 1 by default, and the store: postgres (the default), mysql or redis. The exit
// status is 1 if a response was wrong, an error was unhandled or a heap grew.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createKeyManager } from "../../../src/index.js";
import type { Outage } from "./model.js";
import { type Servers, startServers } from "./servers.js";
import { type Command, format, type Report, scopes } from "./service.js";
import { KINDS, type Kind, openStore } from "./stores.js";
import { createTraffic } from "./traffic.js";

const SERVICE = fileURLToPath(new URL("service.ts", import.meta.url));
const PROCESSES = 2;
const CLIENTS = 8;
const SAMPLE_MS = 2_000;
// The part of the time in which code is compiled, and caches and pools fill.
const WARM_UP = 1 / 3;
const MAX_GROWTH = 0.2;
const MEAN_PAUSE_MS = 30_000;

const minutes = Number(process.argv[2] ?? 1);
if (!(minutes > 0 && minutes <= 24 * 60)) {
  console.error(`soak: the duration must be a positive number of minutes; received ${process.argv[2]}`);
  process.exit(2);
}
const kind = (process.argv[3] ?? "postgres") as Kind;
if (!KINDS.includes(kind)) {
  console.error(`soak: the store must be ${KINDS.join(", ")}; received ${kind}`);
  process.exit(2);
}
const servers = await startServers(kind);
try {
  await soak(servers, minutes * 60_000);
} finally {
  await servers.stop();
}

async function soak({ storeUrl, busUrl, restartOne }: Servers, lengthMs: number): Promise<void> {
  const admin = await issueAdmin(storeUrl);
  const env = { ...process.env, STORE: kind, STORE_URL: storeUrl, BUS_URL: busUrl };
  const children = Array.from({ length: PROCESSES }, () =>
    fork(SERVICE, {
      env,
      execArgv: ["--expose-gc", "--import", "tsx"],
      stdio: ["ignore", "inherit", "pipe", "ipc"],
    }),
  );
  const stderr: string[] = [];
  for (const child of children) child.stderr?.on("data", (data) => stderr.push(`${data}`));
  const reports = await Promise.all(children.map((child) => next(child)));
  const urls = reports.map((report) => `http://127.0.0.1:${"port" in report ? report.port : 0}`);

  const startedAt = Date.now();
  const end = startedAt + lengthMs;
  const outages: Outage[] = [];
  const traffic = createTraffic(urls, admin, outages);
  const samples = children.map((): { at: number; heapBytes: number; resources: number }[] => []);
  const errors: string[] = [];
  const request = async (child: ChildProcess, index: number, command: Command): Promise<void> => {
    child.send(command);
    const report = await next(child);
    if (!("heapBytes" in report)) return;
    samples[index]?.push({ at: Date.now(), ...report });
    errors.push(...report.errors);
  };

  const watch = async (): Promise<void> => {
    while (Date.now() < end) {
      await sleep(SAMPLE_MS);
      await Promise.all(children.map((child, index) => request(child, index, "sample")));
    }
  };
  const restartServers = async (): Promise<void> => {
    const pause = Math.min(MEAN_PAUSE_MS, lengthMs / 4);
    for (;;) {
      await sleep(pause * (0.5 + Math.random()));
      if (Date.now() > end - pause / 2) return;
      const outage: Outage = { startedAt: Date.now(), endedAt: Number.POSITIVE_INFINITY };
      outages.push(outage);
      const name = await restartOne();
      outage.endedAt = Date.now();
      console.error(`restarted ${name}; ${JSON.stringify(traffic.counts().byStatus)}`);
    }
  };
  try {
    await Promise.all([traffic.run(CLIENTS, end), watch(), restartServers()]);
    const ended = children.map((child) => once(child, "exit"));
    await Promise.all(children.map((child, index) => request(child, index, "stop")));
    await Promise.all(ended);
  } finally {
    for (const child of children) child.kill("SIGKILL");
  }

  const { requests, byStatus, changes, lostResponses, violations } = traffic.counts();
  const growths = samples.map((list) => growth(list.filter(({ at }) => at > startedAt + lengthMs * WARM_UP)));
  console.log(
    `${kind}, ${minutes} min, ${PROCESSES} processes, ${requests} requests, ${outages.length} restarts`,
  );
  console.log(
    `responses ${JSON.stringify(byStatus)}; changes ${JSON.stringify(changes)}, ${lostResponses} responses lost`,
  );
  for (const [index, { slopeKiB, errorKiB, meanMiB }] of growths.entries()) {
    const resources = samples[index]?.at(-2)?.resources;
    console.log(
      `process ${index + 1}: heap ${meanMiB.toFixed(1)} MiB, ${slopeKiB.toFixed(0)} ± ${errorKiB.toFixed(0)} KiB a minute, ${resources} resources`,
    );
  }
  const exits = children.map(({ exitCode }) => exitCode);
  const isGrowing = growths.some(({ isGrowth }) => isGrowth);
  for (const line of [...violations, ...errors, ...stderr]) console.log(line);
  const hasPassed =
    violations.length + errors.length + stderr.length === 0 &&
    exits.every((code) => code === 0) &&
    !isGrowing;
  console.log(
    `${violations.length} wrong responses, ${errors.length} unhandled errors, ${stderr.length} lines on stderr, exits ${exits}${isGrowing ? "; the heap grows" : ""}`,
  );
  if (!hasPassed) process.exitCode = 1;
}

/** Fits a line to the samples by least squares. Growth is a 95 % certain increase of more than a fifth of the mean heap. */
function growth(samples: readonly { at: number; heapBytes: number }[]) {
  const count = samples.length;
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / count;
  const times = samples.map(({ at }) => (at - (samples[0]?.at ?? 0)) / 60_000);
  const heaps = samples.map(({ heapBytes }) => heapBytes / 1_024);
  const [time, heap] = [mean(times), mean(heaps)];
  const spread = times.reduce((sum, value) => sum + (value - time) ** 2, 0);
  const slope =
    times.reduce((sum, value, index) => sum + (value - time) * ((heaps[index] as number) - heap), 0) / spread;
  const residual = heaps.reduce(
    (sum, value, index) => sum + (value - heap - slope * ((times[index] as number) - time)) ** 2,
    0,
  );
  const error = 1.96 * Math.sqrt(residual / Math.max(1, count - 2) / spread);
  const isGrowth = (slope - error) * (times.at(-1) ?? 0) > heap * MAX_GROWTH;
  return { slopeKiB: slope, errorKiB: error, meanMiB: heap / 1_024, isGrowth };
}

async function issueAdmin(storeUrl: string): Promise<string> {
  const { store, close } = await openStore(kind, storeUrl);
  try {
    const manager = createKeyManager({ store, scopes, format });
    const { secret } = await manager.create({
      ownerId: "acme",
      scopes: ["fleet:admin"],
      environment: "live",
    });
    return secret;
  } finally {
    await close();
  }
}

async function next(child: ChildProcess): Promise<Report> {
  const controller = new AbortController();
  try {
    const [report] = await Promise.race([
      once(child, "message", controller),
      once(child, "exit", controller).then(() => {
        throw new Error("A process has exited");
      }),
    ]);
    return report as Report;
  } finally {
    controller.abort();
  }
}
