import { checkMethods, checkOptions } from "../internal/validate.js";
import { type Observer, StoreError } from "../kit.js";
import { type AttributeOptions, type DecisionEvent, isDecision, readLabels, reasonOf } from "./attributes.js";

/** The part of a `Tracer` of `@opentelemetry/api` that is used. */
export interface TracesTracer {
  startSpan(
    name: string,
    options?: { attributes?: Record<string, string | string[]>; startTime?: [number, number] },
  ): { setStatus(status: { code: 2 }): unknown; end(endTime?: [number, number]): void };
}

/** Options of {@link traces}. */
export interface TracesOptions extends AttributeOptions {
  /** From the `@opentelemetry/api` of the service: `trace.getTracer("keybearer")`. */
  readonly tracer: TracesTracer;
  /**
   * Name the key and its owner in spans: `keybearer.key.id` and `keybearer.owner.id`. `false` by default, because
   * traces go further, and are kept elsewhere, than what is known of customers should be.
   */
  readonly identify?: boolean;
}

/** Makes a span of each decision; made by {@link traces}. */
export interface Traces {
  /** For the `observers` of a verifier. */
  readonly observer: Observer;
}

/** `SpanStatusCode.ERROR`, written out so that nothing of OpenTelemetry is loaded. */
const ERROR = 2;

/**
 * Makes a span, `keybearer.verify`, of each decision, with OpenTelemetry. It is made after the fact, over the time that
 * the decision took, and is a child of the span that is active then: of the request, where HTTP is instrumented.
 * A refusal is no error of the service; only a request that could not be judged has the status `ERROR`.
 *
 * No span has a secret, a hash, an address, a path or a request id; with `identify` it has the ids of key and owner.
 *
 * @throws TypeError for a tracer that is none, and for options that are unknown or cannot work.
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
  if (typeof identify !== "boolean") throw new TypeError('traces: "identify" must be true or false');
  const { outcomeOf } = readLabels("traces", options);

  const observer: Observer = (event) => {
    if (!isDecision(event)) return;
    const attributes: Record<string, string | string[]> = outcomeOf(event);
    if (event.requiredScopes.length > 0) attributes["keybearer.required_scopes"] = [...event.requiredScopes];
    if (event.type === "auth.allowed" && event.wouldDeny?.length)
      attributes["keybearer.would_deny"] = event.wouldDeny.map(reasonOf);
    if (event.type === "auth.failed") attributes["error.type"] = kindOf(event.error);
    if (identify) Object.assign(attributes, identityOf(event));

    // A clock that is broken, or is a test's and says 1970, is no reason to lose the span.
    const told = event.at.getTime();
    const end = Number.isNaN(told) ? Date.now() : told;
    const span = tracer.startSpan("keybearer.verify", {
      attributes,
      startTime: time(end - event.durationMs),
    });
    if (event.type === "auth.failed") span.setStatus({ code: ERROR });
    span.end(time(end));
  };

  return Object.freeze({ observer });
}

function identityOf({ keyId, isKey, ownerId }: DecisionEvent): Record<string, string> {
  const identity: Record<string, string> = {};
  if (keyId !== undefined && isKey !== false) identity["keybearer.key.id"] = keyId;
  if (ownerId !== undefined) identity["keybearer.owner.id"] = ownerId;
  return identity;
}

/** Never what an error says or is called: that is the choice of whoever threw it. */
function kindOf(error: unknown): string {
  return error instanceof StoreError ? error.code : "_OTHER";
}

/** Seconds and nanoseconds, which keep the fractions of a millisecond that a decision takes. */
function time(milliseconds: number): [number, number] {
  const seconds = Math.floor(milliseconds / 1_000);
  return [seconds, Math.min(999_999_999, Math.round((milliseconds - seconds * 1_000) * 1_000_000))];
}
