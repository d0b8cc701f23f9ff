import { setImmediate as turn } from "node:timers/promises";
import { type CachedStoreOptions, cachedStore, type InvalidationBus } from "../../../src/cache/index.js";
import {
  type AuditEntry,
  type Awaitable,
  hashSecret,
  type KeyEvent,
  type KeyHash,
  type KeyRecord,
  type KeyStore,
  type ManagedKeyStore,
} from "../../../src/index.js";

let count = 0;

/** A key with an id and a hash of its own. */
export function keyOf(members: Partial<KeyRecord> = {}): KeyRecord {
  count += 1;
  return {
    id: `key_${count}`,
    hash: hashSecret(`cached ${count}`),
    version: 1,
    ownerId: "acme",
    environment: null,
    start: "ezt_live_ab12",
    name: null,
    scopes: ["vehicles:read"],
    ipAllowlist: null,
    rateLimit: null,
    metadata: null,
    createdAt: new Date(),
    updatedAt: new Date(),
    expiresAt: null,
    lastUsedAt: null,
    disabledAt: null,
    revokedAt: null,
    revokedReason: null,
    rotatedAt: null,
    replacedBy: null,
    replaces: null,
    ...members,
  };
}

export function auditOf({ id, ownerId }: Pick<KeyRecord, "id" | "ownerId">): AuditEntry {
  count += 1;
  const at = new Date();
  return { id: `audit_${count}`, at, action: "updated", keyId: id, ownerId, actor: null, details: {} };
}

/** Stores a key, past any cache. */
export async function added(store: ManagedKeyStore, members: Partial<KeyRecord> = {}): Promise<KeyRecord> {
  const key = keyOf(members);
  await store.insert(key, auditOf(key));
  return key;
}

/** Revokes a key in the version that it has. */
export async function revoked(store: ManagedKeyStore, { id, ownerId }: KeyRecord): Promise<boolean> {
  const current = await store.findById(id);
  const change = { revokedAt: new Date() };
  return store.update(id, current?.version ?? 0, change, auditOf({ id, ownerId }));
}

/** A store that counts how often each of its methods is called. */
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

/** A call that waits for the test to let it go on. */
export interface HeldCall {
  readonly method: string;
  /** Lets the store behind do it; nobody is told of the outcome yet. */
  perform(): void;
  /** Tells the outcome, and lets all that follows from it happen. */
  answer(): Promise<void>;
  fail(error: Error): Promise<void>;
}

/** A store of which lookups and changes wait for the test, everything else does not. */
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

/** Lets promises that can settle do so. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 5; i++) await turn();
}

/** What a lookup answers, whether at once or not. */
export async function found(store: KeyStore, hash: KeyHash) {
  return (await (store.findByHash(hash) as Awaitable<KeyRecord | null | undefined>)) ?? undefined;
}

/** Whether a lookup is answered at once, and so from memory; for caches without a bus. */
export function isKnown(store: KeyStore, hash: KeyHash): boolean {
  const answer = store.findByHash(hash) as { then?: unknown } | null | undefined;
  if (typeof answer?.then !== "function") return true;
  (answer as unknown as Promise<unknown>).catch(() => {});
  return false;
}

const asked = new WeakMap<KeyStore, () => number>();

/** Whether a lookup is answered without the store being asked; for the stores that `observed` makes. */
export async function knows(store: KeyStore, hash: KeyHash): Promise<boolean> {
  const count = asked.get(store);
  if (count === undefined) throw new Error("this store is not observed");
  const before = count();
  void found(store, hash).catch(() => {});
  await settled();
  return count() === before;
}

/** A bus within the process, that a test can cut, hold up and listen to. */
export interface LocalBus extends InvalidationBus {
  readonly sent: string[];
  readonly subscribers: number;
  /** What the bus does with a message; by default it brings it to everybody. */
  onPublish: (message: string) => Awaitable<unknown>;
  deliver(message: string): void;
  setState(up: boolean): void;
}

export function localBus({ up = true } = {}): LocalBus {
  const members = new Set<{ message: (text: string) => void; state: (up: boolean) => void }>();
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
    setState(state) {
      up = state;
      for (const member of members) member.state(state);
    },
    async subscribe(message, state) {
      const member = { message, state };
      members.add(member);
      if (up) state(true);
      return async () => {
        members.delete(member);
      };
    },
  };
  return bus;
}

/** A cached store, and what its observers are told. */
export function observed<S extends ManagedKeyStore>(inner: S, options: CachedStoreOptions = {}) {
  const events: KeyEvent[] = [];
  let count = 0;
  const findByHash = (hash: KeyHash) => {
    count += 1;
    return inner.findByHash(hash);
  };
  const observers = [(event: KeyEvent) => events.push(event)];
  const store = cachedStore({ ...inner, findByHash }, { ...options, observers });
  asked.set(store, () => count);
  return { store, events, types: () => events.map(({ type }) => type) };
}
