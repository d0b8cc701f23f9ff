import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  type DataPoint,
  DataPointType,
  type Histogram,
  MeterProvider,
  MetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";

/** A reader that collects only when the test calls it. */
class Reader extends MetricReader {
  protected async onForceFlush(): Promise<void> {}
  protected async onShutdown(): Promise<void> {}
}

/** A meter of the SDK, with readers for its metrics. */
export function measuring() {
  const reader = new Reader();
  const provider = new MeterProvider({ readers: [reader] });
  const collected = async () => {
    const { resourceMetrics, errors } = await reader.collect();
    if (errors.length > 0) throw errors[0];
    return resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics);
  };
  const points = async (name: string) => {
    const found = (await collected()).find(({ descriptor }) => descriptor.name === name);
    return (found?.dataPoints ?? []) as readonly DataPoint<number>[];
  };
  return {
    meter: provider.getMeter("keybearer"),
    collected,
    /** The sums of a counter with their attributes, whose names lack the prefix `keybearer.`. */
    async sums(name: string): Promise<readonly (readonly [number, Record<string, unknown>])[]> {
      return (await points(name)).map(({ value, attributes }) => [value, short(attributes)] as const);
    },
    async histogram(name: string): Promise<readonly Histogram[]> {
      const found = (await collected()).find(({ descriptor }) => descriptor.name === name);
      if (found?.dataPointType !== DataPointType.HISTOGRAM) throw new Error(`${name} is not a histogram`);
      return found.dataPoints.map(({ value }) => value);
    },
  };
}

export function short(attributes: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [name.replace(/^keybearer\./, ""), value]),
  );
}

/** A tracer of the SDK, and its ended spans. */
export function tracing() {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  return { tracer: provider.getTracer("keybearer"), spans: () => exporter.getFinishedSpans() };
}

export function contextManager(): AsyncLocalStorageContextManager {
  return new AsyncLocalStorageContextManager().enable();
}
