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

/** A promise that never settles. */
export const never = (): Promise<void> => new Promise(() => {});

export function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** Advances fake timers. */
export const advance = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

/** `key_0`, `key_1` and so on. */
export function names(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, i) => `key_${from + i}`);
}

/** Returns the reason of a rejected promise, and advances fake timers until it settles. */
export async function outcome(promise: Promise<unknown>, maxMs: number): Promise<unknown> {
  let settled = false;
  const result = rejection(promise).finally(() => {
    settled = true;
  });
  for (let ms = 0; ms < maxMs && !settled; ms += 10) await vi.advanceTimersByTimeAsync(10);
  return settled ? result : "still pending";
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

/** The reports of dropped values. */
export const drops = ({ reports }: Tracked): Report[] =>
  reports.filter(({ error }) => error instanceof DroppedError);

interface Closable {
  close(): Promise<void>;
}

const open: Closable[] = [];

/** Closes an observer after the test. */
export function closeAfterEach<T extends Closable>(one: T): T {
  open.push(one);
  return one;
}

/** Closes the observers of each test, and fails tests with unhandled rejections. */
export function cleanUpAfterEach(): void {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => unhandled.push(reason);
  beforeEach(() => {
    unhandled.length = 0;
    process.on("unhandledRejection", note);
  });
  afterEach(async () => {
    vi.useRealTimers();
    await Promise.allSettled(open.splice(0).map((one) => one.close()));
    await sleep(2);
    process.off("unhandledRejection", note);
    expect(unhandled).toEqual([]);
  });
}

export interface Report {
  readonly error: unknown;
  readonly report: WriteReport;
}

/** A store that keeps what is written, unless `respond` throws, rejects or hangs. */
export interface FaultyStore {
  /** The keys of each call, in order: the ids of `touch`, the keys of the entries of `appendAudit`. */
  readonly calls: string[][];
  readonly usedAt: Map<string, Date>;
  readonly entries: Map<string, AuditEntry>;
  /** Called for each call, with its number from 1 and its keys. */
  respond: (call: number, keys: readonly string[]) => unknown;
  /** Whether a failing call has written nevertheless, because only its response was lost. */
  losesResponses: boolean;
  touch(uses: ReadonlyMap<string, Date>): Promise<void>;
  appendAudit(entries: readonly AuditEntry[]): Promise<void>;
}

export function faultyStore(respond: FaultyStore["respond"] = () => {}): FaultyStore {
  const call = (keys: string[], write: () => void): Promise<void> => {
    store.calls.push(keys);
    if (store.losesResponses) write();
    const result = store.respond(store.calls.length, keys);
    if (result instanceof Promise) return result.then(write);
    write();
    return result as Promise<void>;
  };
  const store: FaultyStore = {
    calls: [],
    usedAt: new Map(),
    entries: new Map(),
    respond,
    losesResponses: false,
    touch: (uses) =>
      call([...uses.keys()], () => {
        for (const [id, at] of uses) {
          if (Number.isNaN(at.getTime())) throw new Error("invalid date");
          if (!((store.usedAt.get(id) ?? 0) >= at)) store.usedAt.set(id, at);
        }
      }),
    appendAudit: (entries) =>
      call(
        entries.map(({ keyId }) => keyId),
        () => {
          for (const entry of entries) if (!store.entries.has(entry.id)) store.entries.set(entry.id, entry);
        },
      ),
  };
  return store;
}

/** One of the observers over a faulty store. */
export interface Tracked {
  readonly store: FaultyStore;
  readonly reports: Report[];
  /** Emits an allowed request of this key. */
  note(keyId: string, at?: Date): void;
  /** The keys that the store has. */
  stored(): string[];
  flush(): Promise<void>;
  close(): Promise<void>;
}

export interface Kind {
  readonly name: "lastUsed" | "auditLog";
  /** How long the first value of a batch waits. */
  readonly delayMs: number;
  /** The maximum size of a batch. */
  readonly batchSize: number;
  make(options?: LastUsedOptions & AuditLogOptions, respond?: FaultyStore["respond"]): Tracked;
}

export const KINDS: readonly Kind[] = [
  {
    name: "lastUsed",
    delayMs: 1_000,
    batchSize: 10_000,
    make: (options, respond) =>
      tracked(respond, (store, onError) => ({
        ...lastUsed(store, { onError, ...options }),
        stored: () => [...store.usedAt.keys()],
      })),
  },
  {
    name: "auditLog",
    delayMs: 1_000,
    batchSize: 500,
    make: (options, respond) =>
      tracked(respond, (store, onError) => ({
        ...auditLog(store, { onError, ...options }),
        stored: () => [...store.entries.values()].map(({ keyId }) => keyId),
      })),
  },
];

type Made = ReturnType<typeof lastUsed> & Pick<Tracked, "stored">;

function tracked(
  respond: FaultyStore["respond"] | undefined,
  make: (store: FaultyStore, onError: (error: unknown, report: WriteReport) => void) => Made,
): Tracked {
  const store = faultyStore(respond);
  const reports: Report[] = [];
  const { observer, ...rest } = make(store, (error, report) => reports.push({ error, report }));
  closeAfterEach({
    close() {
      store.respond = () => {};
      return rest.close();
    },
  });
  return { store, reports, note: (keyId, at) => void observer(allowed(keyId, at)), ...rest };
}

/** A `lastUsed` whose writes are recorded; `respond` may delay or reject one. */
export function tracking(
  options: LastUsedOptions = {},
  respond: (write: number) => unknown = () => {},
): { usage: LastUsed; writes: Record<string, Date>[] } {
  const writes: Record<string, Date>[] = [];
  const store = {
    touch(uses: ReadonlyMap<string, Date>) {
      writes.push(Object.fromEntries(uses));
      return respond(writes.length) as Promise<void>;
    },
  };
  const usage: LastUsed = closeAfterEach(lastUsed(store, { closeTimeout: "100ms", ...options }));
  return { usage, writes };
}
