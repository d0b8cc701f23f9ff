import {
  type AuditEntry,
  type AuditQuery,
  type KeyChange,
  type KeyHash,
  type KeyQuery,
  type KeyRecord,
  type ManagedKeyStore,
  type Page,
  StoreError,
} from "../kit.js";
import { connect, type IoRedisClient, type NodeRedisClient, type Script } from "./redis/client.js";
import { nameOf, placeToWrite, type RedisStoreOptions, readSettings, writeTime } from "./redis/layout.js";
import { isAskedFor, type Part, readPage } from "./redis/pages.js";
import { createKeyReader, readAudit, writeAudit, writeChange, writeKey } from "./redis/rows.js";
import {
  APPEND,
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

/** A store over Redis: it has every method that a store may have. */
export type RedisKeyStore = ManagedKeyStore &
  Required<Pick<ManagedKeyStore, "findManyByHash" | "rehash" | "remove" | "appendAudit">>;

// A script holds up everybody else while it runs; one that touches so many keys takes some 3 ms.
const MAX_TOUCHES = 250;

/**
 * Keeps keys in Redis 6 or later, or in Valkey, through a client that the host opened: of node-redis (`redis` 4
 * to 6: `createClient`, `createClientPool`, `createCluster`, `createSentinel`) or of ioredis (5 and 6: `Redis`,
 * `Cluster`). There is nothing to migrate.
 *
 * A lookup is one `GET`, or part of one `MGET` with those that arrive together. Each change is one script. Redis
 * runs it whole or refuses it whole, as it does when its memory is full; removals work then, too. A change whose
 * answer got lost, and which the client sends again by itself, is made once and answered as what it was.
 *
 * **The server.** A store of keys is no cache: set `maxmemory-policy noeviction` and `appendonly yes`, or keys
 * vanish. With `appendfsync everysec` a crash can take the changes of the last two seconds with it, with `always`
 * none. Redis answers before its replicas have a change, so a failover can undo the last ones, and revocations
 * among them; `min-replicas-to-write` makes that rarer, nothing rules it out.
 *
 * **In a cluster** all keys of one store lie in one slot, and so on one node: a script cannot reach further. The
 * load of one store does not spread; several stores do, each with a `prefix` of its own. While that slot moves
 * to another node, lookups work, and changes and lists may fail.
 *
 * **The client** must read where it writes. One that reads from replicas, or has a cache of its own, would let
 * revoked keys in, and is refused; only that of `createSentinel` does not show it, so leave `replicaPoolSize` out.
 * While it is not connected, a client keeps commands back, for ever or as long as it is told to. Verifiers and
 * managers wait no longer than their `storeTimeoutMs`, but a change that a manager has given up may be sent later, so
 * let the client wait for less: by `disableOfflineQueue` or `commandOptions.timeout` of node-redis; by
 * `enableOfflineQueue: false`, `maxRetriesPerRequest` or `commandTimeout` of ioredis. When a change fails because the
 * connection broke or took too long, it may have been made all the same: read the key.
 *
 * **Lists** are read in parts of at most 250 keys and filtered here. A page by `environment`, `status` or
 * `deadBefore` may read every key of the owner, or of the store. Among keys of one millisecond, the bytes of their
 * ids decide. Keys and audit entries of times before 1970 are refused.
 *
 * @throws TypeError for a client of another kind, an unknown option or one that cannot be used. What the client
 * fails with comes as a `StoreError`, which names its kind, and nothing that the command had in it.
 *
 * @example
 * const client = await createClient({ url: "redis://127.0.0.1:6379" }).connect();
 * const store = redisStore(client);
 * const verifier = createVerifier({ store, scopes, format });
 */
export function redisStore(
  client: NodeRedisClient | IoRedisClient,
  options?: RedisStoreOptions,
): RedisKeyStore {
  const { get, getMany, run } = connect("redisStore", client);
  const { layout, forgetAfter } = readSettings("redisStore", options);
  const readKey = createKeyReader();

  /** Runs a script that makes a change and notes it. Answers whether it did. */
  const change = async (
    script: Script,
    audit: AuditEntry,
    keys: readonly string[],
    args: readonly string[],
  ): Promise<boolean> => {
    const { place, body } = writeAudit(audit);
    const trails = [layout.trail, layout.trailOfKey(audit.keyId), layout.trailOfOwner(audit.ownerId)];
    const answer = await run(script, [layout.keys, ...trails, ...keys], [place, body, ...args]);
    const made = ["0", "1"].indexOf(String(answer)); // a client may have its numbers come as texts
    if (made < 0) throw new StoreError("Redis did not say whether it wrote");
    return made === 1;
  };

  /** When the record ends, in the words of the scripts. */
  const endOf = ({ revokedAt }: Pick<KeyChange, "revokedAt">): string => {
    if (revokedAt === undefined) return "";
    if (revokedAt === null) return "never";
    return forgetAfter === undefined ? "" : String(writeTime(revokedAt) + forgetAfter);
  };

  const namesOf = ({ id, hash, ownerId }: KeyRecord): readonly string[] => [
    layout.id(id),
    layout.record(hash),
    layout.owner(ownerId),
  ];

  const valuesOf = (record: KeyRecord): readonly string[] => [
    nameOf(record.hash),
    writeKey(record),
    placeToWrite(record.createdAt, record.id),
    endOf(record),
  ];

  const readPart = async <T>(
    script: Script,
    keys: readonly string[],
    args: readonly string[],
    read: (text: string) => T,
  ): Promise<Part<T>> => {
    const answer = await run(script, [layout.keys, ...keys], args);
    if (!Array.isArray(answer) || !answer.every((text) => typeof text === "string"))
      throw new StoreError("Redis answered something that is not a list of texts");
    const [last, ...texts] = answer as string[];
    return { items: texts.map(read), next: last ? `(${last}` : undefined };
  };

  return Object.freeze({
    async findByHash(hash: KeyHash): Promise<KeyRecord | undefined> {
      const text = await get(layout.record(hash));
      return text === null ? undefined : readKey(text);
    },

    async findManyByHash(hashes: readonly KeyHash[]): Promise<readonly (KeyRecord | undefined)[]> {
      if (hashes.length === 0) return [];
      // What is no text counts as missing here; Redis does not tell.
      const texts = await getMany(hashes.map(layout.record));
      return texts.map((text) => (text === null ? undefined : readOrPoison(readKey, text)));
    },

    async findById(id: string): Promise<KeyRecord | undefined> {
      const text = await run(FIND, [layout.keys, layout.id(id)], []);
      return text === null ? undefined : readKey(text);
    },

    list: (query: KeyQuery): Promise<Page<KeyRecord>> => {
      const places = query.ownerId === undefined ? layout.keys : layout.owner(query.ownerId);
      const listing = {
        readPart: (from: string, count: number) => readPart(LIST, [places], [from, `${count}`], readKey),
        accepts: (record: KeyRecord) => isAskedFor(record, query),
        rare: [query.environment, query.status, query.endedBefore].some((filter) => filter !== undefined),
        placeOf: ({ createdAt, id }: KeyRecord) => ({ at: createdAt, id }),
      };
      return readPage(listing, query.limit, query.cursor);
    },

    async insert(record: KeyRecord, audit: AuditEntry): Promise<void> {
      await change(INSERT, audit, namesOf(record), valuesOf(record));
    },

    async update(id: string, ifVersion: number, changed: KeyChange, audit: AuditEntry): Promise<boolean> {
      const versions = [`${ifVersion}`, `${ifVersion + 1}`];
      return change(UPDATE, audit, [layout.id(id)], [...versions, endOf(changed), ...writeChange(changed)]);
    },

    async replace(
      id: string,
      ifVersion: number,
      changed: KeyChange,
      successor: KeyRecord,
      audit: AuditEntry,
    ): Promise<boolean> {
      const versions = [`${ifVersion}`, `${ifVersion + 1}`];
      return change(
        REPLACE,
        audit,
        [layout.id(id), ...namesOf(successor)],
        [...versions, endOf(changed), ...valuesOf(successor), ...writeChange(changed)],
      );
    },

    async touch(uses: ReadonlyMap<string, Date>): Promise<void> {
      const all = [...uses].map(([id, at]) => [layout.id(id), `${writeTime(at)}`] as const);
      for (let start = 0; start < all.length; start += MAX_TOUCHES) {
        const part = all.slice(start, start + MAX_TOUCHES);
        await run(
          TOUCH,
          [layout.keys, ...part.map(([key]) => key)],
          part.map(([, time]) => time),
        );
      }
    },

    auditTrail: ({ keyId, ownerId, limit, cursor }: AuditQuery): Promise<Page<AuditEntry>> => {
      const places =
        keyId !== undefined
          ? layout.trailOfKey(keyId)
          : ownerId !== undefined
            ? layout.trailOfOwner(ownerId)
            : layout.trail;
      const listing = {
        readPart: (from: string, count: number) =>
          readPart(TRAIL, [layout.trail, places], [from, `${count}`], readAudit),
        accepts: (entry: AuditEntry) => ownerId === undefined || entry.ownerId === ownerId,
        rare: false,
        placeOf: (entry: AuditEntry) => entry,
      };
      return readPage(listing, limit, cursor);
    },

    async rehash(id: string, from: KeyHash, to: KeyHash, audit: AuditEntry): Promise<boolean> {
      return change(
        REHASH,
        audit,
        [layout.id(id), layout.record(from), layout.record(to)],
        [nameOf(from), nameOf(to), JSON.stringify(to)],
      );
    },

    async remove(id: string, ifVersion: number, audit: AuditEntry): Promise<boolean> {
      return change(REMOVE, audit, [layout.id(id)], [`${ifVersion}`]);
    },

    async appendAudit(entries: readonly AuditEntry[]): Promise<void> {
      if (entries.length === 0) return;
      const written = entries.map(writeAudit);
      const trails = entries.flatMap((entry) => [
        layout.trailOfKey(entry.keyId),
        layout.trailOfOwner(entry.ownerId),
      ]);
      await run(
        APPEND,
        [layout.keys, layout.trail, ...trails],
        written.flatMap(({ place, body }) => [place, body]),
      );
    },
  });
}

/** A record that is damaged must fail who asked for it, not everybody whose lookup travelled with it. */
function readOrPoison(readKey: (text: unknown) => KeyRecord, text: unknown): KeyRecord {
  try {
    return readKey(text);
  } catch (error) {
    const fail = (): never => {
      throw error;
    };
    return new Proxy({} as KeyRecord, { get: fail });
  }
}
