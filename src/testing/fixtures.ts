import assert from "node:assert/strict";
import type { Awaitable } from "../internal/awaitable.js";
import {
  type AuditEntry,
  type AuditQuery,
  hashSecret,
  type KeyChange,
  type KeyQuery,
  type KeyRecord,
  type ManagedKeyStore,
  type Page,
} from "../kit.js";

/** The capabilities of the tested store, with defaults applied. */
export interface Setting {
  readonly concurrency: number;
  readonly latest: Date;
  readonly sharedLookups: boolean;
}

/** A rule of the contract. `check` throws if a store, which is empty at first, breaks it. */
export interface Rule {
  readonly name: string;
  check(store: ManagedKeyStore, setting: Setting): Promise<void>;
}

/** The time of the samples, with milliseconds. */
export const NOON: Date = new Date("2030-06-15T12:00:00.123Z");

/** Returns {@link NOON} plus some milliseconds. */
export function at(milliseconds: number): Date {
  return new Date(NOON.getTime() + milliseconds);
}

let count = 0;

/** Returns a key with a new id and hash. Members that may be null are null, unless given. */
export function sampleKey(members: Partial<KeyRecord> = {}): KeyRecord {
  count += 1;
  return {
    id: `key_${String(count).padStart(8, "0")}`,
    hash: hashSecret(`sample ${count}`),
    version: 1,
    ownerId: "acme",
    environment: null,
    start: "ezt_live_ab12",
    name: null,
    scopes: [],
    ipAllowlist: null,
    rateLimit: null,
    metadata: null,
    createdAt: at(0),
    updatedAt: at(0),
    expiresAt: null,
    lastUsedAt: null,
    disabledAt: null,
    disabledBy: null,
    revokedAt: null,
    revokedReason: null,
    rotatedAt: null,
    replacedBy: null,
    replaces: null,
    rotationRoot: null,
    createdBy: null,
    createdByKey: null,
    ...members,
  };
}

/** Returns a key with a value in every member but `createdByKey`, for which that key has to exist, and a different value in each date. */
export function fullKey(members: Partial<KeyRecord> = {}): KeyRecord {
  return sampleKey({
    version: 7,
    environment: "live",
    name: "Fleet dashboard",
    scopes: ["vehicles:read", "reports:read"],
    ipAllowlist: ["192.0.2.0/24", "2001:db8::/32"],
    rateLimit: { limit: 600, windowSeconds: 60 },
    metadata: {
      plan: "pro",
      seats: 12,
      ratio: 0.25,
      trial: false,
      none: null,
      tags: ["a", { deep: [1, []] }],
    },
    createdAt: at(1),
    updatedAt: at(2),
    expiresAt: at(3),
    lastUsedAt: at(4),
    disabledAt: at(5),
    disabledBy: "owner",
    revokedAt: at(6),
    revokedReason: "left the company",
    rotatedAt: at(7),
    replacedBy: "key_successor",
    replaces: "key_predecessor",
    rotationRoot: "key_root",
    createdBy: "jwt:ada",
    ...members,
  });
}

/** Returns an audit entry with a new id. */
export function sampleAudit(
  key: Pick<KeyRecord, "id" | "ownerId">,
  members: Partial<AuditEntry> = {},
): AuditEntry {
  count += 1;
  return {
    id: `audit_${String(count).padStart(8, "0")}`,
    at: at(0),
    action: "updated",
    keyId: key.id,
    ownerId: key.ownerId,
    actor: null,
    details: {},
    ...members,
  };
}

/** Inserts a key and returns it. */
export async function addKey(store: ManagedKeyStore, key: KeyRecord = sampleKey()): Promise<KeyRecord> {
  await store.insert(key, sampleAudit(key, { action: "created" }));
  return key;
}

/** Updates a key, with a new audit entry. */
export async function changeKey(
  store: ManagedKeyStore,
  key: KeyRecord,
  ifVersion: number,
  change: KeyChange,
): Promise<boolean> {
  return store.update(key.id, ifVersion, change, sampleAudit(key));
}

/** Returns the stored key, which must exist. */
export async function readKey(store: ManagedKeyStore, { id }: Pick<KeyRecord, "id">): Promise<KeyRecord> {
  const record = await store.findById(id);
  assert.ok(record, "the key is missing");
  return record;
}

/** Lists the keys of a query, page by page. */
export function everyKey(
  store: ManagedKeyStore,
  query: Partial<KeyQuery> = {},
  between?: () => Promise<unknown>,
): Promise<KeyRecord[]> {
  return everyItem((page) => store.list({ now: NOON, ...page, ...query }), query.limit, between);
}

/** Lists the audit entries of a query, page by page. */
export function everyEntry(
  store: ManagedKeyStore,
  query: Partial<AuditQuery> = {},
  between?: () => Promise<unknown>,
): Promise<AuditEntry[]> {
  return everyItem((page) => store.auditTrail({ ...page, ...query }), query.limit, between);
}

async function everyItem<T>(
  read: (page: { limit: number; cursor?: string }) => Awaitable<Page<T>>,
  limit = 100,
  between?: () => Promise<unknown>,
): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | undefined;
  do {
    const page = await read(cursor === undefined ? { limit } : { limit, cursor });
    assert.ok(page.items.length <= limit, "a page has more items than its limit");
    assert.ok(page.nextCursor == null || page.items.length > 0, "an empty page has a cursor");
    assert.deepEqual(page.damaged ?? [], [], "a page reports damaged items, although all are intact");
    assert.ok(items.length < 100_000, "the pages do not end");
    items.push(...page.items);
    cursor = page.nextCursor ?? undefined;
    if (cursor !== undefined) await between?.();
  } while (cursor !== undefined);
  return items;
}

/** Asserts that the store throws or rejects; returns the error. */
export async function assertRejects(call: () => Awaitable<unknown>): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  assert.fail("the store did not throw");
}

/** Asserts that a call fails with a KeyConflictError. */
export async function assertConflict(call: () => Awaitable<unknown>): Promise<void> {
  const error = (await assertRejects(call)) as { code?: unknown } | null | undefined;
  assert.equal(
    error?.code,
    "KEYBEARER_KEY_CONFLICT",
    `the store must throw a KeyConflictError, not: ${error}`,
  );
}

/** Compares members but not prototypes: a store may return rows of a class. */
export function assertSame(actual: unknown, expected: unknown): void {
  assert.deepStrictEqual(plain(actual), plain(expected));
}

/** Asserts that pages contained every item, and no item twice. */
export function assertAllOnce(seen: readonly string[], items: readonly string[]): void {
  assert.equal(new Set(seen).size, seen.length, "pages repeat an item");
  const missing = items.filter((id) => !seen.includes(id));
  assert.deepEqual(missing, [], "pages skip items");
}

export function ids(items: readonly { readonly id: string }[]): string[] {
  return items.map(({ id }) => id);
}

/** Waits for this number of turns of the event loop. */
export async function settle(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}

function plain(value: unknown): unknown {
  if (value instanceof Date) return new Date(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plain(member)]));
}
