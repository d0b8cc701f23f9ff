import { randomUUID } from "node:crypto";
import { type Duration, milliseconds } from "./duration.js";
import { KeyConflictError, KeyInputError, KeyNotFoundError, KeyStateError } from "./errors.js";
import { checkObservers, emit, type Observer } from "./events.js";
import { createHashers, type Pepper } from "./hash.js";
import { type KeyFormat, startOf } from "./key-format.js";
import {
  readAllowlist,
  readExpiry,
  readId,
  readMetadata,
  readRateLimit,
  readScopes,
  readText,
} from "./key-input.js";
import { failed } from "./lookup.js";
import { checkFunction, checkMethods, checkOptions } from "./options.js";
import type { RateLimit } from "./rate-limit.js";
import {
  type ApiKey,
  isPresent,
  type KeyMetadata,
  type KeyRecord,
  type KeyStatus,
  keyStatus,
  toApiKey,
} from "./record.js";
import type { Scopes } from "./scopes.js";
import type { AuditAction, AuditEntry, Awaitable, KeyChange, ManagedKeyStore, Page } from "./store.js";

/** Options of {@link createKeyManager}. */
export interface KeyManagerOptions<S extends string = string> {
  readonly store: ManagedKeyStore;
  readonly scopes: Scopes<S>;
  /** How new secrets look. */
  readonly format: KeyFormat;
  /** The same as the verifier has. */
  readonly pepper?: Pepper;
  /** The longest that a key may live, counted from its creation. A key without an expiry gets this one. */
  readonly maxLifetime?: Duration;
  /** The time, for tests; the system's by default. */
  readonly clock?: () => Date;
  /** Told of every change, once it is committed. */
  readonly observers?: readonly Observer[];
}

/** What a new key is to be. */
export interface CreateKey<S extends string = string> {
  /** The company, user or project that the key belongs to: 1 to 255 characters. */
  readonly ownerId: string;
  /** For people: up to 255 characters. */
  readonly name?: string | null;
  /** What the key may do. Fixed for its life. */
  readonly scopes: readonly S[];
  /** One of the format's. May be left out when there is but one. */
  readonly environment?: string;
  /** Networks that may use the key; absent: all, empty: none. */
  readonly ipAllowlist?: readonly string[] | null;
  /** A Date, or RFC 3339 with an offset. */
  readonly expiresAt?: Date | string | null;
  /** JSON values: at most 100 members and 16 KiB. */
  readonly metadata?: KeyMetadata | null;
  readonly rateLimit?: RateLimit | null;
}

/** What may change in a key. Members that are absent stay; `null` takes away. */
export type UpdateKey = Partial<
  Pick<CreateKey, "name" | "ipAllowlist" | "expiresAt" | "metadata" | "rateLimit">
>;

/** A key with its secret: the only time that the secret is seen. */
export interface IssuedKey {
  readonly secret: string;
  readonly key: ApiKey;
}

/** Who did it, as the host names them; goes into the audit trail. */
export interface ActorOption {
  readonly actor?: string | undefined;
}

/** Which keys to list. */
export interface ListKeys {
  readonly ownerId?: string;
  readonly status?: KeyStatus;
  readonly environment?: string;
  /** The `nextCursor` of the page before. */
  readonly cursor?: string;
  /** 1 to 1000; 50 by default. */
  readonly limit?: number;
}

/** Which audit entries to list. */
export interface ListAudit {
  readonly keyId?: string;
  readonly ownerId?: string;
  /** The `nextCursor` of the page before. */
  readonly cursor?: string;
  /** 1 to 1000; 50 by default. */
  readonly limit?: number;
}

/** Issues and changes keys. Every method that takes an id throws a {@link KeyNotFoundError} when there is none. */
export interface KeyManager<S extends string = string> {
  /**
   * Issues a key.
   *
   * @throws KeyInputError that names the member at fault.
   *
   * @example
   * const { secret, key } = await manager.create({ ownerId: "acme", scopes: ["vehicles:read"] });
   */
  create(input: CreateKey<S>, actor?: string): Promise<IssuedKey>;
  /** The key, or `undefined`. */
  get(id: string): Promise<ApiKey | undefined>;
  /** A page of keys, newest first. */
  list(query?: ListKeys): Promise<Page<ApiKey>>;
  /**
   * Changes name, allowlist, expiry, metadata or rate limit.
   *
   * @throws KeyInputError that names the member at fault. @throws KeyStateError for a revoked key.
   * @throws TypeError for `scopes`: they are fixed at creation, so create a new key.
   */
  update(id: string, change: UpdateKey, options?: ActorOption): Promise<ApiKey>;
  /** Stops a key until it is enabled again. @throws KeyStateError for a revoked key. */
  disable(id: string, options?: ActorOption): Promise<ApiKey>;
  /** @throws KeyStateError for a revoked key. */
  enable(id: string, options?: ActorOption): Promise<ApiKey>;
  /** Stops a key for good. Of several revocations the first one counts. */
  revoke(id: string, options?: ActorOption & { readonly reason?: string }): Promise<ApiKey>;
  /**
   * Issues a successor with the same owner, scopes, allowlist, limits and expiry, and lets the old key work
   * for `overlap` more, but never longer than it would have. Without an overlap it stops at once. Of
   * concurrent rotations one wins.
   *
   * @throws KeyStateError for a key that is revoked, expired or already rotated.
   *
   * @example
   * const { secret, key } = await manager.rotate(id, { overlap: "24h" });
   */
  rotate(id: string, options?: ActorOption & { readonly overlap?: Duration }): Promise<IssuedKey>;
  /** A page of what happened to keys, newest first. */
  auditTrail(query?: ListAudit): Promise<Page<AuditEntry>>;
}

const OPTIONS = ["store", "scopes", "format", "pepper", "maxLifetime", "clock", "observers"];
const CREATE = [
  "ownerId",
  "name",
  "scopes",
  "environment",
  "ipAllowlist",
  "expiresAt",
  "metadata",
  "rateLimit",
];
const UPDATE = ["name", "ipAllowlist", "expiresAt", "metadata", "rateLimit"];
const STORE = ["findByHash", "findById", "list", "insert", "update", "replace", "touch", "auditTrail"];
const STATUSES: readonly KeyStatus[] = ["active", "disabled", "expired", "revoked", "retiring"];
// Each round has a winner, so this many changes of one key can be under way at once.
const MOST_ATTEMPTS = 100;
const MOST_IN_A_PAGE = 1_000;

/**
 * Makes the manager of a service's keys.
 *
 * @throws TypeError for options that are unknown, missing or cannot work, naming the option.
 *
 * @example
 * const manager = createKeyManager({ store, scopes, format, maxLifetime: "365d" });
 */
export function createKeyManager<S extends string>(options: KeyManagerOptions<S>): KeyManager<S> {
  const where = "createKeyManager";
  checkOptions(where, options, OPTIONS);
  const { store, scopes, format, clock, observers = [] } = options;
  checkMethods(where, "store", store, STORE);
  checkMethods(where, "scopes", scopes, ["isGrantable", "get"]);
  checkMethods(where, "format", format, ["parse", "generate"]);
  checkFunction(where, "clock", clock);
  checkObservers(where, observers);
  const [hash] = createHashers(options.pepper);
  const longest =
    options.maxLifetime === undefined
      ? undefined
      : milliseconds(`${where}: "maxLifetime"`, options.maxLifetime);

  const now = (): Date => {
    const date = clock === undefined ? new Date() : new Date(clock());
    if (Number.isNaN(date.getTime())) throw new TypeError(`${where}: "clock" answered no date`);
    return date;
  };

  const latestExpiry = (createdAt: Date): Date | null =>
    longest === undefined ? null : new Date(createdAt.getTime() + longest);

  const boundExpiry = (expiresAt: Date | null, createdAt: Date): Date | null => {
    const latest = latestExpiry(createdAt);
    if (latest === null || expiresAt === null) return expiresAt ?? latest;
    if (expiresAt > latest)
      throw new KeyInputError("expiresAt", `must be within ${options.maxLifetime} of creation`);
    return expiresAt;
  };

  const issue = (
    members: Omit<
      KeyRecord,
      "id" | "hash" | "version" | "start" | "createdAt" | "updatedAt" | keyof typeof UNUSED
    >,
    at: Date,
  ): { secret: string; record: KeyRecord } => {
    const secret = format.generate?.(members.environment ?? undefined) as string;
    const record = {
      ...UNUSED,
      ...members,
      id: `key_${randomUUID().replaceAll("-", "")}`,
      hash: hash(secret),
      version: 1,
      start: startOf(format, secret),
      createdAt: at,
      updatedAt: at,
    };
    return { secret, record };
  };

  const audited = (
    action: AuditAction,
    key: KeyRecord,
    at: Date,
    actor: string | undefined,
    details: AuditEntry["details"] = {},
  ): AuditEntry => ({
    id: randomUUID(),
    at,
    action,
    keyId: key.id,
    ownerId: key.ownerId,
    actor: actor === undefined ? null : readId("actor", actor),
    details: Object.freeze(details),
  });

  const announce = ({ action, at, keyId, ownerId, actor, details }: AuditEntry): void =>
    emit(observers, {
      type: `key.${action}`,
      at,
      keyId,
      ownerId,
      actor,
      details,
    });

  const find = async (id: string): Promise<KeyRecord> => {
    const record = typeof id === "string" ? await asked(() => store.findById(id)) : undefined;
    if (!isPresent(record)) throw new KeyNotFoundError();
    return record;
  };

  /** Reads a key, decides, and writes if nobody else did meanwhile; else begins anew. */
  const change = async (
    id: string,
    decide: (record: KeyRecord, at: Date) => { change: KeyChange; audit: AuditEntry } | undefined,
  ): Promise<ApiKey> => {
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      const record = await find(id);
      const at = now();
      const decision = decide(record, at);
      if (decision === undefined) return toApiKey(record, at.getTime());
      const changed = { updatedAt: at, ...decision.change };
      if (await asked(() => store.update(id, record.version, changed, decision.audit))) {
        announce(decision.audit);
        return toApiKey({ ...record, ...changed }, at.getTime());
      }
    }
    throw new KeyConflictError("The key was changed by others each time; read it and try again");
  };

  return Object.freeze({
    async create(input: CreateKey<S>, actor?: string): Promise<IssuedKey> {
      checkOptions("create", input, CREATE);
      const at = now();
      const { secret, record } = issue(
        {
          ownerId: readId("ownerId", input.ownerId),
          name: readText("name", input.name),
          scopes: readScopes("scopes", input.scopes, scopes),
          environment: readEnvironment(input.environment, format),
          ipAllowlist: readAllowlist("ipAllowlist", input.ipAllowlist),
          expiresAt: boundExpiry(readExpiry("expiresAt", input.expiresAt, at), at),
          metadata: readMetadata("metadata", input.metadata),
          rateLimit: readRateLimit("rateLimit", input.rateLimit),
          replaces: null,
          disabledAt: null,
        },
        at,
      );
      const audit = audited("created", record, at, actor, {
        scopes: record.scopes,
      });
      await asked(() => store.insert(record, audit));
      announce(audit);
      return { secret, key: toApiKey(record, at.getTime()) };
    },

    async get(id: string): Promise<ApiKey | undefined> {
      const record = typeof id === "string" ? await asked(() => store.findById(id)) : undefined;
      return record ? toApiKey(record, now().getTime()) : undefined;
    },

    async list(query: ListKeys = {}): Promise<Page<ApiKey>> {
      checkOptions("list", query, ["ownerId", "status", "environment", "cursor", "limit"]);
      const { status } = query;
      const limit = readLimit(query.limit);
      if (status !== undefined && !STATUSES.includes(status)) {
        throw new KeyInputError("status", `must be one of ${STATUSES.join(", ")}`);
      }
      const at = now();
      const page = await asked(() => store.list({ ...query, limit, now: at }));
      const items = page.items.map((record) => toApiKey(record, at.getTime()));
      return page.nextCursor === undefined ? { items } : { items, nextCursor: page.nextCursor };
    },

    async auditTrail(query: ListAudit = {}): Promise<Page<AuditEntry>> {
      checkOptions("auditTrail", query, ["keyId", "ownerId", "cursor", "limit"]);
      return asked(() => store.auditTrail({ ...query, limit: readLimit(query.limit) }));
    },

    async update(id: string, input: UpdateKey, { actor }: ActorOption = {}): Promise<ApiKey> {
      if (typeof input === "object" && input !== null && "scopes" in input) {
        throw new TypeError(
          "update: the scopes of a key are fixed at creation; create a new key with other scopes",
        );
      }
      checkOptions("update", input, UPDATE);
      return change(id, (record, at) => {
        if (isPresent(record.revokedAt)) throw new KeyStateError("A revoked key cannot be changed");
        const changed: {
          -readonly [Member in keyof KeyChange]: KeyChange[Member];
        } = {};
        if (input.name !== undefined) changed.name = readText("name", input.name);
        if (input.ipAllowlist !== undefined)
          changed.ipAllowlist = readAllowlist("ipAllowlist", input.ipAllowlist);
        if (input.metadata !== undefined) changed.metadata = readMetadata("metadata", input.metadata);
        if (input.rateLimit !== undefined) changed.rateLimit = readRateLimit("rateLimit", input.rateLimit);
        if (input.expiresAt !== undefined) {
          if (isPresent(record.rotatedAt)) {
            throw new KeyStateError(
              "The expiry of a rotated key is the end of its overlap; change its successor",
            );
          }
          changed.expiresAt = boundExpiry(readExpiry("expiresAt", input.expiresAt, at), record.createdAt);
        }
        const members = Object.keys(changed);
        if (members.length === 0) return undefined;
        return {
          change: changed,
          audit: audited("updated", record, at, actor, { members }),
        };
      });
    },

    disable: (id: string, { actor }: ActorOption = {}): Promise<ApiKey> =>
      change(id, (record, at) => {
        if (isPresent(record.revokedAt)) throw new KeyStateError("A revoked key cannot be disabled");
        if (isPresent(record.disabledAt)) return undefined;
        return {
          change: { disabledAt: at },
          audit: audited("disabled", record, at, actor),
        };
      }),

    enable: (id: string, { actor }: ActorOption = {}): Promise<ApiKey> =>
      change(id, (record, at) => {
        if (isPresent(record.revokedAt)) throw new KeyStateError("A revoked key cannot be enabled");
        if (!isPresent(record.disabledAt)) return undefined;
        return {
          change: { disabledAt: null },
          audit: audited("enabled", record, at, actor),
        };
      }),

    revoke: (
      id: string,
      { actor, reason }: ActorOption & { readonly reason?: string } = {},
    ): Promise<ApiKey> =>
      change(id, (record, at) => {
        const revokedReason = readText("reason", reason);
        if (isPresent(record.revokedAt)) return undefined;
        return {
          change: { revokedAt: at, revokedReason },
          audit: audited("revoked", record, at, actor, {
            reason: revokedReason,
          }),
        };
      }),

    async rotate(
      id: string,
      { actor, overlap = "0s" }: ActorOption & { readonly overlap?: Duration } = {},
    ): Promise<IssuedKey> {
      const overlapMs = milliseconds("rotate: overlap", overlap);
      for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
        const old = await find(id);
        const at = now();
        const status = keyStatus(old, at.getTime());
        if (isPresent(old.rotatedAt))
          throw new KeyStateError("The key is already rotated; rotate its successor");
        if (status === "revoked" || isPast(old.expiresAt, at)) {
          throw new KeyStateError(
            `A key that is ${status === "revoked" ? status : "expired"} cannot be rotated`,
          );
        }
        const { secret, record } = issue(
          {
            ...inherited(old),
            expiresAt: earliest(old.expiresAt, latestExpiry(at)),
            replaces: old.id,
          },
          at,
        );
        const end = earliest(old.expiresAt, new Date(at.getTime() + overlapMs)) as Date;
        const changed = {
          updatedAt: at,
          rotatedAt: at,
          replacedBy: record.id,
          expiresAt: end,
        };
        const audit = audited("rotated", old, at, actor, {
          replacedBy: record.id,
          expiresAt: end.toISOString(),
        });
        if (await asked(() => store.replace(old.id, old.version, changed, record, audit))) {
          announce(audit);
          return { secret, key: toApiKey(record, at.getTime()) };
        }
      }
      throw new KeyConflictError("The key was changed by others each time; read it and try again");
    },
  });
}

/** What no key has when it is new. */
const UNUSED = {
  lastUsedAt: null,
  revokedAt: null,
  revokedReason: null,
  rotatedAt: null,
  replacedBy: null,
} as const;

/** What a successor inherits as it is. */
function inherited({
  ownerId,
  name,
  scopes,
  environment,
  ipAllowlist,
  metadata,
  rateLimit,
  disabledAt,
}: KeyRecord) {
  return {
    ownerId,
    name,
    scopes,
    environment,
    ipAllowlist,
    metadata,
    rateLimit,
    disabledAt,
  };
}

function earliest(a: Date | null, b: Date | null): Date | null {
  if (a === null || b === null) return a ?? b;
  return a < b ? a : b;
}

function isPast(date: Date | null, now: Date): boolean {
  return isPresent(date) && !(now.getTime() < date.getTime());
}

function readLimit(limit: unknown = 50): number {
  if (!Number.isInteger(limit) || (limit as number) < 1 || (limit as number) > MOST_IN_A_PAGE) {
    throw new KeyInputError("limit", `must be a whole number from 1 to ${MOST_IN_A_PAGE}`);
  }
  return limit as number;
}

function readEnvironment(value: unknown, { environments }: KeyFormat): string | null {
  if (environments === undefined) {
    if (value === undefined || value === null) return null;
    return readId("environment", value);
  }
  if (value === undefined && environments.length === 1) return environments[0] as string;
  if (typeof value !== "string" || !environments.includes(value)) {
    throw new KeyInputError("environment", `must be one of ${environments.join(", ")}`);
  }
  return value;
}

/** Asks the store; what a driver throws becomes a StoreError, so that nobody prints its parameters. */
async function asked<T>(question: () => Awaitable<T>): Promise<T> {
  try {
    return await question();
  } catch (error) {
    throw error instanceof KeyInputError ? error : failed(error);
  }
}
