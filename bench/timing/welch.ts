// Tests whether two sets of timings differ, as dudect does: O. Reparaz, J. Balasch and I. Verbauwhede, "Dude, is my code
// constant time?", DATE 2017 (https://eprint.iacr.org/2016/1123). Welch's t-test over all timings, and again without the
// slowest ones, because interruptions would hide a small difference.

/** The outcome of one comparison. */
export interface Comparison {
  /** The t with the largest absolute value over all crops. */
  readonly t: number;
  /** The share of all timings in that crop. */
  readonly kept: number;
  /** Means of that crop, in nanoseconds. */
  readonly means: readonly [number, number];
  /** The numbers of timings. */
  readonly n: readonly [number, number];
}

/** The shares of the fastest timings that are tested. */
const CROPS: readonly number[] = [1, 0.99, 0.95, 0.9, 0.75, 0.5];

export function compare(a: readonly number[], b: readonly number[]): Comparison {
  const sorted = Float64Array.from([...a, ...b]).sort();
  const comparisons = CROPS.map((kept) => {
    const most = sorted[Math.ceil(sorted.length * kept) - 1] as number;
    const [left, right] = [a, b].map((timings) => momentsOf(timings.filter((timing) => timing <= most)));
    return { t: welch(left as Moments, right as Moments), kept, left, right };
  });
  const { t, kept, left, right } = comparisons.reduce((worst, each) =>
    Math.abs(each.t) > Math.abs(worst.t) ? each : worst,
  );
  return { t, kept, means: [left?.mean ?? 0, right?.mean ?? 0], n: [a.length, b.length] };
}

interface Moments {
  readonly count: number;
  readonly mean: number;
  readonly variance: number;
}

function momentsOf(timings: readonly number[]): Moments {
  let mean = 0;
  let squares = 0;
  timings.forEach((timing, index) => {
    const delta = timing - mean;
    mean += delta / (index + 1);
    squares += delta * (timing - mean);
  });
  return { count: timings.length, mean, variance: squares / (timings.length - 1) };
}

function welch(a: Moments, b: Moments): number {
  const error = Math.sqrt(a.variance / a.count + b.variance / b.count);
  return error === 0 ? 0 : (a.mean - b.mean) / error;
}
