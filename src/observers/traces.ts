import { checkBoolean, checkMethods, checkOptions } from "../internal/validate.js";
import { type Observer, StoreError } from "../kit.js";
import {
  type AttributeOptions,
  createAttributes,
  type DecisionEvent,
  isDecision,
  reasonOf,
} from "./attributes.js";

/** The methods of a `Tracer` of `@opentelemetry/api` that `traces` calls. */
export interface TracesTracer {
  startSpan(
    name: string,
    options?: { attributes?: Record<string, string | string[]>; startTime?: [number, number] },
  ): { setStatus(status: { code: 2 }): unknown; end(endTime?: [number, number]): void };
}

/** Options of {@link traces}. */
export interface TracesOptions extends AttributeOptions {
  /** The tracer of the service: `trace.getTracer("keybearer")` of `@opentelemetry/api`. */
  readonly tracer: TracesTracer;
  /**
   * Whether spans have the ids of the key and its owner, as `keybearer.key.id` and `keybearer.owner.id`. `false` by
   * default, because traces are often kept longer, and shown to more people, than customer data may be.
   */
  readonly identify?: boolean;
}

/** Creates a span for each decision; created by {@link traces}. */
export interface Traces {
  /** For the `observers` of a verifier. */
  readonly observer: Observer;
}

/** `SpanStatusCode.ERROR`, copied so that OpenTelemetry is not imported. */
const ERROR = 2;

/**
 * Creates an observer that records an OpenTelemetry span `keybearer.verify` for each decision. The span is created after
 * the decision, with the times of the decision, as a child of the active span: that of the request, if HTTP is
 * instrumented. A denied request is no error; only a request that could not be verified has the status `ERROR`.
 *
 * No span holds a secret, hash, address, path or request id. With `identify` it has the ids of the key and its owner.
 *
 * @throws TypeError if the tracer lacks a method, or an option is unknown or invalid.
 *
 * @example
 * import { trace } from "@opentelemetry/api";
 *
 * const { observer } = traces({ tracer: trace.getTracer("keybearer") });
 * const verifier = createVerifier({ store, scopes, format, observers: [observer] });
 */
export function traces(given: TracesOptions): Traces {
  const options = checkOptions("traces", given, ["tracer", "store", "environments", "identify"]);
  const { tracer, identify = false } = options;
  checkMethods("traces", "tracer", tracer, ["startSpan"]);
  checkBoolean("traces", "identify", identify);
  const { outcomeOf } = createAttributes("traces", options);

  const observer: Observer = (event) => {
    if (!isDecision(event)) return;
    const attributes: Record<string, string | string[]> = outcomeOf(event);
    if (event.requiredScopes.length > 0) attributes["keybearer.required_scopes"] = [...event.requiredScopes];
    if (event.type === "auth.allowed" && event.wouldDeny?.length)
      attributes["keybearer.would_deny"] = event.wouldDeny.map(reasonOf);
    if (event.type === "auth.failed") attributes["error.type"] = errorTypeOf(event.error);
    if (identify) Object.assign(attributes, identityOf(event));

    // If the verifier's clock is broken, the span has the system time.
    const at = event.at.getTime();
    const endMs = Number.isNaN(at) ? Date.now() : at;
    const span = tracer.startSpan("keybearer.verify", {
      attributes,
      startTime: toHrTime(endMs - event.durationMs),
    });
    if (event.type === "auth.failed") span.setStatus({ code: ERROR });
    span.end(toHrTime(endMs));
  };

  return Object.freeze({ observer });
}

function identityOf({ keyId, isKey, ownerId }: DecisionEvent): Record<string, string> {
  const identity: Record<string, string> = {};
  if (keyId !== undefined && isKey !== false) identity["keybearer.key.id"] = keyId;
  if (ownerId !== undefined) identity["keybearer.owner.id"] = ownerId;
  return identity;
}

/** Never the error's message or name, which may hold data of a driver. */
function errorTypeOf(error: unknown): string {
  return error instanceof StoreError ? error.code : "_OTHER";
}

/** Converts milliseconds to seconds and nanoseconds, which keep fractions of a millisecond. */
function toHrTime(milliseconds: number): [number, number] {
  const seconds = Math.floor(milliseconds / 1_000);
  return [seconds, Math.min(999_999_999, Math.round((milliseconds - seconds * 1_000) * 1_000_000))];
}
