/** The sections of the benchmark; each is a file in `sections/`. The last one runs only if it is named. */
export const SECTIONS = ["verify", "allowlist", "http", "stores", "memory", "startup", "runtimes"] as const;

export type Section = (typeof SECTIONS)[number];

/** A row of the table. */
export interface Row {
  readonly section: Section;
  readonly measured: string;
  readonly baseline: string;
  readonly figure: string;
  /** The quartiles of the figure over all rounds. */
  readonly quartiles?: string | undefined;
  readonly goal?: string | undefined;
  readonly met?: boolean | undefined;
}

/** Sends a row to the process that prints the table. */
export function printRow(row: Row): void {
  console.log(JSON.stringify(row));
}

/** The goal for a ratio. */
export type Goal = { readonly most: number } | { readonly least: number };

/** Creates a row from the ratios of all rounds. */
export function ratioRow(
  section: Section,
  measured: string,
  baseline: string,
  ratios: readonly number[],
  goal?: Goal,
): Row {
  const sorted = [...ratios].sort((a, b) => a - b);
  const at = (part: number) => sorted[Math.floor((sorted.length - 1) * part)] ?? Number.NaN;
  const median = at(0.5);
  return {
    section,
    measured,
    baseline,
    figure: `${format3(median)} x`,
    quartiles: `${format3(at(0.25))} to ${format3(at(0.75))}`,
    ...(goal && {
      goal: "most" in goal ? `at most ${goal.most}` : `at least ${goal.least}`,
      met: "most" in goal ? median <= goal.most : median >= goal.least,
    }),
  };
}

/** Formats a number with three significant digits. */
export function format3(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString("en");
  return value.toPrecision(3);
}
