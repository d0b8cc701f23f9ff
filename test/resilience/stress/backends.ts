// The stores that are put under stress. STRESS_STORES=postgres,redis narrows them to those whose names have one
// of these in them. Imports no test runner: the processes that suites start use it too.

import type { Backend, OpenStore } from "../../contract/stores/backends/backend.js";
import type { Servers } from "../../servers.js";

// Loaded one by one, so that a process that needs one driver does not wait for all of them.
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

/** A group of backends that keep keys in the same kind of place. */
export type Kind = keyof typeof LOADERS;

/** A backend, and how another process finds it. */
export interface Target {
  readonly kind: Kind;
  readonly backend: Backend;
}

/** Every backend that is asked for, also those that are missing on this machine. */
export async function targets(servers: Servers): Promise<readonly Target[]> {
  const wanted = process.env.STRESS_STORES?.split(",") ?? [""];
  const kinds = Object.keys(LOADERS) as Kind[];
  const found = await Promise.all(
    kinds.map(async (kind) => (await LOADERS[kind](servers)).map((backend) => ({ kind, backend }))),
  );
  return found
    .flat()
    .filter(({ backend }) => wanted.some((part) => backend.name.toLowerCase().includes(part.toLowerCase())));
}

/** The first backend of each kind that several processes can open; with STRESS_ALL=1 every one. */
export function sharedTargets(all: readonly Target[]): readonly Target[] {
  const shared = all.filter(({ backend }) => backend.open !== undefined && backend.missing === undefined);
  if (process.env.STRESS_ALL === "1") return shared;
  return shared.filter(({ kind }, index) => shared.findIndex((other) => other.kind === kind) === index);
}

/** The backend of this name, in a process that was told which one. */
export async function backendNamed(kind: Kind, name: string, servers: Servers): Promise<Backend> {
  const found = (await LOADERS[kind](servers)).find((backend) => backend.name === name);
  if (found === undefined) throw new Error(`no backend ${name}`);
  return found;
}

/** A fresh store over two connections, or over one where there can be no other. */
export async function overTwo(
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

/** How many rounds a suite makes: STRESS_ROUNDS, or as many as usual. @throws Error for a text that is no number. */
export function rounds(usual: number): number {
  const count = Number(process.env.STRESS_ROUNDS ?? usual);
  if (!Number.isInteger(count) || count < 1) throw new Error("STRESS_ROUNDS must be a whole number above 0");
  return count;
}

/** Says in one line what was shown. */
export function say(what: string, { backend }: Target, figures: Readonly<Record<string, unknown>>): void {
  const told = Object.entries(figures).map(([name, value]) => `${name} ${value}`);
  console.log(`${what} · ${backend.name}: ${told.join(", ")}`);
}

/** Seconds since a moment of `performance.now()`. */
export function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}
