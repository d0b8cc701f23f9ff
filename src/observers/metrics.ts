import { checkMethods, checkOptions } from "../internal/validate.js";
import type { BackgroundFailure, LifecycleEvent, Observer, OwnerEvent } from "../kit.js";
import {
  type AttributeOptions,
  type Attributes,
  createAttributes,
  isDecision,
  oneOf,
  reasonOf,
} from "./attributes.js";

/** The methods of a `Meter` of `@opentelemetry/api` that `metrics` calls. */
export interface MetricsMeter {
  createCounter(name: string, options?: InstrumentOptions): Counter;
  createUpDownCounter(name: string, options?: InstrumentOptions): Counter;
  createHistogram(
    name: string,
    options?: InstrumentOptions,
  ): { record(value: number, attributes?: Attributes): void };
}

interface InstrumentOptions {
  description?: string;
  unit?: string;
  advice?: { explicitBucketBoundaries?: number[] };
}

interface Counter {
  add(value: number, attributes?: Attributes): void;
}

/** Options of {@link metrics}. */
export interface MetricsOptions extends AttributeOptions {
  /** The meter of the service: `metrics.getMeter("keybearer")` of `@opentelemetry/api`. */
  readonly meter: MetricsMeter;
}

/** Measures decisions, changes and failures; created by {@link metrics}. */
export interface Metrics {
  /** For the `observers` of verifiers, managers and caches. */
  readonly observer: Observer;
}

/** In seconds: from 50 µs, a key in memory, to 1 s, above the default `storeTimeout`. */
const BOUNDARIES = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
];

const ACTIONS: Readonly<Record<LifecycleEvent["type"] | OwnerEvent["type"], string>> = {
  "key.created": "created",
  "key.imported": "imported",
  "key.updated": "updated",
  "key.disabled": "disabled",
  "key.enabled": "enabled",
  "key.revoked": "revoked",
  "key.rotated": "rotated",
  "key.rehashed": "rehashed",
  "key.purged": "purged",
  "key.leaked": "leaked",
  "owner.suspended": "suspended",
  "owner.resumed": "resumed",
};

const TASKS: readonly BackgroundFailure["task"][] = ["rehash", "invalidate"];
const taskOf = oneOf(TASKS);

/**
 * Creates an observer that records OpenTelemetry metrics: decisions by outcome and their duration, requests that
 * report-only rules would have denied, changes of keys, background failures and bypassed caches. `docs/metrics.md` lists
 * names and attributes.
 *
 * No attribute is chosen by a client: none holds a secret, hash, key, owner, address, path or request id, and the number
 * of time series is bounded. OpenTelemetry is not imported; pass the meter of your service.
 *
 * @throws TypeError if the meter lacks a method, or an option is unknown or invalid.
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
  const { common, placeOf, outcomeOf } = createAttributes("metrics", options);

  const decisions = meter.createCounter("keybearer.auth.decisions", {
    description: "Requests that were allowed, denied or failed.",
    unit: "{request}",
  });
  const durations = meter.createHistogram("keybearer.auth.duration", {
    description: "Duration of the verification of a request.",
    unit: "s",
    advice: { explicitBucketBoundaries: BOUNDARIES },
  });
  const wouldDeny = meter.createCounter("keybearer.auth.would_deny", {
    description: "Allowed requests that a report-only rule would have denied.",
    unit: "{request}",
  });
  const changes = meter.createCounter("keybearer.key.changes", {
    description: "Committed changes of keys and owners.",
    unit: "{change}",
  });
  const failures = meter.createCounter("keybearer.background.failures", {
    description: "Background tasks that failed.",
    unit: "{failure}",
  });
  const bypassed = meter.createUpDownCounter("keybearer.cache.bypassed", {
    description: "Caches that are bypassed, because changes cannot be read.",
    unit: "{cache}",
  });

  const observer: Observer = (event) => {
    if (isDecision(event)) {
      const attributes = outcomeOf(event);
      decisions.add(1, attributes);
      const seconds = event.durationMs / 1_000;
      if (seconds >= 0 && Number.isFinite(seconds)) durations.record(seconds, attributes);
      if (event.type !== "auth.allowed") return;
      // Events of a custom verifier may lack wouldDeny.
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
