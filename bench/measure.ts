/** One of several implementations that are compared. */
export interface Variant {
  readonly name: string;
  /** Runs it `count` times, each with different data. */
  run(count: number): unknown;
}

/** Microseconds per run, by variant and round. */
export type Samples = ReadonlyMap<string, readonly number[]>;

export interface Options {
  /**
   * `cpu`: CPU time of this process, which other processes do not affect; for work without I/O. `wall`: elapsed time; for
   * work that waits for a server. `"cpu"` by default.
   */
  readonly clock?: "cpu" | "wall";
  /** The total time, in seconds. */
  readonly seconds: number;
  /** The length of a slot, in milliseconds; 20 by default. */
  readonly slotMs?: number;
}

const WARM_UP_MS = 300;

/**
 * Runs the variants in turn, in short slots, in random order in each round, so that other load on the machine affects all
 * of them.
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

/** Returns the ratio of two variants in each round. */
export function ratios(samples: Samples, name: string, baseline: string): readonly number[] {
  const base = samples.get(baseline) ?? [];
  return (samples.get(name) ?? []).map((value, round) => value / (base[round] as number));
}

/** Returns the difference of two variants in each round, in microseconds. */
export function differences(samples: Samples, name: string, baseline: string): readonly number[] {
  const base = samples.get(baseline) ?? [];
  return (samples.get(name) ?? []).map((value, round) => value - (base[round] as number));
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Returns the value below which a part of the values are, such as 0.99. */
export function quantile(values: readonly number[], part: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length * part)] ?? Number.NaN;
}

/** Returns a copy in random order. */
export function shuffled<T>(list: readonly T[]): T[] {
  const copy = [...list];
  for (let last = copy.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [copy[last], copy[other]] = [copy[other] as T, copy[last] as T];
  }
  return copy;
}

/** Warms up, and returns the number of runs that fill a slot. */
async function countFor(variant: Variant, slotMs: number, now: () => number): Promise<number> {
  const warmUpEnd = performance.now() + WARM_UP_MS;
  let count = 1;
  let perRun = Number.POSITIVE_INFINITY;
  do {
    const start = now();
    await variant.run(count);
    const took = now() - start;
    perRun = Math.max(0.01, took / count);
    if (took < slotMs * 500) count *= 2;
  } while (performance.now() < warmUpEnd);
  return Math.max(1, Math.round((slotMs * 1_000) / perRun));
}

function cpuTime(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function wallTime(): number {
  return performance.now() * 1_000;
}
