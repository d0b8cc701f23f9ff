import { mapAwaitable } from "../internal/awaitable.js";
import { type Duration, parseDuration } from "../internal/duration.js";

/** Which calls a fault applies to. An absent member matches every call. */
export interface FaultPlace<M extends string = string> {
  /** The method or methods. */
  readonly method?: M | readonly M[];
  /** The number or numbers of the calls of a method, starting at 1. */
  readonly call?: number | readonly number[];
  /** Called for each remaining call; `true` applies the fault. */
  readonly when?: (call: FaultyCall<M>) => boolean;
  /** The share of the remaining calls, from 0 to 1, chosen by a seeded generator. */
  readonly probability?: number;
}

/** What a faulty call does. */
export type FaultKind =
  /** Does nothing, and throws or rejects. */
  | { readonly fault: "throw" | "reject"; readonly error?: unknown }
  /** Completes and then rejects: the acknowledgement is lost. */
  | { readonly fault: "lose"; readonly error?: unknown }
  /** Does nothing and never settles. */
  | { readonly fault: "hang" }
  /** Waits before it calls the method. */
  | { readonly fault: "delay"; readonly delay: Duration }
  /** Completes and returns another value: this one, or what the function returns for the correct value. */
  | { readonly fault: "return"; readonly value: unknown }
  /** Completes and returns records with the id, hash and owner of another key. */
  | { readonly fault: "foreign" }
  /** Completes and returns a record with id and hash only, an array without its last item or a page without items. */
  | { readonly fault: "partial" };

/** A fault and the calls that it applies to. */
export type Fault<M extends string = string> = FaultPlace<M> & FaultKind;

/** A call to which a fault may apply. */
export interface FaultyCall<M extends string = string> {
  readonly method: M;
  /** The number of this call among all calls of the method, starting at 1. */
  readonly number: number;
  readonly args: readonly unknown[];
}

/** Controls a plan of faults. */
export interface FaultControl {
  /** Stops injecting faults. Calls that hang stay pending. */
  heal(): void;
  /** Returns the number of faults injected so far. */
  injected(): number;
}

type Method = (...args: unknown[]) => unknown;

/** Wraps methods of an object so that they fail as planned. The first fault that matches a call is applied. */
export function withFaults<T extends object>(
  target: T,
  methods: readonly string[],
  plan: readonly Fault[],
  seed: number,
): T & FaultControl {
  const random = createRandom(seed);
  const counts = new Map<string, number>();
  let faults = plan;
  let injected = 0;

  const wrapped = methods.map((method) => {
    const original = (target as Record<string, Method>)[method] as Method;
    const faulty: Method = (...args) => {
      const number = (counts.get(method) ?? 0) + 1;
      counts.set(method, number);
      const call = { method, number, args };
      const fault = faults.find((one) => matches(one, call, random));
      const run = () => original.apply(target, args);
      if (fault === undefined) return run();
      injected += 1;
      return applyFault(fault, call, run);
    };
    return [method, faulty];
  });
  return Object.freeze({
    ...Object.fromEntries(wrapped),
    heal() {
      faults = [];
    },
    injected: () => injected,
  });
}

function matches(
  { method = [], call = [], when, probability = 1 }: FaultPlace,
  { method: name, number, args }: FaultyCall,
  random: () => number,
): boolean {
  const isOneOf = <T>(value: T, given: T | readonly T[]) => {
    const list = Array.isArray(given) ? given : [given];
    return list.length === 0 || list.includes(value);
  };
  return (
    isOneOf(name, method) &&
    isOneOf(number, call) &&
    (when === undefined || when({ method: name, number, args })) &&
    (probability === 1 || random() < probability)
  );
}

function applyFault(fault: FaultKind, call: FaultyCall, run: () => unknown): unknown {
  const error = "error" in fault ? fault.error : new Error(`${call.method}() failed by a planned fault`);
  switch (fault.fault) {
    case "throw":
      throw error;
    case "reject":
      return Promise.reject(error);
    case "lose":
      return Promise.resolve(run()).then(() => Promise.reject(error));
    case "hang":
      return new Promise(() => {});
    case "delay":
      return new Promise((resolve) => setTimeout(resolve, parseDuration(fault.delay))).then(run);
    case "return":
      return mapAwaitable(run(), (correct) =>
        typeof fault.value === "function" ? fault.value(correct, call) : fault.value,
      );
    case "foreign":
      return mapAwaitable(run(), makeForeign);
    case "partial":
      return mapAwaitable(run(), makePartial);
  }
}

function makeForeign(result: unknown): unknown {
  if (Array.isArray(result)) return result.map(makeForeign);
  if (typeof result !== "object" || result === null) return result;
  if ("items" in result) return { ...result, items: makeForeign(result.items) };
  const { id, hash } = result as { id?: unknown; hash?: unknown };
  // Another last digit: the form of a hash, but not the hash of this key.
  const other = typeof hash === "string" ? hash.slice(0, -1) + (hash.endsWith("0") ? "1" : "0") : hash;
  return { ...result, id: `${id}_other`, hash: other, ownerId: "another owner" };
}

function makePartial(result: unknown): unknown {
  if (Array.isArray(result)) return result.slice(0, -1);
  if (typeof result !== "object" || result === null) return result;
  if ("items" in result) return { ...result, items: undefined };
  const { id, hash } = result as { id?: unknown; hash?: unknown };
  return { id, hash };
}

/** Creates a generator of numbers from 0 to 1 that is determined by the seed (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
