import { setImmediate as turn } from "node:timers/promises";
import { type CachedStoreOptions, cachedStore, type InvalidationBus } from "../../../src/cache/index.js";
import type {
  AuditEntry,
  Awaitable,
  KeyChanges,
  KeyEvent,
  KeyHash,
  KeyRecord,
  KeyStore,
  ManagedKeyStore,
} from "../../../src/index.js";
import { sampleKey } from "../../../src/testing/fixtures.js";

let count = 0;

/** Creates a key with a new id and hash. */
export function keyOf(members: Partial<KeyRecord> = {}): KeyRecord {
  const now = new Date();
  return sampleKey({ scopes: ["vehicles:read"], createdAt: now, updatedAt: now, ...members });
}

export function auditOf({ id, ownerId }: Pick<KeyRecord, "id" | "ownerId">): AuditEntry {
  count += 1;
  const at = new Date();
  return { id: `audit_${count}`, at, action: "updated", keyId: id, ownerId, actor: null, details: {} };
}

/** Inserts a key into a store. */
export async function added(store: ManagedKeyStore, members: Partial<KeyRecord> = {}): Promise<KeyRecord> {
  const key = keyOf(members);
  await store.insert(key, auditOf(key));
  return key;
}

/** Revokes the current version of a key. */
export async function revoked(store: ManagedKeyStore, { id, ownerId }: KeyRecord): Promise<boolean> {
  const current = await store.findById(id);
  const change = { revokedAt: new Date() };
  return store.update(id, current?.version ?? 0, change, auditOf({ id, ownerId }));
}

/** Wraps a store to count the calls of each method. */
export function counted<S extends KeyStore>(store: S): { store: S; calls: Record<string, number> } {
  const calls: Record<string, number> = {};
  const entries = Object.entries(store).map(([name, method]) => [
    name,
    (...args: unknown[]) => {
      calls[name] = (calls[name] ?? 0) + 1;
      return (method as (...given: unknown[]) => unknown)(...args);
    },
  ]);
  return { store: Object.fromEntries(entries), calls };
}

/** A call that the test completes in two steps. */
export interface HeldCall {
  readonly method: string;
  /** Calls the wrapped store. The caller does not receive the result yet. */
  perform(): void;
  /** Returns the result to the caller. Performs the call first if necessary. */
  answer(): Promise<void>;
  fail(error: Error): Promise<void>;
}

/** Wraps a store so that its lookups and changes wait for the test. */
export function held(inner: ManagedKeyStore): { store: ManagedKeyStore; calls: HeldCall[] } {
  const calls: HeldCall[] = [];
  const hold = (method: string, work: () => unknown): Promise<never> =>
    new Promise((resolve, reject) => {
      let outcome: { readonly value: unknown } | undefined;
      const perform = () => {
        outcome ??= { value: work() };
      };
      calls.push({
        method,
        perform,
        async answer() {
          perform();
          resolve(outcome?.value as never);
          await settled();
        },
        async fail(error) {
          reject(error);
          await settled();
        },
      });
    });
  const store: ManagedKeyStore = {
    ...inner,
    findByHash: (hash) => hold("findByHash", () => inner.findByHash(hash)),
    insert: (...args) => hold("insert", () => inner.insert(...args)),
    update: (...args) => hold("update", () => inner.update(...args)),
    replace: (...args) => hold("replace", () => inner.replace(...args)),
  };
  return { store, calls };
}

/** Waits until all promises that can settle have settled. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 5; i++) await turn();
}

/** Awaits a lookup. `null` becomes `undefined`. */
export async function found(store: KeyStore, hash: KeyHash) {
  return (await (store.findByHash(hash) as Awaitable<KeyRecord | null | undefined>)) ?? undefined;
}

/** Whether a lookup is synchronous and therefore a cache hit. Only for caches without a bus. */
export function isCached(store: KeyStore, hash: KeyHash): boolean {
  const result = store.findByHash(hash) as { then?: unknown } | null | undefined;
  if (typeof result?.then !== "function") return true;
  (result as unknown as Promise<unknown>).catch(() => {});
  return false;
}

const lookupCounts = new WeakMap<KeyStore, () => number>();

/** Whether a lookup is a cache hit. Only for stores of {@link observed}. */
export async function isHit(store: KeyStore, hash: KeyHash): Promise<boolean> {
  const count = lookupCounts.get(store);
  if (count === undefined) throw new Error("the store was not created by observed()");
  const before = count();
  void found(store, hash).catch(() => {});
  await settled();
  return count() === before;
}

/** A bus within the process that a test can interrupt and record. */
export interface LocalBus extends InvalidationBus {
  readonly sent: string[];
  readonly subscribers: number;
  /** Handles a published message; delivers it to every subscriber by default. */
  onPublish: (message: string) => Awaitable<unknown>;
  publish(message: string): Promise<void>;
  deliver(message: string): void;
}

export function localBus(): LocalBus {
  const members = new Set<{ message: (text: string) => void }>();
  const bus: LocalBus = {
    sent: [],
    get subscribers() {
      return members.size;
    },
    onPublish: (message) => bus.deliver(message),
    async publish(message) {
      bus.sent.push(message);
      await bus.onPublish(message);
    },
    deliver(message) {
      for (const member of members) member.message(message);
    },
    async subscribe(message) {
      const member = { message };
      members.add(member);
      return async () => {
        members.delete(member);
      };
    },
  };
  return bus;
}

/** Adds a feed of changes to a store, for changes through any of its users. */
export function withFeed(inner: ManagedKeyStore): ManagedKeyStore & Required<Pick<KeyStore, "changes">> {
  const log: string[] = [];
  const record = async <T>(id: string, result: Awaitable<T>): Promise<T> => {
    const value = await result;
    log.push(id);
    return value;
  };
  return {
    ...inner,
    update: (id, ...rest) => record(id, inner.update(id, ...rest)),
    replace: (id, ...rest) => record(id, inner.replace(id, ...rest)),
    changes: (since: string | undefined): Awaitable<KeyChanges> => ({
      position: String(log.length),
      keyIds: since === undefined ? [] : log.slice(Number(since)),
    }),
  };
}

/** Creates a cached store and records its events. */
export function observed<S extends ManagedKeyStore>(inner: S, options: CachedStoreOptions = {}) {
  const events: KeyEvent[] = [];
  let count = 0;
  const findByHash = (hash: KeyHash) => {
    count += 1;
    return inner.findByHash(hash);
  };
  const observers = [(event: KeyEvent) => events.push(event)];
  const store = cachedStore({ ...inner, findByHash }, { ...options, observers });
  lookupCounts.set(store, () => count);
  return { store, events, types: () => events.map(({ type }) => type) };
}
