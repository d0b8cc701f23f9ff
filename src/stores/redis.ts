import type { RedisScript } from "../internal/redis-client.js";
import { warnWithoutErrorListener } from "../internal/warn.js";
import {
  type AuditEntry,
  type AuditQuery,
  type KeyChange,
  type KeyChanges,
  type KeyHash,
  type KeyQuery,
  type KeyRecord,
  type ManagedKeyStore,
  type OwnerQuota,
  type Page,
  StoreError,
  unlimitedQuota,
} from "../kit.js";
import { createRecordDecoder, createRowParser, encodeKey } from "./json-codec.js";
import { encodeTime } from "./record-codec.js";
import { type IoRedisClient, type NodeRedisClient, redisCommands } from "./redis/client.js";
import { encodeNewPosition, escapeString, type RedisStoreOptions, readSettings } from "./redis/layout.js";
import { encodeQuota, encodeSuspension, explainLimit, RESUME, SUSPEND } from "./redis/owners.js";
import { type Batch, matchesQuery, readEntry, readPage } from "./redis/pages.js";
import {
  decodeAudit,
  decodeChanges,
  decodeInBatch,
  encodeAudit,
  encodeChange,
  isStreamId,
} from "./redis/records.js";
import {
  APPEND,
  CHANGES,
  FIND,
  INSERT,
  LIST,
  REHASH,
  REMOVE,
  REPLACE,
  TOUCH,
  TRAIL,
  UPDATE,
} from "./redis/scripts.js";

export type { IoRedisClient, NodeRedisClient } from "./redis/client.js";
export type { RedisStoreOptions } from "./redis/layout.js";

/** A store over Redis. It has every method of a store. */
export type RedisKeyStore = ManagedKeyStore &
  Required<
    Pick<
      ManagedKeyStore,
      "findManyByHash" | "rehash" | "remove" | "appendAudit" | "changes" | "suspendOwner" | "resumeOwner"
    >
  >;

// A script blocks the server while it runs; touching 250 keys takes about 3 ms.
const MAX_TOUCHES = 250;

/**
 * Creates a store that keeps keys in Redis 6 or later, or in Valkey, through a client of node-redis (`redis` 4 to 6:
 * `createClient`, `createClientPool`, `createCluster`, `createSentinel`) or ioredis (5 and 6: `Redis`, `Cluster`). It
 * needs no migration.
 *
 * A lookup is one `GET`, or part of one `MGET` with others that wait at the same time. A change is one script, which
 * Redis runs completely or rejects, for example because its memory is full; keys can still be revoked, disabled and
 * removed then. If a client reconnects and sends a change twice, it is applied once and both runs return the same result.
 *
 * - **Durability**: set `maxmemory-policy noeviction` and `appendonly yes`, or Redis may drop keys. With
 *   `appendfsync everysec` a crash can lose the changes of the last two seconds, with `always` none. Replication is
 *   asynchronous, so a failover can lose the last changes, including revocations; `min-replicas-to-write` makes that
 *   less likely.
 * - **Cluster**: all keys of a store share one slot, and so one node. To spread the load, use several stores with
 *   different prefixes. While the slot is migrated, lookups work, changes fail, and lists may fail.
 * - **Replicas and client-side caches** may return revoked keys, so a client that uses them is rejected. This cannot be
 *   detected for `createSentinel`; do not set `replicaPoolSize`.
 * - **Offline queue**: a disconnected client queues commands, and may send a change after the manager's `storeTimeout`
 *   has passed. Disable or limit the queue: `disableOfflineQueue` or `commandOptions.timeout` in node-redis;
 *   `enableOfflineQueue: false`, `maxRetriesPerRequest` or `commandTimeout` in ioredis. A change that fails because the
 *   connection broke or timed out may have been applied; read the key.
 * - **Errors**: a client without an `error` listener ends the process when its connection breaks; the process warning
 *   `KEYBEARER_NO_ERROR_LISTENER` is emitted for it.
 * - **Lists** are read in batches of at most 250 keys and filtered in the process. A page filtered by `environment`,
 *   `status` or `endedBefore` may read every key of the owner or of the store. Keys of the same millisecond are sorted by
 *   the bytes of their ids. Times before 1970 are rejected.
 *
 * Errors of the client become a `StoreError` that names their kind and contains nothing of the command.
 *
 * @throws TypeError if the client is not supported or an option is invalid.
 *
 * @example
 * const client = createClient({ url: "redis://127.0.0.1:6379" });
 * client.on("error", console.error);
 * await client.connect();
 * const store = redisStore(client);
 * const verifier = createVerifier({ store, scopes, format });
 */
export function redisStore(
  client: NodeRedisClient | IoRedisClient,
  options?: RedisStoreOptions,
): RedisKeyStore {
  const { get, mGet, run } = redisCommands("redisStore", client);
  warnWithoutErrorListener("redisStore", client);
  const { layout, deleteRevokedAfterMs } = readSettings("redisStore", options);
  const decodeKey = createRecordDecoder(createRowParser());

  /** Runs a script that makes a change and adds its audit entry. Returns whether the change was made. */
  const runChange = async (
    script: RedisScript,
    audit: AuditEntry,
    keys: readonly string[],
    args: readonly string[],
  ): Promise<boolean> => {
    const { position, body } = encodeAudit(audit);
    const trails = [layout.trail, layout.trailOfKey(audit.keyId), layout.trailOfOwner(audit.ownerId)];
    const declared = [layout.keys, ...trails, ...keys, layout.none];
    const result = await run(script, declared, [position, body, ...args]);
    const changed = ["0", "1"].indexOf(String(result)); // a client may return numbers as strings
    if (changed < 0) throw new StoreError("A script of the Redis store returned an unknown result");
    return changed === 1;
  };

  /** The expiry of a record, as the scripts take it. */
  const expiryOf = ({ revokedAt }: Pick<KeyChange, "revokedAt">): string => {
    if (revokedAt === undefined) return "";
    if (revokedAt === null) return "never";
    return deleteRevokedAfterMs === undefined ? "" : String(encodeTime(revokedAt) + deleteRevokedAfterMs);
  };

  const keysOf = ({ id, hash, ownerId }: KeyRecord): readonly string[] => [
    layout.id(id),
    layout.record(hash),
    layout.owner(ownerId),
  ];

  const argumentsOf = (record: KeyRecord): readonly string[] => [
    escapeString(record.hash),
    encodeKey(record),
    encodeNewPosition({ at: record.createdAt, id: record.id }),
    expiryOf(record),
  ];

  /** Suspends or resumes an owner. Its entry belongs to no key, and its change has an empty id. */
  const changeOwner = async (script: RedisScript, ownerId: string, audit: AuditEntry): Promise<boolean> =>
    runChange(script, audit, [layout.id(""), layout.owner(ownerId)], encodeSuspension(audit.at));

  const readBatch = async <T>(
    script: RedisScript,
    keys: readonly string[],
    args: readonly string[],
    decode: (text: string) => T,
  ): Promise<Batch<T>> => {
    const result = await run(script, [layout.keys, ...keys], args);
    if (!Array.isArray(result) || !result.every((text) => typeof text === "string")) {
      throw new StoreError("A script of the Redis store did not return an array of strings");
    }
    const [last, ...texts] = result as string[];
    return { entries: texts.map((text) => readEntry(text, decode)), next: last ? `(${last}` : undefined };
  };

  return Object.freeze({
    async findByHash(hash: KeyHash): Promise<KeyRecord | undefined> {
      const text = await get(layout.record(hash));
      return text === null ? undefined : decodeKey(text);
    },

    async findManyByHash(hashes: readonly KeyHash[]): Promise<readonly (KeyRecord | undefined)[]> {
      if (hashes.length === 0) return [];
      // MGET returns nil for a key of another type, so it counts as missing here.
      const texts = await mGet(hashes.map(layout.record));
      return texts.map((text) => (text === null ? undefined : decodeInBatch(decodeKey, text)));
    },

    async findById(id: string): Promise<KeyRecord | undefined> {
      const text = await run(FIND, [layout.keys, layout.id(id)], []);
      return text === null ? undefined : decodeKey(text);
    },

    list: (query: KeyQuery): Promise<Page<KeyRecord>> => {
      const { ownerId, createdByKey } = query;
      let positions = layout.keys;
      if (createdByKey !== undefined) positions = layout.madeBy(createdByKey);
      else if (ownerId !== undefined) positions = layout.owner(ownerId);
      const reader = {
        readBatch: (start: string, count: number) =>
          readBatch(LIST, [positions], [start, `${count}`], (text) =>
            decodeKey(text.slice(text.indexOf("\n"))),
          ),
        matches: (record: KeyRecord) => matchesQuery(record, query),
        selective: [query.environment, query.status, query.endedBefore, query.search].some(
          (filter) => filter !== undefined,
        ),
      };
      return readPage(reader, query.limit, query.cursor);
    },

    async insert(
      record: KeyRecord,
      audit: AuditEntry,
      quota: OwnerQuota = unlimitedQuota(record),
      claims?: readonly KeyHash[],
    ): Promise<void> {
      const claimed = claims === undefined ? [] : [record.hash, ...claims].map(escapeString);
      const args = [...argumentsOf(record), ...encodeQuota(quota), ...claimed];
      await runChange(INSERT, audit, keysOf(record), args).catch(explainLimit(quota));
    },

    async update(
      id: string,
      ifVersion: number,
      change: KeyChange,
      audit: AuditEntry,
      quota?: OwnerQuota,
    ): Promise<boolean> {
      const versions = [`${ifVersion}`, `${ifVersion + 1}`];
      const args = [...versions, expiryOf(change), ...encodeQuota(quota), ...encodeChange(change)];
      return runChange(UPDATE, audit, [layout.id(id)], args).catch(explainLimit(quota));
    },

    async replace(
      id: string,
      ifVersion: number,
      change: KeyChange,
      successor: KeyRecord,
      audit: AuditEntry,
      quota: OwnerQuota = unlimitedQuota(successor),
    ): Promise<boolean> {
      const versions = [`${ifVersion}`, `${ifVersion + 1}`];
      const added = [...argumentsOf(successor), ...encodeQuota(quota)];
      const args = [...versions, expiryOf(change), ...added, ...encodeChange(change)];
      const keys = [layout.id(id), ...keysOf(successor)];
      return runChange(REPLACE, audit, keys, args).catch(explainLimit(quota));
    },

    suspendOwner: (ownerId: string, audit: AuditEntry): Promise<boolean> =>
      changeOwner(SUSPEND, ownerId, audit),

    resumeOwner: (ownerId: string, audit: AuditEntry): Promise<boolean> =>
      changeOwner(RESUME, ownerId, audit),

    async touch(uses: ReadonlyMap<string, Date>): Promise<void> {
      const all = [...uses].map(([id, at]) => [layout.id(id), `${encodeTime(at)}`] as const);
      for (let start = 0; start < all.length; start += MAX_TOUCHES) {
        const chunk = all.slice(start, start + MAX_TOUCHES);
        const ids = chunk.map(([id]) => id);
        const times = chunk.map(([, time]) => time);
        await run(TOUCH, [layout.keys, ...ids], times);
      }
    },

    auditTrail: ({ keyId, ownerId, actor, limit, cursor }: AuditQuery): Promise<Page<AuditEntry>> => {
      let positions = layout.trail;
      if (keyId !== undefined) positions = layout.trailOfKey(keyId);
      else if (actor !== undefined) positions = layout.trailOfActor(actor);
      else if (ownerId !== undefined) positions = layout.trailOfOwner(ownerId);
      const reader = {
        readBatch: (start: string, count: number) =>
          readBatch(TRAIL, [layout.trail, positions], [start, `${count}`], decodeAudit),
        matches: (entry: AuditEntry) =>
          (ownerId === undefined || entry.ownerId === ownerId) &&
          (actor === undefined || entry.actor === actor),
        selective: [keyId, ownerId, actor].filter((filter) => filter !== undefined).length > 1,
      };
      return readPage(reader, limit, cursor);
    },

    async rehash(id: string, from: KeyHash, to: KeyHash, audit: AuditEntry): Promise<boolean> {
      const keys = [layout.id(id), layout.record(from), layout.record(to)];
      return runChange(REHASH, audit, keys, [escapeString(from), escapeString(to), JSON.stringify(to)]);
    },

    async remove(id: string, ifVersion: number, audit: AuditEntry): Promise<boolean> {
      return runChange(REMOVE, audit, [layout.id(id)], [`${ifVersion}`]);
    },

    async changes(since: string | undefined): Promise<KeyChanges> {
      const known = since === undefined || isStreamId(since) ? since : undefined;
      const changes = decodeChanges(await run(CHANGES, [layout.keys], [known ?? ""]));
      return known === since ? changes : { ...changes, keyIds: "all" };
    },

    async appendAudit(entries: readonly AuditEntry[]): Promise<void> {
      if (entries.length === 0) return;
      const encoded = entries.map(encodeAudit);
      const trails = entries.flatMap((entry) => [
        layout.trailOfKey(entry.keyId),
        layout.trailOfOwner(entry.ownerId),
      ]);
      await run(
        APPEND,
        [layout.keys, layout.trail, ...trails, layout.none],
        encoded.flatMap(({ position, body }) => [position, body]),
      );
    },
  });
}
