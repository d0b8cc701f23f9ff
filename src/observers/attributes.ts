import { describe } from "../internal/validate.js";
import {
  type AllowedEvent,
  AUTH_ERROR_STATUS,
  DENIAL_REASONS,
  type DeniedEvent,
  type FailedEvent,
  type KeyEvent,
} from "../kit.js";

/** Options of the observers for OpenTelemetry. */
export interface AttributeOptions {
  /**
   * The value of the attribute `keybearer.store`, such as `postgres`, where one process has several stores. By default
   * there is no such attribute.
   */
  readonly store?: string;
  /**
   * The environments of the service, such as `format.environments`: the values of the attribute
   * `keybearer.environment`; any other environment becomes `_OTHER`. By default there is no such attribute.
   */
  readonly environments?: readonly string[] | undefined;
}

/** The event of a verified request. */
export type DecisionEvent = AllowedEvent | DeniedEvent | FailedEvent;

/** OpenTelemetry attributes with string values. */
export type Attributes = Record<string, string>;

/** The value for anything unknown, as in the semantic conventions of OpenTelemetry. */
const OTHER = "_OTHER";

/** Returns known values unchanged and `_OTHER` for any other, so that the number of time series stays bounded. */
export function oneOf(known: readonly string[]): (value: unknown) => string {
  const values = new Set<unknown>(known);
  return (value) => (values.has(value) ? (value as string) : OTHER);
}

export const reasonOf: (value: unknown) => string = oneOf(DENIAL_REASONS);
const codeOf = oneOf(Object.keys(AUTH_ERROR_STATUS));

export function isDecision(event: KeyEvent): event is DecisionEvent {
  return event.type === "auth.allowed" || event.type === "auth.denied" || event.type === "auth.failed";
}

/** Functions that create the attributes of one observer. */
export interface AttributeBuilder {
  /** The attributes of every measurement. */
  readonly common: Readonly<Attributes>;
  /** The store and the environment of a decision. */
  readonly placeOf: (event: DecisionEvent) => Attributes;
  /** The store, the environment and the outcome of a decision. */
  readonly outcomeOf: (event: DecisionEvent) => Attributes;
}

/** @throws TypeError if an option is invalid. */
export function createAttributes(where: string, { store, environments }: AttributeOptions): AttributeBuilder {
  if (store !== undefined && !isName(store)) {
    throw new TypeError(`${where}: "store" must be a string of 1 to 64 printable ASCII characters`);
  }
  if (environments !== undefined && !(Array.isArray(environments) && environments.every(isName))) {
    throw new TypeError(
      `${where}: "environments" must be an array of environment names; received ${describe(environments)}`,
    );
  }
  const environmentOf = environments && oneOf(environments);
  const common: Readonly<Attributes> = Object.freeze(store === undefined ? {} : { "keybearer.store": store });

  const placeOf = ({ environment }: DecisionEvent): Attributes =>
    environment === undefined || environmentOf === undefined
      ? { ...common }
      : { ...common, "keybearer.environment": environmentOf(environment) };

  return {
    common,
    placeOf,
    outcomeOf(event) {
      const attributes = placeOf(event);
      if (event.type === "auth.denied") {
        attributes["keybearer.outcome"] = codeOf(event.code);
        attributes["keybearer.reason"] = reasonOf(event.reason);
      } else attributes["keybearer.outcome"] = event.type === "auth.allowed" ? "allowed" : "unavailable";
      return attributes;
    },
  };
}

function isName(value: unknown): value is string {
  return typeof value === "string" && /^[\x21-\x7e]{1,64}$/.test(value);
}
