import { randomUUID } from "node:crypto";
import { createAuditEntry } from "./audit.js";
import { DURATION_FORM, milliseconds } from "./duration.js";
import { KeyConflictError, KeyInputError, KeyNotFoundError, KeyStateError, StoreError } from "./errors.js";
import { checkObservers, emit, type LifecycleAction, lifecycleEvent } from "./events.js";
import { createHashers } from "./hash.js";
import { startOf } from "./key-format.js";
import {
  checkFilter,
  checkInput,
  readAllowlist,
  readDuration,
  readEnvironment,
  readExpiry,
  readId,
  readLimit,
  readMetadata,
  readOptions,
  readRateLimit,
  readScopes,
  readText,
} from "./key-input.js";
import { failed } from "./lookup.js";
import type { KeyManager, KeyManagerOptions } from "./manager-api.js";
import { checkFunction, checkMethods, checkOptions, refuseUndefined } from "./options.js";
import {
  type ApiKey,
  isExpired,
  isPresent,
  isReadableRecord,
  type KeyRecord,
  type KeyStatus,
  keyStatus,
  toApiKey,
} from "./record.js";
import type { AuditEntry, Awaitable, KeyChange } from "./store.js";

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
const CONFLICT = "The key was changed by others each time; read it and try again";

/**
 * Makes the manager of a service's keys.
 *
 * @throws TypeError for options that are unknown, missing or cannot work, naming the option.
 *
 * @example
 * const manager = createKeyManager({ store, scopes, format, maxLifetime: "365d" });
 */
export function createKeyManager<S extends string>(given: KeyManagerOptions<S>): KeyManager<S> {
  const where = "createKeyManager";
  const options = checkOptions(where, given, OPTIONS);
  refuseUndefined(where, options, "pepper");
  const { store, scopes, format, clock, observers = [] } = options;
  checkMethods(where, "store", store, STORE);
  checkMethods(where, "scopes", scopes, ["isGrantable", "get"]);
  checkMethods(where, "format", format, ["parse", "generate"]);
  checkFunction(where, "clock", clock);
  checkObservers(where, observers);
  const [hash] = createHashers(options.pepper);
  const longest = milliseconds(options.maxLifetime);
  if (options.maxLifetime !== undefined && !longest) {
    throw new TypeError(`${where}: "maxLifetime" ${DURATION_FORM}, and not 0`);
  }

  const now = (): Date => {
    const date = clock === undefined ? new Date() : new Date(clock());
    if (Number.isNaN(date.getTime())) throw new TypeError(`${where}: "clock" answered no date`);
    return date;
  };

  const latestExpiry = (createdAt: Date): Date | null =>
    longest === undefined ? null : new Date(createdAt.getTime() + longest);

  const boundExpiry = (expiresAt: Date | null, createdAt: Date, at: Date): Date | null => {
    const latest = latestExpiry(createdAt);
    if (latest === null) return expiresAt;
    const bounded = expiresAt ?? latest;
    if (bounded <= latest && bounded > at) return bounded;
    throw new KeyInputError("expiresAt", `must be within ${options.maxLifetime} of creation`);
  };

  const issue = (
    members: Omit<
      KeyRecord,
      "id" | "hash" | "version" | "start" | "createdAt" | "updatedAt" | keyof typeof UNUSED
    >,
    at: Date,
  ): { secret: string; record: KeyRecord } => {
    const secret = format.generate?.(format.environments && (members.environment ?? undefined)) as string;
    if (!format.parse(secret)) throw new TypeError(`${where}: "format" does not recognise what it generates`);
    const record = {
      ...members,
      ...UNUSED,
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
    action: LifecycleAction,
    key: KeyRecord,
    at: Date,
    actor: string | undefined,
    details: AuditEntry["details"] = {},
  ): AuditEntry =>
    createAuditEntry(action, key, at, actor === undefined ? null : readId("actor", actor), details);

  const announce = (entry: AuditEntry): void => emit(observers, lifecycleEvent(entry));

  const find = async (id: string): Promise<KeyRecord> => {
    const record = typeof id === "string" ? await asked(() => store.findById(id)) : undefined;
    if (!isPresent(record)) throw new KeyNotFoundError();
    if (
      !isReadableRecord(record) ||
      !Number.isSafeInteger(record.version) ||
      !(record.createdAt instanceof Date)
    ) {
      throw new StoreError("The key store answered something that is not a key record");
    }
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
      if (await written(() => store.update(id, record.version, changed, decision.audit))) {
        announce(decision.audit);
        return toApiKey({ ...record, ...changed }, at.getTime());
      }
    }
    throw new KeyConflictError(CONFLICT);
  };

  const manager: KeyManager<S> = {
    async create(input, by) {
      checkInput("create", input, CREATE);
      const { actor } = typeof by === "object" ? readOptions("create", by) : { actor: by };
      const at = now();
      const { secret, record } = issue(
        {
          ownerId: readId("ownerId", input.ownerId),
          name: readText("name", input.name),
          scopes: readScopes("scopes", input.scopes, scopes),
          environment: readEnvironment(input.environment, format),
          ipAllowlist: readAllowlist("ipAllowlist", input.ipAllowlist),
          expiresAt: boundExpiry(readExpiry("expiresAt", input.expiresAt, at), at, at),
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

    async get(id) {
      const record = typeof id === "string" ? await asked(() => store.findById(id)) : undefined;
      return record ? toApiKey(record, now().getTime()) : undefined;
    },

    async list(query = {}) {
      checkFilter("list", query, ["ownerId", "status", "environment", "cursor", "limit"]);
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

    async auditTrail(query = {}) {
      checkFilter("auditTrail", query, ["keyId", "ownerId", "cursor", "limit"]);
      return asked(() => store.auditTrail({ ...query, limit: readLimit(query.limit) }));
    },

    async update(id, input, options = {}) {
      const { actor } = readOptions("update", options);
      if (typeof input === "object" && input !== null && "scopes" in input) {
        throw new KeyInputError(
          "scopes",
          "of a key are fixed at creation; create a new key with other scopes",
        );
      }
      checkInput("update", input, UPDATE);
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
          changed.expiresAt = boundExpiry(readExpiry("expiresAt", input.expiresAt, at), record.createdAt, at);
        }
        const members = Object.keys(changed);
        if (members.length === 0) return undefined;
        return {
          change: changed,
          audit: audited("updated", record, at, actor, { members }),
        };
      });
    },

    async disable(id, options = {}) {
      const { actor } = readOptions("disable", options);
      return change(id, (record, at) => {
        if (isPresent(record.revokedAt)) throw new KeyStateError("A revoked key cannot be disabled");
        if (isPresent(record.disabledAt)) return undefined;
        return {
          change: { disabledAt: at },
          audit: audited("disabled", record, at, actor),
        };
      });
    },

    async enable(id, options = {}) {
      const { actor } = readOptions("enable", options);
      return change(id, (record, at) => {
        if (isPresent(record.revokedAt)) throw new KeyStateError("A revoked key cannot be enabled");
        if (!isPresent(record.disabledAt)) return undefined;
        return {
          change: { disabledAt: null },
          audit: audited("enabled", record, at, actor),
        };
      });
    },

    async revoke(id, options = {}) {
      const { actor, reason } = readOptions("revoke", options, "reason");
      const revokedReason = readText("reason", reason);
      return change(id, (record, at) => {
        if (isPresent(record.revokedAt)) return undefined;
        return {
          change: { revokedAt: at, revokedReason },
          audit: audited("revoked", record, at, actor, { reason: revokedReason }),
        };
      });
    },

    async rotate(id, options = {}) {
      const { actor, overlap = "0s" } = readOptions("rotate", options, "overlap");
      const overlapMs = readDuration("overlap", overlap);
      for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
        const old = await find(id);
        const at = now();
        const status = keyStatus(old, at.getTime());
        if (isPresent(old.rotatedAt))
          throw new KeyStateError("The key is already rotated; rotate its successor");
        if (status === "revoked" || isExpired(old, at.getTime())) {
          throw new KeyStateError(
            `A key that is ${status === "revoked" ? status : "expired"} cannot be rotated`,
          );
        }
        const { secret, record } = issue(
          { ...old, expiresAt: earliest(old.expiresAt, latestExpiry(at)), replaces: old.id },
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
        if (await written(() => store.replace(old.id, old.version, changed, record, audit))) {
          announce(audit);
          return { secret, key: toApiKey(record, at.getTime()) };
        }
      }
      throw new KeyConflictError(CONFLICT);
    },
  };
  return Object.freeze(manager);
}

/** What no key has when it is new, a successor neither. */
const UNUSED = {
  lastUsedAt: null,
  revokedAt: null,
  revokedReason: null,
  rotatedAt: null,
  replacedBy: null,
} as const;

function earliest(a: Date | null, b: Date | null): Date | null {
  if (a === null || b === null) return a ?? b;
  return a < b ? a : b;
}

/** Asks the store to write. Only `true` says that it did: a driver's own result would pass for it. */
async function written(question: () => Awaitable<boolean>): Promise<boolean> {
  const answer: unknown = await asked(question);
  if (typeof answer === "boolean") return answer;
  throw new StoreError(
    "The key store did not say whether it wrote; update() and replace() answer true or false",
  );
}

/** Asks the store; what a driver throws becomes a StoreError, so that nobody prints its parameters. */
async function asked<T>(question: () => Awaitable<T>): Promise<T> {
  try {
    return await question();
  } catch (error) {
    throw error instanceof KeyInputError ? error : failed(error);
  }
}
