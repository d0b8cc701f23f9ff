// The stores under stress. STRESS_STORES=postgres,redis selects those that have one of these strings in their name.
// Child processes use this file too, so it must not import the test runner.

import type { Backend, OpenStore } from "../../contract/stores/backends/backend.js";
import type { Servers } from "../../servers.js";

// Loaded lazily, so that a child process loads one driver only.
const LOADERS = {
  memory: async () => (await import("../../contract/stores/backends/memory.js")).memoryBackends(),
  sqlite: async () => (await import("../../contract/stores/backends/sqlite.js")).sqliteBackends(),
  postgres: async ({ postgres }: Servers) =>
    (await import("../../contract/stores/backends/postgres.js")).postgresBackends(postgres),
  mysql: async ({ mysql }: Servers) =>
    (await import("../../contract/stores/backends/mysql.js")).mysqlBackends(mysql),
  redis: async ({ redis, redisCluster }: Servers) =>
    (await import("../../contract/stores/backends/redis.js")).redisBackends(redis, redisCluster),
} satisfies Record<string, (servers: Servers) => Promise<readonly Backend[]>>;

/** A kind of database. */
export type Kind = keyof typeof LOADERS;

/** A backend and the kind of its database. */
export interface Target {
  readonly kind: Kind;
  readonly backend: Backend;
}

/** Returns the selected backends, including those that are not available on this machine. */
export async function targets(servers: Servers): Promise<readonly Target[]> {
  const selected = process.env.STRESS_STORES?.split(",") ?? [""];
  const kinds = Object.keys(LOADERS) as Kind[];
  const found = await Promise.all(
    kinds.map(async (kind) => (await LOADERS[kind](servers)).map((backend) => ({ kind, backend }))),
  );
  return found
    .flat()
    .filter(({ backend }) =>
      selected.some((part) => backend.name.toLowerCase().includes(part.toLowerCase())),
    );
}

/** Returns the first backend of each kind that several processes can open, or all of them with STRESS_ALL=1. */
export function sharedTargets(all: readonly Target[]): readonly Target[] {
  const shared = all.filter(({ backend }) => backend.open !== undefined && backend.missing === undefined);
  if (process.env.STRESS_ALL === "1") return shared;
  return shared.filter(({ kind }, index) => shared.findIndex((other) => other.kind === kind) === index);
}

/** Returns the backend with this name. */
export async function backendNamed(kind: Kind, name: string, servers: Servers): Promise<Backend> {
  const found = (await LOADERS[kind](servers)).find((backend) => backend.name === name);
  if (found === undefined) throw new Error(`unknown backend ${name}`);
  return found;
}

/** Opens a new store over two connections, or over one if it cannot be opened twice. */
export async function withTwoConnections(
  { backend }: Target,
  use: (first: OpenStore, second: OpenStore) => Promise<void>,
): Promise<void> {
  const first = await backend.create();
  let second = first;
  try {
    second = (await backend.open?.(first.place)) ?? first;
    await use(first, second);
  } finally {
    if (second !== first) await second.close();
    await first.close();
    await backend.drop(first.place);
  }
}

/** Returns the number of rounds of a suite: STRESS_ROUNDS, or a default. */
export function rounds(byDefault: number): number {
  const count = Number(process.env.STRESS_ROUNDS ?? byDefault);
  if (!Number.isInteger(count) || count < 1)
    throw new Error(`STRESS_ROUNDS must be a positive integer; received ${process.env.STRESS_ROUNDS}`);
  return count;
}

/** Prints the result of a test on one line. */
export function printResult(
  what: string,
  { backend }: Target,
  figures: Readonly<Record<string, unknown>>,
): void {
  const values = Object.entries(figures).map(([name, value]) => `${name} ${value}`);
  console.log(`${what} · ${backend.name}: ${values.join(", ")}`);
}

/** Formats the time since a value of `performance.now()`. */
export function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}
