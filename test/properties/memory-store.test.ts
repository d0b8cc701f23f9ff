import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createAuditEntry } from "../../src/core/keys/audit-entry.js";
import { decodeCursor, encodeCursor } from "../../src/core/keys/cursor.js";
import { keyStatus } from "../../src/core/keys/record.js";
import {
  type AuditAction,
  type AuditEntry,
  hashSecret,
  type KeyChange,
  type KeyHash,
  type KeyRecord,
  type KeyStatus,
} from "../../src/index.js";
import { memoryStore } from "../../src/stores/memory.js";
import { runs } from "./runs.js";

// Compares the store with a model of plain Maps: the same operations must return the same results.

const NOW = new Date("2030-06-15T12:00:00.123Z");
const FAR_PAST = new Date("0001-01-01T00:00:00.000Z");
const FAR_FUTURE = new Date("9999-12-31T23:59:59.999Z");

// Each operation may increment a version, which must stay a safe integer.
const MAX_OPERATIONS = 60;

const digits = (number: number, length: number) => number.toString(16).padStart(length, "0");

const date = fc.oneof(
  fc.constantFrom(NOW, FAR_PAST, FAR_FUTURE, new Date(0), new Date(-1)),
  fc.integer({ min: -5, max: 5 }).map((ms) => new Date(NOW.getTime() + ms)),
  fc.integer({ min: -9_000, max: 9_000 }).map((days) => new Date(NOW.getTime() + days * 86_400_000)),
);
const nonEmpty = <T extends string>(texts: readonly T[]): readonly T[] => texts.filter((each) => each !== "");
const maybe = <T>(value: fc.Arbitrary<T>) => fc.oneof(fc.constant(null), value);
const text = fc.oneof(
  fc.constantFrom("", "a", "A", "__proto__", "constructor", "\ud800", "é", "😀", "0", "key_"),
  fc.string({ unit: "binary", maxLength: 8 }),
);

// Few ids of every form, so that operations meet on one key.
const IDS: readonly string[] = [
  `key_${digits(1, 32)}`,
  `key_${digits(2, 32)}`,
  `key_${"f".repeat(32)}`,
  `KEY_${digits(1, 32)}`,
  `key_${"F".repeat(32)}`,
  "f".repeat(32),
  "f".repeat(31),
  "key 1",
  "",
  "\ud800",
];
const HASHES = [
  hashSecret("one"),
  hashSecret("two"),
  hashSecret("three"),
  hashSecret("one", "a pepper of some length"),
  hashSecret("one").toUpperCase(),
  `v1:${hashSecret("one")}`,
  `${hashSecret("one")}0`,
  digits(1, 64),
  digits(2, 64),
  "not a hash",
  "",
] as readonly string[] as readonly KeyHash[];
const OWNERS = ["acme", "ACME", "globex", "created", "", "\ud800"];
const SCOPES = [[], ["a"], ["a", "b"], ["b", "a"], ["a,b"], ["\ud800", "__proto__", "1"]];
const ALLOWLISTS = [
  null,
  [],
  ["192.0.2.0/24"],
  ["192.0.2.0/24", "2001:db8::/32"],
  ["192.0.2.0/24,2001:db8::/32"],
];
const STATUSES: readonly KeyStatus[] = ["active", "disabled", "suspended", "expired", "revoked", "retiring"];
const ENVIRONMENTS = [null, "live", "test", ""];

const changeable = {
  name: maybe(text),
  ipAllowlist: fc.constantFrom(...ALLOWLISTS),
  rateLimit: maybe(fc.record({ limit: fc.nat(), windowSeconds: fc.nat() })),
  metadata: maybe(fc.dictionary(text, fc.jsonValue())),
  updatedAt: date,
  expiresAt: maybe(date),
  disabledAt: maybe(date),
  revokedAt: maybe(date),
  revokedReason: maybe(text),
  rotatedAt: maybe(date),
  replacedBy: maybe(fc.constantFrom(...IDS)),
  replaces: maybe(fc.constantFrom(...IDS)),
  disabledBy: maybe(fc.constantFrom("owner", "operator")),
};

const record: fc.Arbitrary<KeyRecord> = fc.record({
  ...changeable,
  // The store rejects a record that no verifier would accept.
  id: fc.constantFrom(...nonEmpty(IDS)),
  hash: fc.constantFrom(...nonEmpty(HASHES)),
  version: fc.oneof(
    fc.constant(1),
    fc.nat(300),
    fc.constantFrom(-1, 2 ** 32, Number.MAX_SAFE_INTEGER - MAX_OPERATIONS),
  ),
  ownerId: fc.constantFrom(...nonEmpty(OWNERS)),
  environment: maybe(fc.constantFrom("live", "test")),
  start: fc.oneof(text, fc.constantFrom("ezt_live_ab12", "ezt_live_é\0ÿ1", "\0\0\0\0", "x\0\0\0\0", "ab1ǁ")),
  scopes: fc.constantFrom(...SCOPES),
  createdAt: date,
  lastUsedAt: maybe(date),
  suspendedAt: maybe(date),
  rotationRoot: maybe(fc.constantFrom(...IDS)),
  createdBy: maybe(text),
  createdByKey: maybe(fc.constantFrom(...IDS)),
});

const change = fc.record(changeable, { requiredKeys: [] }) as fc.Arbitrary<KeyChange>;

const ACTIONS: readonly AuditAction[] = ["created", "updated", "used"];
const ACTORS = ["", "ada", "null"];
let entryCount = 0;
const entry: fc.Arbitrary<AuditEntry> = fc
  .record({
    action: fc.constantFrom(...ACTIONS),
    at: date,
    actor: maybe(fc.oneof(text, fc.constantFrom(...ACTORS))),
    keyId: fc.constantFrom(...IDS),
    ownerId: fc.constantFrom(...OWNERS),
    details: fc.oneof(
      fc.constant({}),
      fc.dictionary(text, fc.jsonValue()),
      // Values that a JSON round trip changes.
      fc.constantFrom({ at: NOW }, { none: undefined }, { of: new Map([["a", new Set([1])]]) }, { z: -0 }),
    ),
    form: fc.constantFrom("generated", "plain", "almost"),
  })
  .map(({ form, keyId, ownerId, action, at, actor, details }) => {
    const one = createAuditEntry(action, { id: keyId, ownerId }, at, actor, structuredClone(details));
    entryCount += 1;
    if (form === "generated") return one;
    return {
      ...one,
      id:
        form === "plain" ? `entry ${entryCount}` : `${one.id.slice(0, -1)}${entryCount % 2 ? "A" : "\ud800"}`,
    };
  });

type Operation =
  | { type: "insert"; record: KeyRecord; entry: AuditEntry }
  | { type: "update"; id: string; stale: boolean; change: KeyChange; entry: AuditEntry }
  | { type: "replace"; id: string; stale: boolean; change: KeyChange; record: KeyRecord; entry: AuditEntry }
  | { type: "remove"; id: string; stale: boolean; entry: AuditEntry }
  | { type: "rehash"; id: string; from: KeyHash; to: KeyHash; entry: AuditEntry }
  | { type: "touch"; uses: [string, Date][] }
  | { type: "append"; entries: AuditEntry[]; again: boolean }
  | { type: "lookup"; hash: KeyHash };

const id = fc.constantFrom(...IDS);
const hash = fc.constantFrom(...HASHES);
const stale = fc.integer({ min: 0, max: 4 }).map((number) => number === 0);

const operation = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant("insert"), record, entry }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("update"), id, stale, change, entry }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("replace"), id, stale, change, record, entry }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("remove"), id, stale, entry }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("rehash"), id, from: hash, to: hash, entry }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("touch"), uses: fc.array(fc.tuple(id, date)) }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant("append"), entries: fc.array(entry), again: fc.boolean() }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("lookup"), hash }) },
) as fc.Arbitrary<Operation>;

/** A model of the store. */
function modelStore() {
  const keys = new Map<string, KeyRecord>();
  const trail: AuditEntry[] = [];

  const ofHash = (wanted: KeyHash) => [...keys.values()].find((key) => key.hash === wanted);
  const isTaken = (key: KeyRecord) => keys.has(key.id) || ofHash(key.hash) !== undefined;
  const put = (key: KeyRecord) => keys.set(key.id, asStored(key));

  return {
    keys,
    trail,
    ofHash,
    run(given: Operation): unknown {
      const at = "id" in given ? keys.get(given.id) : undefined;
      if ("stale" in given && (at === undefined || given.stale)) return false;
      const next = (changed: KeyChange) => ({
        ...(at as KeyRecord),
        ...changed,
        version: (at as KeyRecord).version + 1,
      });
      switch (given.type) {
        case "insert": {
          const { createdByKey } = given.record;
          if (createdByKey !== null && keys.get(createdByKey)?.revokedAt !== null) return "state";
          if (isTaken(given.record)) return "conflict";
          put(given.record);
          trail.push(asJson(given.entry));
          return undefined;
        }
        case "update":
          put(next(given.change));
          trail.push(asJson(given.entry));
          return true;
        case "replace":
          if (isTaken(given.record)) return "conflict";
          put(next(given.change));
          put(given.record);
          trail.push(asJson(given.entry));
          return true;
        case "remove":
          keys.delete(given.id);
          trail.push(asJson(given.entry));
          return true;
        case "rehash":
          if (at?.hash !== given.from) return false;
          if (given.to !== given.from && ofHash(given.to) !== undefined) return "conflict";
          put({ ...at, hash: given.to });
          trail.push(asJson(given.entry));
          return true;
        case "touch":
          for (const [used, when] of new Map(given.uses)) {
            const key = keys.get(used);
            if (key && (key.lastUsedAt === null || key.lastUsedAt < when)) put({ ...key, lastUsedAt: when });
          }
          return undefined;
        case "append":
          for (const one of given.entries)
            if (!trail.some((other) => other.id === one.id)) trail.push(asJson(one));
          return undefined;
        case "lookup":
          return ofHash(given.hash);
      }
    },
  };
}

/** The store keeps objects as JSON, as a database does. */
const json = <T>(value: T): T => JSON.parse(JSON.stringify(value));
const asStored = (key: KeyRecord): KeyRecord => ({ ...key, metadata: json(key.metadata) });
const asJson = (entry: AuditEntry): AuditEntry => ({ ...entry, details: json(entry.details) });

type Store = Required<ReturnType<typeof memoryStore>>;

function run(store: Store, given: Operation, version: number): unknown {
  const ifVersion = "stale" in given && given.stale ? version - 1 : version;
  try {
    switch (given.type) {
      case "insert":
        return store.insert(given.record, given.entry);
      case "update":
        return store.update(given.id, ifVersion, given.change, given.entry);
      case "replace":
        return store.replace(given.id, ifVersion, given.change, given.record, given.entry);
      case "remove":
        return store.remove(given.id, ifVersion, given.entry);
      case "rehash":
        return store.rehash(given.id, given.from, given.to, given.entry);
      case "touch":
        return store.touch(new Map(given.uses));
      case "append":
        return store.appendAudit(given.entries);
      case "lookup":
        return store.findByHash(given.hash);
    }
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "KEYBEARER_KEY_CONFLICT") return "conflict";
    if (code === "KEYBEARER_KEY_STATE") return "state";
    throw error;
  }
}

const newestFirst = (a: { at: Date; id: string }, b: { at: Date; id: string }) =>
  b.at.getTime() - a.at.getTime() || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0);

function everyPage<T>(read: (page: { limit: number; cursor?: string }) => unknown, limit: number): T[] {
  const items: T[] = [];
  let cursor: string | undefined;
  do {
    const page = read(cursor === undefined ? { limit } : { limit, cursor }) as {
      items: T[];
      nextCursor?: string;
    };
    items.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return items;
}

function same(actual: unknown, expected: unknown): void {
  const plain = structuredClone(actual); // records of the store are of a class of its own
  // Faster than expect(), which reports the difference.
  if (!isDeepStrictEqual(plain, expected)) expect(plain).toStrictEqual(expected);
}

test("any sequence of operations returns what a model of the store returns", () => {
  fc.assert(
    fc.property(
      fc.array(operation, { maxLength: MAX_OPERATIONS }),
      fc.integer({ min: 1, max: 9 }),
      (operations, limit) => {
        const store = memoryStore() as Store;
        const model = modelStore();
        for (const given of operations) {
          const version = "id" in given ? (model.keys.get(given.id)?.version ?? 1) : 0;
          const expected = model.run(structuredClone(given));
          same(run(store, given, version), expected);
          // Twice, so that a cached record would be noticed.
          for (const one of HASHES) same(store.findByHash(one), model.ofHash(one));
          for (const one of HASHES) same(store.findByHash(one), model.ofHash(one));
          if (given.type === "append" && given.again) run(store, given, version);
        }
        for (const one of IDS) same(store.findById(one), model.keys.get(one));

        const keys = [...model.keys.values()].sort((a, b) =>
          newestFirst({ at: a.createdAt, id: a.id }, { at: b.createdAt, id: b.id }),
        );
        const listed = (query: object) =>
          everyPage<KeyRecord>((page) => store.list({ now: NOW, ...query, ...page }), limit);
        same(listed({}), keys);
        for (const ownerId of OWNERS)
          same(
            listed({ ownerId }),
            keys.filter((key) => key.ownerId === ownerId),
          );
        for (const createdByKey of IDS)
          same(
            listed({ createdByKey }),
            keys.filter((key) => key.createdByKey === createdByKey),
          );
        for (const environment of ENVIRONMENTS.filter((one) => one !== null))
          same(
            listed({ environment }),
            keys.filter((key) => key.environment === environment),
          );
        for (const status of STATUSES)
          same(
            listed({ status }),
            keys.filter((key) => keyStatus(key, NOW.getTime()) === status),
          );
        const isDead = ({ revokedAt, expiresAt }: KeyRecord) =>
          [revokedAt, expiresAt].some((when) => when !== null && when <= NOW);
        same(listed({ endedBefore: NOW }), keys.filter(isDead));

        const trail = [...model.trail].sort(newestFirst);
        const entries = (query: object) =>
          everyPage<AuditEntry>((page) => store.auditTrail({ ...query, ...page }), limit);
        same(entries({}), trail);
        for (const keyId of IDS)
          same(
            entries({ keyId }),
            trail.filter((one) => one.keyId === keyId),
          );
        for (const ownerId of OWNERS)
          same(
            entries({ ownerId }),
            trail.filter((one) => one.ownerId === ownerId),
          );
        for (const actor of ACTORS)
          same(
            entries({ actor }),
            trail.filter((one) => one.actor === actor),
          );
        const both = { keyId: IDS[0] as string, ownerId: "acme" };
        same(
          entries(both),
          trail.filter((one) => one.keyId === both.keyId && one.ownerId === both.ownerId),
        );
      },
    ),
    runs(400),
  );
});

test("a page continues after any cursor, even if no key is at that position", () => {
  const position = fc.tuple(date, fc.constantFrom(...IDS, "\uffff"));
  const free = record.map((key): KeyRecord => ({ ...key, createdByKey: null }));
  const keys = fc.uniqueArray(free, { selector: (key) => key.id, maxLength: IDS.length });
  fc.assert(
    fc.property(keys, position, (records, [at, after]) => {
      const store = memoryStore();
      const known = structuredClone(records).map((key, index) => ({
        ...asStored(key),
        hash: hashSecret(`key ${index}`),
      }));
      for (const key of known) store.insert(key, createAuditEntry("created", key, NOW, null));
      const cursor = encodeCursor({ at, id: after });
      const { items } = store.list({ now: NOW, limit: 100, cursor }) as { items: KeyRecord[] };
      const expected = known
        .filter((key) => newestFirst(decodeCursor(cursor), { at: key.createdAt, id: key.id }) < 0)
        .sort((a, b) => newestFirst({ at: a.createdAt, id: a.id }, { at: b.createdAt, id: b.id }));
      same(items, expected);
    }),
    runs(100),
  );
});
