import { isPromiseLike } from "../internal/awaitable.js";

/** Where a fault is put in. Absent members do not narrow it down. */
export interface FaultPlace<M extends string = string> {
  /** The method, or methods. */
  readonly method?: M | readonly M[];
  /** Which calls of a method: their numbers, from 1 on. */
  readonly call?: number | readonly number[];
  /** Called for each call that is left; `true` puts the fault in. */
  readonly when?: (call: FaultyCall<M>) => boolean;
  /** From 0 to 1: how many of the calls that are left, by a generator of the seed. */
  readonly probability?: number;
}

/** What goes wrong. */
export type FaultKind =
  /** Fails and does nothing: at once, or in the promise that it answers with. */
  | { readonly fault: "throw" | "reject"; readonly error?: unknown }
  /** Does it, and fails then: the acknowledgement is lost. */
  | { readonly fault: "lose"; readonly error?: unknown }
  /** Does nothing, and never answers. */
  | { readonly fault: "hang" }
  /** Does it after so many milliseconds. */
  | { readonly fault: "delay"; readonly ms: number }
  /** Does it, and answers something else: this, or what the function makes of the right answer. */
  | { readonly fault: "answer"; readonly answer: unknown }
  /** Does it. Each record that is answered has the id, hash and owner of another key. */
  | { readonly fault: "foreign" }
  /** Does it. A record is answered with its id and hash alone, a list without its last item, a page without items. */
  | { readonly fault: "partial" };

/** One fault of a plan: what goes wrong, and where. */
export type Fault<M extends string = string> = FaultPlace<M> & FaultKind;

/** A call that a fault may be put into. */
export interface FaultyCall<M extends string = string> {
  readonly method: M;
  /** How many calls of this method there were, this one included. */
  readonly number: number;
  readonly args: readonly unknown[];
}

/** Tells a plan to end, and how much came of it. */
export interface FaultControl {
  /** No more faults from now on. Calls that hang go on hanging. */
  heal(): void;
  /** How many faults were put in. */
  injected(): number;
}

type Method = (...args: unknown[]) => unknown;

/** The methods of an object, with the faults of a plan put in; the first one that fits a call is taken. */
export function withFaults<T extends object>(
  target: T,
  methods: readonly string[],
  plan: readonly Fault[],
  seed: number,
): T & FaultControl {
  const random = randomOf(seed);
  const counts = new Map<string, number>();
  let faults = plan;
  let injected = 0;

  const wrapped = methods.map((method) => {
    const right = (target as Record<string, Method>)[method] as Method;
    const faulty: Method = (...args) => {
      const number = (counts.get(method) ?? 0) + 1;
      counts.set(method, number);
      const call = { method, number, args };
      const fault = faults.find((one) => fits(one, call, random));
      const work = () => right.apply(target, args);
      if (fault === undefined) return work();
      injected += 1;
      return carryOut(fault, call, work);
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

function fits(
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

function carryOut(fault: FaultKind, call: FaultyCall, work: () => unknown): unknown {
  const error = "error" in fault ? fault.error : new Error(`${call.method}() was made to fail`);
  switch (fault.fault) {
    case "throw":
      throw error;
    case "reject":
      return Promise.reject(error);
    case "lose":
      return Promise.resolve(work()).then(() => Promise.reject(error));
    case "hang":
      return new Promise(() => {});
    case "delay":
      return new Promise((resolve) => setTimeout(resolve, fault.ms)).then(work);
    case "answer":
      return after(work(), (right) =>
        typeof fault.answer === "function" ? fault.answer(right, call) : fault.answer,
      );
    case "foreign":
      return after(work(), foreign);
    case "partial":
      return after(work(), partial);
  }
}

/** What is made of an answer, at once when that comes at once. */
function after(answer: unknown, make: (right: unknown) => unknown): unknown {
  return isPromiseLike(answer) ? answer.then(make) : make(answer);
}

function foreign(answer: unknown): unknown {
  if (Array.isArray(answer)) return answer.map(foreign);
  if (typeof answer !== "object" || answer === null) return answer;
  if ("items" in answer) return { ...answer, items: foreign(answer.items) };
  const { id, hash } = answer as { id?: unknown; hash?: unknown };
  // The last digit of a hash is another one: it has the form of one, and is none of this key.
  const other = typeof hash === "string" ? hash.slice(0, -1) + (hash.endsWith("0") ? "1" : "0") : hash;
  return { ...answer, id: `${id}_other`, hash: other, ownerId: "another owner" };
}

function partial(answer: unknown): unknown {
  if (Array.isArray(answer)) return answer.slice(0, -1);
  if (typeof answer !== "object" || answer === null) return answer;
  if ("items" in answer) return { ...answer, items: undefined };
  const { id, hash } = answer as { id?: unknown; hash?: unknown };
  return { id, hash };
}

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
