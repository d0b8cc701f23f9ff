import type { MetricsMeter } from "../../observers/metrics.js";

type Attributes = Readonly<Record<string, string>>;

/** Values by series, such as `name{label="value"}`. Sums over processes are meaningful for each of them. */
export type Samples = Readonly<Record<string, number>>;

/** Collects measurements in the text format of Prometheus. */
export interface Prometheus {
  readonly meter: MetricsMeter;
  samples(): Samples;
}

const TYPES = new Map<string, string>(); // by metric; every process creates the same ones

/** Creates a meter for `metrics` of the observers. Its attributes bound the number of series. */
export function createPrometheus(): Prometheus {
  const values = new Map<string, number>();
  const add = (series: string, value: number) => values.set(series, (values.get(series) ?? 0) + value);

  const counter = (type: "counter" | "gauge") => (name: string) => {
    const metric = metricName(name) + (type === "counter" ? "_total" : "");
    TYPES.set(metric, type);
    return { add: (value: number, attributes?: Attributes) => add(series(metric, attributes), value) };
  };
  return {
    meter: {
      createCounter: counter("counter"),
      createUpDownCounter: counter("gauge"),
      createHistogram(name, options) {
        const metric = `${metricName(name)}_seconds`;
        const bounds = options?.advice?.explicitBucketBoundaries ?? [];
        TYPES.set(metric, "histogram");
        return {
          record(value, attributes = {}) {
            for (const bound of [...bounds, Number.POSITIVE_INFINITY]) {
              const le = bound === Number.POSITIVE_INFINITY ? "+Inf" : String(bound);
              add(series(`${metric}_bucket`, { ...attributes, le }), value <= bound ? 1 : 0);
            }
            add(series(`${metric}_sum`, attributes), value);
            add(series(`${metric}_count`, attributes), 1);
          },
        };
      },
    },
    samples: () => Object.fromEntries(values),
  };
}

/** Adds the samples of several processes, and formats them. */
export function formatSamples(all: readonly Samples[]): string {
  const sums = new Map<string, number>();
  for (const samples of all) {
    for (const [name, value] of Object.entries(samples)) sums.set(name, (sums.get(name) ?? 0) + value);
  }
  const lines: string[] = [];
  for (const [metric, type] of TYPES) {
    const own = [...sums].filter(([name]) => metricOf(name, type) === metric);
    if (own.length === 0) continue;
    lines.push(`# TYPE ${metric} ${type}`, ...own.map(([name, value]) => `${name} ${value}`));
  }
  return `${lines.join("\n")}\n`;
}

function metricOf(name: string, type: string): string {
  const bare = name.replace(/\{.*$/s, "");
  return type === "histogram" ? bare.replace(/_(?:bucket|sum|count)$/, "") : bare;
}

function series(metric: string, attributes: Attributes = {}): string {
  const labels = Object.entries(attributes).map(
    ([name, value]) => `${metricName(name)}="${value.replace(/["\\\n]/g, "_")}"`,
  );
  return labels.length === 0 ? metric : `${metric}{${labels.join(",")}}`;
}

function metricName(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9_]/g, "_");
}
