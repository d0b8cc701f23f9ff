import { checkMethods, checkOptions } from "../internal/validate.js";
import type { BackgroundFailure, LifecycleEvent, Observer } from "../kit.js";
import { type AttributeOptions, among, isDecision, type Labels, readLabels, reasonOf } from "./attributes.js";

/** The part of a `Meter` of `@opentelemetry/api` that is used. */
export interface MetricsMeter {
  createCounter(name: string, options?: InstrumentOptions): Adding;
  createUpDownCounter(name: string, options?: InstrumentOptions): Adding;
  createHistogram(
    name: string,
    options?: InstrumentOptions,
  ): { record(value: number, attributes?: Labels): void };
}

interface InstrumentOptions {
  description?: string;
  unit?: string;
  advice?: { explicitBucketBoundaries?: number[] };
}

interface Adding {
  add(value: number, attributes?: Labels): void;
}

/** Options of {@link metrics}. */
export interface MetricsOptions extends AttributeOptions {
  /** From the `@opentelemetry/api` of the service: `metrics.getMeter("keybearer")`. */
  readonly meter: MetricsMeter;
}

/** Counts decisions, changes and failures; made by {@link metrics}. */
export interface Metrics {
  /** For the `observers` of verifiers, managers and caches. */
  readonly observer: Observer;
}

/** Seconds: from 50 µs, which is a key in memory, to 1 s, which no store may take by default. */
const BOUNDARIES = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
];

const ACTIONS: Readonly<Record<LifecycleEvent["type"], string>> = {
  "key.created": "created",
  "key.imported": "imported",
  "key.updated": "updated",
  "key.disabled": "disabled",
  "key.enabled": "enabled",
  "key.revoked": "revoked",
  "key.rotated": "rotated",
  "key.rehashed": "rehashed",
  "key.purged": "purged",
};

const TASKS: readonly BackgroundFailure["task"][] = ["rehash", "invalidate", "report-only"];
const taskOf = among(TASKS);

/**
 * Measures with OpenTelemetry: decisions by outcome, how long they took, what would have been denied, changes of keys,
 * failures behind the requests, and caches that are bypassed. `docs/metrics.md` lists names and attributes.
 *
 * No attribute is chosen by a client: there is no secret, hash, key, owner, address, path or request id among them, and
 * the number of series is bounded. Nothing of OpenTelemetry is loaded; the meter is the caller's.
 *
 * @throws TypeError for a meter that is none, and for options that are unknown or cannot work.
 *
 * @example
 * import { metrics as api } from "@opentelemetry/api";
 *
 * const { observer } = metrics({ meter: api.getMeter("keybearer"), environments: format.environments });
 * const verifier = createVerifier({ store, scopes, format, observers: [observer] });
 */
export function metrics(given: MetricsOptions): Metrics {
  const options = checkOptions("metrics", given, ["meter", "store", "environments"]);
  const { meter } = options;
  checkMethods("metrics", "meter", meter, ["createCounter", "createUpDownCounter", "createHistogram"]);
  const { common, placeOf, outcomeOf } = readLabels("metrics", options);

  const decisions = meter.createCounter("keybearer.auth.decisions", {
    description: "Requests that were let through or refused.",
    unit: "{request}",
  });
  const durations = meter.createHistogram("keybearer.auth.duration", {
    description: "How long it took to decide over a request.",
    unit: "s",
    advice: { explicitBucketBoundaries: BOUNDARIES },
  });
  const wouldDeny = meter.createCounter("keybearer.auth.would_deny", {
    description: "Requests that were let through, and that a rule on trial would have refused.",
    unit: "{request}",
  });
  const changes = meter.createCounter("keybearer.key.changes", {
    description: "Changes of keys that were committed.",
    unit: "{change}",
  });
  const failures = meter.createCounter("keybearer.background.failures", {
    description: "Work behind the requests that failed.",
    unit: "{failure}",
  });
  const bypassed = meter.createUpDownCounter("keybearer.cache.bypassed", {
    description: "Caches that do not answer from memory, because their bus is down.",
    unit: "{cache}",
  });

  const observer: Observer = (event) => {
    if (isDecision(event)) {
      const labels = outcomeOf(event);
      decisions.add(1, labels);
      const seconds = event.durationMs / 1_000;
      if (seconds >= 0 && Number.isFinite(seconds)) durations.record(seconds, labels);
      if (event.type !== "auth.allowed") return;
      // A verifier of somebody else's may say nothing of trials.
      for (const reason of event.wouldDeny ?? [])
        wouldDeny.add(1, { ...placeOf(event), "keybearer.reason": reasonOf(reason) });
    } else if (event.type === "background.failed") {
      failures.add(1, { ...common, "keybearer.task": taskOf(event.task) });
    } else if (event.type === "cache.bypassed" || event.type === "cache.resumed") {
      bypassed.add(event.type === "cache.bypassed" ? 1 : -1, { ...common });
    } else if (Object.hasOwn(ACTIONS, event.type)) {
      changes.add(1, { ...common, "keybearer.action": ACTIONS[event.type] });
    }
  };

  return Object.freeze({ observer });
}
