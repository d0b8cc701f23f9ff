// Measures how long after a revocation other processes still accept the key.
//
//   npm run bench:propagation -- --bus redis --processes 4 --rounds 2000
//
// --bus redis | postgres | none       the bus between the caches (redis)
// --store redis | postgres            the store (postgres)
// --processes 4                       processes with a cache, each verifying the key in a loop
// --rounds 2000                       number of revocations
// --ttl 5s                            ttl of the caches
// --pause 0                           milliseconds between two verifications of a process
// --cut none | children | parent      whose connections to the bus hang during each revocation (none)
//
// POSTGRES_URL and REDIS_URL are the servers.

import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { availableParallelism, loadavg } from "node:os";
import { hrtime } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import pg from "pg";
import { createClient } from "redis";
import { createKeyManager } from "../src/index.js";
import { proxyTo } from "../test/resilience/bus/bus-proxy.js";
import {
  type Command,
  type Config,
  format,
  type Opened,
  open,
  type Report,
  scopes,
} from "./propagation-child.js";

const { values } = parseArgs({
  options: {
    bus: { type: "string", default: "redis" },
    store: { type: "string", default: "postgres" },
    processes: { type: "string", default: "4" },
    rounds: { type: "string", default: "2000" },
    ttl: { type: "string", default: "5s" },
    pause: { type: "string", default: "0" },
    cut: { type: "string", default: "none" },
  },
});
const URLS: Readonly<Record<string, string>> = {
  postgres: process.env.POSTGRES_URL ?? "postgres://postgres@127.0.0.1:5432/postgres",
  redis: process.env.REDIS_URL ?? "redis://127.0.0.1:6379",
};
const PORTS: Readonly<Record<string, number>> = { postgres: 5432, redis: 6379 };
const CHILD = fileURLToPath(new URL("propagation-child.ts", import.meta.url));
const [processes, rounds] = [Number(values.processes), Number(values.rounds)];

const proxy =
  values.bus === "none" ? undefined : await proxyTo(URLS[values.bus] ?? "", PORTS[values.bus] ?? 0);
const directUrl = URLS[values.bus] ?? "";
const proxyUrl = new URL(directUrl || "none:");
if (proxy !== undefined) proxyUrl.host = `127.0.0.1:${proxy.port}`;
const config = {
  bus: values.bus,
  busUrl: directUrl,
  store: values.store,
  storeUrl: URLS[values.store],
  name: `keybearer_bench_${randomBytes(6).toString("hex")}`,
  ttl: values.ttl,
  pause: Number(values.pause),
} as Config;

/** Milliseconds, for each round; of all processes, the latest. */
interface Figures {
  /** From the return of revoke() to the end of the last accepted request; negative if it ended before. */
  readonly ends: number[];
  /** From the return of revoke() to the start of that request. */
  readonly starts: number[];
  /** The duration of revoke(). */
  readonly revocations: number[];
}

async function run(parent: Opened, children: readonly Worker[]): Promise<Figures> {
  // Created without the cache, because creation is not measured.
  const creator = createKeyManager({ store: parent.inner, scopes, format });
  const keys = [];
  for (let round = 0; round < rounds; round++)
    keys.push(await creator.create({ ownerId: "acme", scopes: ["vehicles:read"] }));

  const manager = createKeyManager({ store: parent.store, scopes, format });
  const figures: Figures = { ends: [], starts: [], revocations: [] };
  let returnedAt = 0n;
  for (let round = 0; round <= rounds; round++) {
    const issued = keys[round];
    for (const child of children) child.send({ round, secret: issued?.secret });
    const reports = await Promise.all(children.map((child) => child.next("cached", round)));
    if (round > 0) {
      const latest = (which: "start" | "end") =>
        Math.max(...reports.map((report) => Number(BigInt(report[which] ?? 0) - returnedAt) / 1e6));
      figures.starts.push(latest("start"));
      figures.ends.push(latest("end"));
    }
    if (issued === undefined) break;

    if (values.cut === "none") await sleep(Math.random() * 3);
    else {
      await sleep(Math.random() * 3_000); // entries of any age
      proxy?.stall();
    }
    const startedAt = hrtime.bigint();
    await manager.revoke(issued.key.id);
    returnedAt = hrtime.bigint();
    figures.revocations.push(Number(returnedAt - startedAt) / 1e6);
    await Promise.all(children.map((child) => child.next("denied", round)));
    if (values.cut === "none")
      await sleep(2); // time to accept another request, which would be counted
    else {
      await sleep(100);
      proxy?.heal();
      await sleep(2_500); // until the cache is valid again
    }
  }
  return figures;
}

interface LastAccepted {
  readonly start?: string;
  readonly end?: string;
}

interface Worker {
  readonly process: ChildProcess;
  send(command: Command): void;
  next(type: Report["type"], round?: number): Promise<LastAccepted>;
}

function start(config: Config): Worker {
  const process = fork(CHILD, [JSON.stringify(config)], { execArgv: ["--no-warnings", "--import", "tsx"] });
  const reports: Report[] = [];
  let wake = () => {};
  process.on("message", (report) => {
    reports.push(report as Report);
    wake();
  });
  process.on("exit", (code) => {
    if (code !== 0) throw new Error(`a process exited with ${code}`);
  });
  return {
    process,
    send: (command) => process.send(command),
    async next(type, round) {
      for (;;) {
        const found = reports.findIndex(
          (report) => report.type === type && (!("round" in report) || report.round === round),
        );
        if (found >= 0) return reports.splice(found, 1)[0] as LastAccepted;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}

async function clean(): Promise<void> {
  if (config.store === "postgres") {
    const client = new pg.Client({ connectionString: config.storeUrl });
    await client.connect();
    await client.query(
      `drop table if exists "${config.name}", "${config.name}_audit", "${config.name}_migrations", "${config.name}_claims"`,
    );
    await client.end();
    return;
  }
  const client = createClient({ url: config.storeUrl });
  await client.connect();
  for await (const names of client.scanIterator({ MATCH: `{${config.name}}*`, COUNT: 1_000 })) {
    if (names.length > 0) await client.unlink(names);
  }
  client.destroy();
}

function percentiles(numbers: readonly number[]): string {
  const sorted = [...numbers].sort((a, b) => a - b);
  const at = (part: number) =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0).toFixed(2);
  return `p50 ${at(0.5)}  p99 ${at(0.99)}  max ${at(1)} ms`;
}

const load = () =>
  loadavg()
    .map((one) => one.toFixed(1))
    .join(" ");

const parent = await open({ ...config, busUrl: values.cut === "parent" ? proxyUrl.href : directUrl });
const before = load();
try {
  await parent.inner.migrate?.();
  const childConfig = { ...config, busUrl: values.cut === "children" ? proxyUrl.href : directUrl };
  const children = Array.from({ length: processes }, () => start(childConfig));
  await Promise.all(children.map((child) => child.next("ready")));
  const { starts, ends, revocations } = await run(parent, children);
  const late = (delays: readonly number[]) => delays.filter((delay) => delay > 0).length;
  const nonNegative = (delays: readonly number[]) => delays.map((delay) => Math.max(0, delay));
  console.log(
    [
      `bus ${values.bus}, store ${values.store}, ${processes} processes, ttl ${values.ttl}, pause ${values.pause} ms, cut ${values.cut}`,
      `from the return of revoke() to the end of the last accepted request: ${percentiles(nonNegative(ends))}`,
      `from the return of revoke() to its start: ${percentiles(nonNegative(starts))}`,
      `revocations after which an accepted request ended: ${late(ends)} of ${rounds}; started: ${late(starts)}`,
      `revoke(): ${percentiles(revocations)}`,
      `Node ${process.versions.node}, ${availableParallelism()} CPUs, load before ${before}, after ${load()}`,
    ].join("\n"),
  );
} finally {
  await parent.close();
  await clean();
  await proxy?.close();
}
