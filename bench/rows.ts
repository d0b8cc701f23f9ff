/** The parts of the benchmark, each a file of `sections/`. */
export const SECTIONS = ["verify", "allowlist", "http", "stores", "memory", "startup"] as const;

export type Section = (typeof SECTIONS)[number];

/** A line of the table. */
export interface Row {
  readonly section: Section;
  readonly what: string;
  readonly against: string;
  readonly figure: string;
  /** The quartiles of the figure over all rounds. */
  readonly spread?: string | undefined;
  readonly goal?: string | undefined;
  readonly met?: boolean | undefined;
}

/** Hands a line to the process that prints the table. */
export function tell(row: Row): void {
  console.log(JSON.stringify(row));
}

/** What is wanted of a ratio. */
export type Goal = { readonly most: number } | { readonly least: number };

/** Ratios of one round each, as a line. */
export function ratioRow(
  section: Section,
  what: string,
  against: string,
  ratios: readonly number[],
  goal?: Goal,
): Row {
  const sorted = [...ratios].sort((a, b) => a - b);
  const at = (part: number) => sorted[Math.floor((sorted.length - 1) * part)] ?? Number.NaN;
  const middle = at(0.5);
  return {
    section,
    what,
    against,
    figure: `${short(middle)} x`,
    spread: `${short(at(0.25))} to ${short(at(0.75))}`,
    ...(goal && {
      goal: "most" in goal ? `at most ${goal.most}` : `at least ${goal.least}`,
      met: "most" in goal ? middle <= goal.most : middle >= goal.least,
    }),
  };
}

/** Three digits that matter. */
export function short(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString("en");
  return value.toPrecision(3);
}
