import { vi } from "vitest";
import type { AuthResult, KeyEvent, Verifier } from "../../../src/index.js";
import { auditLog, lastUsed, metrics, traces } from "../../../src/observers/index.js";
import { memoryStore } from "../../../src/stores/memory.js";
import { measuring, tracing } from "../../unit/observers/telemetry.js";
import { printed } from "./search.js";

const LEVELS = ["log", "info", "warn", "error", "debug", "trace", "dir"] as const;

/** Captures everything that the process writes to the console, its streams and as warnings from now on. */
export function capturedOutput() {
  const console_: string[] = [];
  const stdout: string[] = [];
  const stderr: string[] = [];
  const warnings: string[] = [];
  for (const level of LEVELS) {
    vi.spyOn(console, level).mockImplementation((...args: unknown[]) => void console_.push(printed(args)));
  }
  const into = (list: string[]) =>
    ((chunk: string | Uint8Array) => {
      list.push(typeof chunk === "string" ? chunk : Buffer.from(chunk).toString("latin1"));
      return true;
    }) as typeof process.stdout.write;
  vi.spyOn(process.stdout, "write").mockImplementation(into(stdout));
  vi.spyOn(process.stderr, "write").mockImplementation(into(stderr));
  vi.spyOn(process, "emitWarning").mockImplementation(
    (...args: unknown[]) => void warnings.push(printed(args)),
  );
  return { console: console_, stdout, stderr, warnings };
}

/** Joins strings to larger ones, but not to one, which could exceed the maximum string length. */
export function textsOf(list: readonly string[]): readonly string[] {
  const texts: string[] = [];
  for (let at = 0; at < list.length; at += 1_000) texts.push(list.slice(at, at + 1_000).join("\n"));
  return texts;
}

/** Creates every observer of the package, and one that records each event as printed. */
export function everyObserver(onError: (error: unknown) => void) {
  const events: string[] = [];
  const types = new Set<string>();
  const trail = memoryStore();
  const meter = measuring();
  const tracer = tracing();
  const audit = auditLog(trail, { onError, denied: true, max: 100_000 });
  const used = lastUsed(trail, { onError });
  const record = (event: KeyEvent): void => {
    types.add(event.type);
    events.push(printed(event));
  };
  const observers = [
    record,
    audit.observer,
    used.observer,
    metrics({ meter: meter.meter, store: "memory", environments: ["live", "test"] }).observer,
    traces({ tracer: tracer.tracer, store: "memory", environments: ["live", "test"], identify: true })
      .observer,
  ];
  return {
    observers,
    events,
    types,
    tracer: tracer.tracer,
    meter: meter.meter,
    async flush() {
      await Promise.all([audit.flush(), used.flush()]);
    },
    async close() {
      await Promise.all([audit.close(), used.close()]);
    },
    /** Returns the exported spans. */
    spans: (): readonly string[] => [
      printed(tracer.spans()[0]?.resource.attributes),
      ...tracer
        .spans()
        .map(({ name, attributes, status, events, links }) =>
          printed({ name, attributes, status, events, links }),
        ),
    ],
    metrics: async () => (await meter.collected()).map(printed),
    trail: async () => {
      const entries: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await trail.auditTrail({ limit: 1_000, ...(cursor && { cursor }) });
        entries.push(...page.items.map(printed));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      return entries;
    },
  };
}

/** Wraps a verifier and records every result as printed. */
export function printing<S extends string>(verifier: Verifier<S>, into: Set<string>): Verifier<S> {
  return {
    ...verifier,
    async verify(...args): Promise<AuthResult<S>> {
      const result = await verifier.verify(...args);
      into.add(printed(result));
      return result;
    },
  };
}
