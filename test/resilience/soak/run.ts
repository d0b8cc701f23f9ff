// Minutes of mixed traffic against two processes over a PostgreSQL and a Redis that are restarted meanwhile. Every answer is
// compared with a model, every process watched for errors that nobody handled and for a heap that grows.
//
//   npm run soak -- 30      # minutes; 1 by default
//
// Ends with 1 when an answer was wrong, an error unhandled or the heap grew.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { createKeyManager } from "../../../src/index.js";
import { postgresStore } from "../../../src/stores/postgres.js";
import type { Outage } from "./model.js";
import { type Stores, startStores } from "./servers.js";
import { format, type Order, type Report, scopes } from "./service.js";
import { createTraffic } from "./traffic.js";

const SERVICE = fileURLToPath(new URL("service.ts", import.meta.url));
const PROCESSES = 2;
const CLIENTS = 8;
const SAMPLE_MS = 2_000;
// The code is compiled, and caches and pools fill.
const WARM_UP = 1 / 3;
const MAX_GROWTH = 0.2;

const minutes = Number(process.argv[2] ?? 1);
if (!(minutes > 0 && minutes <= 24 * 60)) {
  console.error("How many minutes? A number above 0, such as: npm run soak -- 30");
  process.exit(2);
}
const stores = await startStores();
try {
  await soak(stores, minutes * 60_000);
} finally {
  await stores.stop();
}

async function soak(
  { postgresUrl, redisUrl, restartPostgres, restartRedis }: Stores,
  lengthMs: number,
): Promise<void> {
  const admin = await issueAdmin(postgresUrl);
  const env = { ...process.env, POSTGRES_URL: postgresUrl, REDIS_URL: redisUrl };
  const children = Array.from({ length: PROCESSES }, () =>
    fork(SERVICE, {
      env,
      execArgv: ["--expose-gc", "--import", "tsx"],
      stdio: ["ignore", "inherit", "pipe", "ipc"],
    }),
  );
  const noise: string[] = [];
  for (const child of children) child.stderr?.on("data", (data) => noise.push(`${data}`));
  const reports = await Promise.all(children.map((child) => next(child)));
  const urls = reports.map((report) => `http://127.0.0.1:${"port" in report ? report.port : 0}`);

  const began = Date.now();
  const end = began + lengthMs;
  const outages: Outage[] = [];
  const traffic = createTraffic(urls, admin, outages);
  const samples = children.map((): { at: number; heapBytes: number; resources: number }[] => []);
  const faults: string[] = [];
  const take = async (child: ChildProcess, index: number, order: Order): Promise<void> => {
    child.send(order);
    const report = await next(child);
    if (!("heapBytes" in report)) return;
    samples[index]?.push({ at: Date.now(), ...report });
    faults.push(...report.faults);
  };

  const watch = async (): Promise<void> => {
    while (Date.now() < end) {
      await sleep(SAMPLE_MS);
      await Promise.all(children.map((child, index) => take(child, index, "sample")));
    }
  };
  const disturb = async (): Promise<void> => {
    const pause = Math.min(60_000, lengthMs / 4);
    for (let turn = 0; ; turn++) {
      await sleep(pause);
      if (Date.now() > end - pause / 2) return;
      const outage: Outage = { began: Date.now(), ended: Number.POSITIVE_INFINITY };
      outages.push(outage);
      await (turn % 2 === 0 ? restartPostgres() : restartRedis());
      outage.ended = Date.now();
      console.error(
        `restarted ${turn % 2 === 0 ? "PostgreSQL" : "Redis"}; ${JSON.stringify(traffic.counts().byStatus)}`,
      );
    }
  };
  try {
    await Promise.all([traffic.run(CLIENTS, end), watch(), disturb()]);
    const ended = children.map((child) => once(child, "exit"));
    await Promise.all(children.map((child, index) => take(child, index, "stop")));
    await Promise.all(ended);
  } finally {
    for (const child of children) child.kill("SIGKILL");
  }

  const { requests, byStatus, changes, lostAnswers, wrong } = traffic.counts();
  const growths = samples.map((list) => growth(list.filter(({ at }) => at > began + lengthMs * WARM_UP)));
  console.log(`${minutes} min, ${PROCESSES} processes, ${requests} requests, ${outages.length} restarts`);
  console.log(
    `answers ${JSON.stringify(byStatus)}; changes ${JSON.stringify(changes)}, of which ${lostAnswers} lost`,
  );
  for (const [index, { slopeKiB, errorKiB, meanMiB }] of growths.entries()) {
    const resources = samples[index]?.at(-2)?.resources;
    console.log(
      `process ${index + 1}: heap ${meanMiB.toFixed(1)} MiB, ${slopeKiB.toFixed(0)} ± ${errorKiB.toFixed(0)} KiB a minute, ${resources} resources`,
    );
  }
  const exits = children.map(({ exitCode }) => exitCode);
  const isGrowing = growths.some(({ isGrowth }) => isGrowth);
  for (const line of [...wrong, ...faults, ...noise]) console.log(line);
  const isSound =
    wrong.length + faults.length + noise.length === 0 && exits.every((code) => code === 0) && !isGrowing;
  console.log(
    `${wrong.length} wrong answers, ${faults.length} unhandled errors, ${noise.length} lines on stderr, exits ${exits}${isGrowing ? ", and the heap grows" : ""}`,
  );
  if (!isSound) process.exitCode = 1;
}

/** The line through the samples, by least squares; growth is what is certain to 95 % and more than a fifth of the heap. */
function growth(samples: readonly { at: number; heapBytes: number }[]) {
  const count = samples.length;
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / count;
  const times = samples.map(({ at }) => (at - (samples[0]?.at ?? 0)) / 60_000);
  const heaps = samples.map(({ heapBytes }) => heapBytes / 1_024);
  const [time, heap] = [mean(times), mean(heaps)];
  const spread = times.reduce((sum, value) => sum + (value - time) ** 2, 0);
  const slope =
    times.reduce((sum, value, index) => sum + (value - time) * ((heaps[index] as number) - heap), 0) / spread;
  const rest = heaps.reduce(
    (sum, value, index) => sum + (value - heap - slope * ((times[index] as number) - time)) ** 2,
    0,
  );
  const error = 1.96 * Math.sqrt(rest / Math.max(1, count - 2) / spread);
  const isGrowth = (slope - error) * (times.at(-1) ?? 0) > heap * MAX_GROWTH;
  return { slopeKiB: slope, errorKiB: error, meanMiB: heap / 1_024, isGrowth };
}

async function issueAdmin(postgresUrl: string): Promise<string> {
  const pool = new pg.Pool({ connectionString: postgresUrl });
  try {
    const store = postgresStore(pool);
    await store.migrate();
    const manager = createKeyManager({ store, scopes, format });
    const { secret } = await manager.create({
      ownerId: "acme",
      scopes: ["fleet:admin"],
      environment: "live",
    });
    return secret;
  } finally {
    await pool.end();
  }
}

async function next(child: ChildProcess): Promise<Report> {
  const over = new AbortController();
  try {
    const [report] = await Promise.race([
      once(child, "message", over),
      once(child, "exit", over).then(() => {
        throw new Error("A process has ended");
      }),
    ]);
    return report as Report;
  } finally {
    over.abort();
  }
}
