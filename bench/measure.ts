/** One of several ways to do the same. */
export interface Variant {
  readonly name: string;
  /** Does it so many times, each with other data. */
  run(count: number): unknown;
}

/** What a variant took for one time, in microseconds, round by round. */
export type Samples = ReadonlyMap<string, readonly number[]>;

export interface Options {
  /**
   * `cpu`: the processor's time of this process, which others on the machine do not lengthen; for work that never
   * waits. `wall`: the time that passes; for work that waits for a server.
   */
  readonly clock?: "cpu" | "wall";
  /** How long all of it may take, in seconds. */
  readonly seconds: number;
  /** The length of a slot, in milliseconds. */
  readonly slotMs?: number;
}

const WARM_UP_MS = 300;

/**
 * Runs the variants in turn, in short slots, each round in another order: whatever disturbs the machine for longer
 * than a round disturbs all of them.
 */
export async function interleave(
  variants: readonly Variant[],
  { clock = "cpu", seconds, slotMs = 20 }: Options,
): Promise<Samples> {
  const now = clock === "cpu" ? cpuTime : wallTime;
  const counts = new Map<Variant, number>();
  for (const variant of variants) counts.set(variant, await countFor(variant, slotMs, now));
  const samples = new Map<string, number[]>(variants.map(({ name }) => [name, []]));
  const end = performance.now() + seconds * 1_000;
  while (performance.now() < end || (samples.values().next().value?.length ?? 0) < 5) {
    for (const variant of shuffled(variants)) {
      const count = counts.get(variant) as number;
      const start = now();
      await variant.run(count);
      samples.get(variant.name)?.push((now() - start) / count);
    }
  }
  return samples;
}

/** The quotients of two variants, round by round: what a round has in common falls out. */
export function quotients(samples: Samples, what: string, against: string): readonly number[] {
  const below = samples.get(against) ?? [];
  return (samples.get(what) ?? []).map((value, round) => value / (below[round] as number));
}

/** The differences of two variants, round by round, in microseconds. */
export function differences(samples: Samples, what: string, against: string): readonly number[] {
  const below = samples.get(against) ?? [];
  return (samples.get(what) ?? []).map((value, round) => value - (below[round] as number));
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** A list in another order. */
export function shuffled<T>(list: readonly T[]): T[] {
  const copy = [...list];
  for (let last = copy.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [copy[last], copy[other]] = [copy[other] as T, copy[last] as T];
  }
  return copy;
}

/** How many times make a slot; found by doing it until the machine is warm. */
async function countFor(variant: Variant, slotMs: number, now: () => number): Promise<number> {
  const warm = performance.now() + WARM_UP_MS;
  let count = 1;
  let perTime = Number.POSITIVE_INFINITY;
  do {
    const start = now();
    await variant.run(count);
    const took = now() - start;
    perTime = Math.max(0.01, took / count);
    if (took < slotMs * 500) count *= 2;
  } while (performance.now() < warm);
  return Math.max(1, Math.round((slotMs * 1_000) / perTime));
}

function cpuTime(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function wallTime(): number {
  return performance.now() * 1_000;
}
