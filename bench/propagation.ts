// How long after a revocation has returned is the key still accepted in other processes?
//
//   node --import tsx bench/propagation.ts --bus redis --processes 4 --rounds 2000
//
// --bus redis | postgres | none       how the caches tell each other (redis)
// --store redis | postgres            where the keys are (postgres)
// --processes 4                       processes with a warm cache, each verifying the key all the time
// --rounds 2000                       revocations
// --ttl 5s                            of the caches
// --rest 0                            milliseconds between two verifications of a process
// --cut none | children | parent      whose connections to the bus are dead during each revocation (none)
//
// POSTGRES_URL and REDIS_URL say where the servers are.

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
  format,
  type Opened,
  type Order,
  open,
  type Place,
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
    rest: { type: "string", default: "0" },
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
const direct = URLS[values.bus] ?? "";
const broken = new URL(direct || "none:");
if (proxy !== undefined) broken.host = `127.0.0.1:${proxy.port}`;
const place = {
  bus: values.bus,
  busUrl: direct,
  store: values.store,
  storeUrl: URLS[values.store],
  name: `keybearer_bench_${randomBytes(6).toString("hex")}`,
  ttl: values.ttl,
  rest: Number(values.rest),
} as Place;

/** Milliseconds, and in each round the latest of all processes. */
interface Figures {
  /** From the return of the revocation to the end of the last accepted request; below 0 when that was before. */
  readonly went: number[];
  /** The same to its beginning. */
  readonly came: number[];
  /** How long the revocation took. */
  readonly revoking: number[];
}

async function run(parent: Opened, children: readonly Worker[]): Promise<Figures> {
  // Made past the cache: this is not what is measured.
  const maker = createKeyManager({ store: parent.inner, scopes, format });
  const keys = [];
  for (let round = 0; round < rounds; round++)
    keys.push(await maker.create({ ownerId: "acme", scopes: ["vehicles:read"] }));

  const manager = createKeyManager({ store: parent.store, scopes, format });
  const figures: Figures = { went: [], came: [], revoking: [] };
  let returned = 0n;
  for (let round = 0; round <= rounds; round++) {
    const issued = keys[round];
    for (const child of children) child.order({ round, secret: issued?.secret });
    const reports = await Promise.all(children.map((child) => child.next("watching", round)));
    if (round > 0) {
      const latest = (which: "came" | "went") =>
        Math.max(...reports.map((report) => Number(BigInt(report[which] ?? 0) - returned) / 1e6));
      figures.came.push(latest("came"));
      figures.went.push(latest("went"));
    }
    if (issued === undefined) break;

    if (values.cut === "none") await sleep(Math.random() * 3);
    else {
      await sleep(Math.random() * 3_000); // entries of every age
      proxy?.stall();
    }
    const began = hrtime.bigint();
    await manager.revoke(issued.key.id);
    returned = hrtime.bigint();
    figures.revoking.push(Number(returned - began) / 1e6);
    await Promise.all(children.map((child) => child.next("refused", round)));
    if (values.cut === "none")
      await sleep(2); // an acceptance after a refusal would count
    else {
      await sleep(100);
      proxy?.heal();
      await sleep(2_500); // until the pings are back
    }
  }
  return figures;
}

interface Ended {
  readonly came?: string;
  readonly went?: string;
}

interface Worker {
  readonly process: ChildProcess;
  order(order: Order): void;
  next(type: Report["type"], round?: number): Promise<Ended>;
}

function start(at: Place): Worker {
  const process = fork(CHILD, [JSON.stringify(at)], { execArgv: ["--no-warnings", "--import", "tsx"] });
  const reports: Report[] = [];
  let wake = () => {};
  process.on("message", (report) => {
    reports.push(report as Report);
    wake();
  });
  process.on("exit", (code) => {
    if (code !== 0) throw new Error(`a process ended with ${code}`);
  });
  return {
    process,
    order: (order) => process.send(order),
    async next(type, round) {
      for (;;) {
        const found = reports.findIndex(
          (report) => report.type === type && (!("round" in report) || report.round === round),
        );
        if (found >= 0) return reports.splice(found, 1)[0] as Ended;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}

async function clean(): Promise<void> {
  if (place.store === "postgres") {
    const client = new pg.Client({ connectionString: place.storeUrl });
    await client.connect();
    await client.query(
      `drop table if exists "${place.name}", "${place.name}_audit", "${place.name}_migrations"`,
    );
    await client.end();
    return;
  }
  const client = createClient({ url: place.storeUrl });
  await client.connect();
  for await (const names of client.scanIterator({ MATCH: `{${place.name}}*`, COUNT: 1_000 })) {
    if (names.length > 0) await client.unlink(names);
  }
  client.destroy();
}

function spread(numbers: readonly number[]): string {
  const sorted = [...numbers].sort((a, b) => a - b);
  const at = (part: number) =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0).toFixed(2);
  return `p50 ${at(0.5)}  p99 ${at(0.99)}  max ${at(1)} ms`;
}

const load = () =>
  loadavg()
    .map((one) => one.toFixed(1))
    .join(" ");

const parent = await open({ ...place, busUrl: values.cut === "parent" ? broken.href : direct });
const before = load();
try {
  await parent.inner.migrate?.();
  const at = { ...place, busUrl: values.cut === "children" ? broken.href : direct };
  const children = Array.from({ length: processes }, () => start(at));
  await Promise.all(children.map((child) => child.next("ready")));
  const { came, went, revoking } = await run(parent, children);
  const late = (delays: readonly number[]) => delays.filter((delay) => delay > 0).length;
  const from0 = (delays: readonly number[]) => delays.map((delay) => Math.max(0, delay));
  console.log(
    [
      `bus ${values.bus}, store ${values.store}, ${processes} processes, ttl ${values.ttl}, rest ${values.rest} ms, cut ${values.cut}`,
      `from the return of revoke() to the end of the last accepted request: ${spread(from0(went))}`,
      `from the return of revoke() to its beginning: ${spread(from0(came))}`,
      `revocations after which an accepted request ended: ${late(went)} of ${rounds}; began: ${late(came)}`,
      `revoke(): ${spread(revoking)}`,
      `Node ${process.versions.node}, ${availableParallelism()} CPUs, load before ${before}, after ${load()}`,
    ].join("\n"),
  );
} finally {
  await parent.close();
  await clean();
  await proxy?.close();
}
