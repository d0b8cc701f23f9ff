import { afterEach, beforeEach, expect, vi } from "vitest";
import type { AllowedEvent, AuditEntry, DeniedEvent } from "../../../src/index.js";
import {
  type AuditLogOptions,
  auditLog,
  DroppedError,
  type LastUsed,
  type LastUsedOptions,
  lastUsed,
  type WriteReport,
} from "../../../src/observers/index.js";

export const MINUTE = 60_000;
export const START: Date = new Date("2030-01-01T00:00:00Z");
export const later = (ms: number): Date => new Date(START.getTime() + ms);
export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
export const down: Error = new Error("down");

export const failing = (): Promise<void> => Promise.reject(down);

/** A promise that a store may answer with and that never settles. */
export const never = (): Promise<void> => new Promise(() => {});

export function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** Moves fake timers on. */
export const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

/** `key_0`, `key_1` and so on. */
export function names(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, i) => `key_${from + i}`);
}

/** Why a promise was refused, while fake timers are moved on for as long as that takes. */
export async function outcome(promise: Promise<unknown>, patienceMs: number): Promise<unknown> {
  let settled = false;
  const result = rejection(promise).finally(() => {
    settled = true;
  });
  for (let ms = 0; ms < patienceMs && !settled; ms += 10) await vi.advanceTimersByTimeAsync(10);
  return settled ? result : "still waiting";
}

export function allowed(keyId: string, at: Date = START, more: Partial<AllowedEvent> = {}): AllowedEvent {
  return {
    type: "auth.allowed",
    at,
    keyId,
    isKey: true,
    ownerId: "acme",
    environment: "live",
    requestId: "req-1",
    method: "POST",
    path: "/vehicles",
    clientIp: "192.0.2.7",
    requiredScopes: ["vehicles:write"],
    audit: true,
    durationMs: 1,
    wouldDeny: [],
    ...more,
  };
}

export function denied(keyId: string | undefined, more: Partial<DeniedEvent> = {}): DeniedEvent {
  const { type: _, keyId: __, wouldDeny: ___, ownerId, environment, ...facts } = allowed("");
  const identity = keyId === undefined ? {} : { keyId, ownerId, environment };
  return {
    ...facts,
    ...identity,
    type: "auth.denied",
    code: "insufficient_scope",
    reason: "insufficient_scope",
    ...more,
  };
}

/** What an observer was told of losses. */
export const drops = ({ told }: Tracked): Told[] => told.filter(({ error }) => error instanceof DroppedError);

interface Closable {
  close(): Promise<void>;
}

const opened: Closable[] = [];

/** Closes it when the test is over. */
export function toBeClosed<T extends Closable>(one: T): T {
  opened.push(one);
  return one;
}

/** Ends what the tests of this file opened, and holds them to leave no rejection behind. */
export function tidily(): void {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => unhandled.push(reason);
  beforeEach(() => {
    unhandled.length = 0;
    process.on("unhandledRejection", note);
  });
  afterEach(async () => {
    vi.useRealTimers();
    await Promise.allSettled(opened.splice(0).map((one) => one.close()));
    await sleep(2);
    process.off("unhandledRejection", note);
    expect(unhandled).toEqual([]);
  });
}

export interface Told {
  readonly error: unknown;
  readonly report: WriteReport;
}

/** A store that keeps what it is given, unless `answer` throws, rejects or hangs. */
export interface FaultyStore {
  /** The keys of each call, in their order: of `touch` the ids, of `appendAudit` the keys of the entries. */
  readonly calls: string[][];
  readonly usedAt: Map<string, Date>;
  readonly entries: Map<string, AuditEntry>;
  /** What becomes of a call; it is given the call's number, from 1 on, and its keys. */
  answer: (call: number, keys: readonly string[]) => unknown;
  /** Whether a call that fails has written all the same: its answer was lost. */
  loses: boolean;
  touch(uses: ReadonlyMap<string, Date>): Promise<void>;
  appendAudit(entries: readonly AuditEntry[]): Promise<void>;
}

export function faultyStore(answer: FaultyStore["answer"] = () => {}): FaultyStore {
  const carryOut = (keys: string[], write: () => void): Promise<void> => {
    store.calls.push(keys);
    if (store.loses) write();
    const result = store.answer(store.calls.length, keys);
    if (result instanceof Promise) return result.then(write);
    write();
    return result as Promise<void>;
  };
  const store: FaultyStore = {
    calls: [],
    usedAt: new Map(),
    entries: new Map(),
    answer,
    loses: false,
    touch: (uses) =>
      carryOut([...uses.keys()], () => {
        for (const [id, at] of uses) {
          if (Number.isNaN(at.getTime())) throw new Error("no date");
          if (!((store.usedAt.get(id) ?? 0) >= at)) store.usedAt.set(id, at);
        }
      }),
    appendAudit: (entries) =>
      carryOut(
        entries.map(({ keyId }) => keyId),
        () => {
          for (const entry of entries) if (!store.entries.has(entry.id)) store.entries.set(entry.id, entry);
        },
      ),
  };
  return store;
}

/** One of the observers over a faulty store, with what both have in common. */
export interface Tracked {
  readonly store: FaultyStore;
  readonly told: Told[];
  /** Lets a request of this key pass. */
  note(keyId: string, at?: Date): void;
  /** The keys that the store knows of. */
  kept(): string[];
  flush(): Promise<void>;
  close(): Promise<void>;
}

export interface Kind {
  readonly name: "lastUsed" | "auditLog";
  /** How long the first of several waits for the others. */
  readonly delayMs: number;
  /** How many go in one call. */
  readonly batchSize: number;
  make(options?: LastUsedOptions & AuditLogOptions, answer?: FaultyStore["answer"]): Tracked;
}

export const KINDS: readonly Kind[] = [
  {
    name: "lastUsed",
    delayMs: 5_000,
    batchSize: 10_000,
    make: (options, answer) =>
      tracked(answer, (store, onError) => ({
        ...lastUsed(store, { onError, ...options }),
        kept: () => [...store.usedAt.keys()],
      })),
  },
  {
    name: "auditLog",
    delayMs: 1_000,
    batchSize: 500,
    make: (options, answer) =>
      tracked(answer, (store, onError) => ({
        ...auditLog(store, { onError, ...options }),
        kept: () => [...store.entries.values()].map(({ keyId }) => keyId),
      })),
  },
];

type Made = ReturnType<typeof lastUsed> & Pick<Tracked, "kept">;

function tracked(
  answer: FaultyStore["answer"] | undefined,
  make: (store: FaultyStore, onError: (error: unknown, report: WriteReport) => void) => Made,
): Tracked {
  const store = faultyStore(answer);
  const told: Told[] = [];
  const { observer, ...rest } = make(store, (error, report) => told.push({ error, report }));
  toBeClosed({
    close() {
      store.answer = () => {};
      return rest.close();
    },
  });
  return { store, told, note: (keyId, at) => void observer(allowed(keyId, at)), ...rest };
}

/** A tracker whose writes are kept; `answer` may hold one up or let it fail. */
export function tracking(
  options: LastUsedOptions = {},
  answer: (write: number) => unknown = () => {},
): { usage: LastUsed; writes: Record<string, Date>[] } {
  const writes: Record<string, Date>[] = [];
  const store = {
    touch(uses: ReadonlyMap<string, Date>) {
      writes.push(Object.fromEntries(uses));
      return answer(writes.length) as Promise<void>;
    },
  };
  const usage: LastUsed = toBeClosed(lastUsed(store, { closeTimeout: "100ms", ...options }));
  return { usage, writes };
}
