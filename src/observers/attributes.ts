import {
  type AllowedEvent,
  AUTH_ERROR_STATUS,
  DENIAL_REASONS,
  type DeniedEvent,
  type FailedEvent,
  type KeyEvent,
} from "../kit.js";

/** Options of the observers that feed OpenTelemetry. */
export interface AttributeOptions {
  /** A name for the store behind the verifier, such as `postgres`, where one process has several. */
  readonly store?: string;
  /**
   * The environments of the service, such as `format.environments`. An attribute tells them apart, and calls every
   * other one `_OTHER`; without this option there is none.
   */
  readonly environments?: readonly string[] | undefined;
}

/** The events of a decision. */
export type DecisionEvent = AllowedEvent | DeniedEvent | FailedEvent;

/** Attributes of OpenTelemetry, of the kind that has a text. */
export type Labels = Record<string, string>;

/** What a value outside the known ones is called, as in OpenTelemetry's own conventions. */
const OTHER = "_OTHER";

/** Takes known values as they are, and no others: the number of series stays bounded, whoever chooses the value. */
export function among(known: readonly string[]): (value: unknown) => string {
  const values = new Set<unknown>(known);
  return (value) => (values.has(value) ? (value as string) : OTHER);
}

export const reasonOf: (value: unknown) => string = among(DENIAL_REASONS);
const codeOf = among(Object.keys(AUTH_ERROR_STATUS));

export function isDecision(event: KeyEvent): event is DecisionEvent {
  return event.type === "auth.allowed" || event.type === "auth.denied" || event.type === "auth.failed";
}

/** How one observer names things. */
export interface Labelling {
  /** What every measurement has. */
  readonly common: Readonly<Labels>;
  /** Where a decision was made. */
  readonly placeOf: (event: DecisionEvent) => Labels;
  /** Where it was made, and how it came out. */
  readonly outcomeOf: (event: DecisionEvent) => Labels;
}

/** @throws TypeError for names that are none. */
export function readLabels(where: string, { store, environments }: AttributeOptions): Labelling {
  if (store !== undefined && !isName(store))
    throw new TypeError(`${where}: "store" must be a name of 1 to 64 printable characters`);
  if (environments !== undefined && !(Array.isArray(environments) && environments.every(isName)))
    throw new TypeError(`${where}: "environments" must be a list of names`);
  const environmentOf = environments && among(environments);
  const common: Readonly<Labels> = Object.freeze(store === undefined ? {} : { "keybearer.store": store });

  const placeOf = ({ environment }: DecisionEvent): Labels =>
    environment === undefined || environmentOf === undefined
      ? { ...common }
      : { ...common, "keybearer.environment": environmentOf(environment) };

  return {
    common,
    placeOf,
    outcomeOf(event) {
      const labels = placeOf(event);
      if (event.type === "auth.denied") {
        labels["keybearer.outcome"] = codeOf(event.code);
        labels["keybearer.reason"] = reasonOf(event.reason);
      } else labels["keybearer.outcome"] = event.type === "auth.allowed" ? "allowed" : "unavailable";
      return labels;
    },
  };
}

function isName(value: unknown): value is string {
  return typeof value === "string" && /^[\x21-\x7e]{1,64}$/.test(value);
}
