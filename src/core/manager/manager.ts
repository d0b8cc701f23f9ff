import { quoteAscii } from "../../internal/redact.js";
import { describe } from "../../internal/validate.js";
import { KeyInputError, KeyStateError, StoreError } from "../errors.js";
import type { KeyFormat } from "../keys/format.js";
import { isExpired, isPresent, type KeyRecord, type KeyStatus, keyStatus, toApiKey } from "../keys/record.js";
import type { KeyChange } from "../keys/store.js";
import type { ActorOption, CheckOption, KeyManager, KeyManagerOptions } from "./api.js";
import { importKey } from "./import.js";
import {
  checkFilter,
  checkInput,
  readAllowlist,
  readEnvironment,
  readExpiry,
  readId,
  readInputDuration,
  readLimit,
  readMetadata,
  readOptions,
  readRateLimit,
  readScopes,
  readText,
} from "./input.js";
import { prepareManager } from "./options.js";
import { purgeKeys } from "./purge.js";
import { asked, askedPage, createRepository, isChangeable, written } from "./repository.js";

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
const STATUSES: readonly KeyStatus[] = ["active", "disabled", "expired", "revoked", "retiring"];
/**
 * Makes the manager of a service's keys.
 *
 * @throws TypeError for options that are unknown, missing or cannot work, naming the option.
 *
 * @example
 * const manager = createKeyManager({ store, scopes, format, maxLifetime: "365d" });
 */
export function createKeyManager<S extends string>(given: KeyManagerOptions<S>): KeyManager<S> {
  const prepared = prepareManager(given);
  const { store, scopes, format, now, latestExpiry, boundExpiry, issue } = prepared;
  const ledger = createRepository(prepared);
  const { entry, announce, change, retry } = ledger;

  const manager: KeyManager<S> = {
    scopes,
    environments: format.environments,

    async create(input, by) {
      checkInput("create", input, CREATE);
      const actor = readActor("create", by);
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
      const audit = entry("created", record, at, actor, {
        scopes: record.scopes,
      });
      await asked(() => store.insert(record, audit));
      announce(audit);
      return { secret, key: toApiKey(record, at.getTime()) };
    },

    async get(id) {
      const record = await ledger.read(id);
      return record && toApiKey(record, now().getTime());
    },

    async list(query = {}) {
      checkFilter("list", query, ["ownerId", "status", "environment", "cursor", "limit"]);
      const { status } = query;
      const limit = readLimit(query.limit);
      if (status !== undefined && !STATUSES.includes(status)) {
        throw new KeyInputError("status", `must be one of ${STATUSES.join(", ")}`);
      }
      const at = now();
      const wanted = chosen(query, "ownerId", "environment");
      const page = await askedPage(() => store.list({ ...query, limit, now: at }), query.cursor, wanted);
      const odd = page.items.find((item): boolean => !isChangeable(item));
      if (odd !== undefined) {
        const whose = typeof odd.id === "string" ? `: ${quoteAscii(odd.id)}` : "";
        throw new StoreError(`The key store answered something that is not a key record${whose}`);
      }
      return { ...page, items: page.items.map((record) => toApiKey(record, at.getTime())) };
    },

    async auditTrail(query = {}) {
      checkFilter("auditTrail", query, ["keyId", "ownerId", "cursor", "limit"]);
      const limit = readLimit(query.limit);
      const wanted = chosen(query, "keyId", "ownerId");
      return askedPage(() => store.auditTrail({ ...query, limit }), query.cursor, wanted);
    },

    async update(id, input, options = {}) {
      const { actor, check } = readChecked("update", options);
      if (typeof input === "object" && input !== null && "scopes" in input) {
        throw new KeyInputError(
          "scopes",
          "of a key are fixed at creation; create a new key with other scopes",
        );
      }
      checkInput("update", input, UPDATE);
      return change(id, check, (record, at) => {
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
          audit: entry("updated", record, at, actor, { members }),
        };
      });
    },

    async disable(id, options = {}) {
      const { actor, check } = readChecked("disable", options);
      return change(id, check, (record, at) => {
        if (isPresent(record.revokedAt)) throw new KeyStateError("A revoked key cannot be disabled");
        if (isPresent(record.disabledAt)) return undefined;
        return {
          change: { disabledAt: at },
          audit: entry("disabled", record, at, actor),
        };
      });
    },

    async enable(id, options = {}) {
      const { actor, check } = readChecked("enable", options);
      return change(id, check, (record, at) => {
        if (isPresent(record.revokedAt)) throw new KeyStateError("A revoked key cannot be enabled");
        if (!isPresent(record.disabledAt)) return undefined;
        return {
          change: { disabledAt: null },
          audit: entry("enabled", record, at, actor),
        };
      });
    },

    async revoke(id, options = {}) {
      const { actor, check, reason } = readChecked("revoke", options, "reason");
      const revokedReason = readText("reason", reason);
      return change(id, check, (record, at) => {
        if (isPresent(record.revokedAt)) return undefined;
        return {
          change: { revokedAt: at, revokedReason },
          audit: entry("revoked", record, at, actor, { reason: revokedReason }),
        };
      });
    },

    async rotate(id, options = {}) {
      const { actor, check, overlap = "0s" } = readChecked("rotate", options, "overlap", "environment");
      const overlapMs = readInputDuration("overlap", overlap);
      return retry(id, check, async (old, at) => {
        const status = keyStatus(old, at.getTime());
        if (isPresent(old.rotatedAt))
          throw new KeyStateError("The key is already rotated; rotate its successor");
        if (status === "revoked" || isExpired(old, at.getTime())) {
          throw new KeyStateError(
            `A key that is ${status === "revoked" ? status : "expired"} cannot be rotated`,
          );
        }
        const { secret, record } = issue(
          {
            ...old,
            environment: successorEnvironment(old, options.environment, format),
            expiresAt: earliest(old.expiresAt, latestExpiry(at)),
            replaces: old.id,
          },
          at,
        );
        const end = earliest(old.expiresAt, new Date(at.getTime() + overlapMs)) as Date;
        const changed = { updatedAt: at, rotatedAt: at, replacedBy: record.id, expiresAt: end };
        const audit = entry("rotated", old, at, actor, {
          replacedBy: record.id,
          expiresAt: end.toISOString(),
        });
        if (!(await written(() => store.replace(old.id, old.version, changed, record, audit))))
          return undefined;
        announce(audit);
        return { secret, key: toApiKey(record, at.getTime()) };
      });
    },

    async import(input, by) {
      return importKey(prepared, ledger, input, readActor("import", by));
    },

    purge: async (options) => purgeKeys(prepared, ledger, options),
  };
  return Object.freeze(manager);
}

/** The members of a query that every item of its answer has too. */
function chosen<T extends object>(
  query: T,
  ...names: readonly (keyof T & string)[]
): Record<string, unknown> {
  return Object.fromEntries(
    names.filter((name) => query[name] !== undefined).map((name) => [name, query[name]]),
  );
}

/** The actor of a method that takes it alone or in its options. */
function readActor(where: string, by: string | ActorOption | undefined): string | undefined {
  return typeof by === "object" ? readOptions(where, by).actor : by;
}

/** A check that came out empty would let everything pass. */
function readChecked<T extends CheckOption>(where: string, options: T, ...more: string[]): T {
  readOptions(where, options, "check", ...more);
  if (Object.hasOwn(options, "check") && typeof options.check !== "function") {
    throw new TypeError(`${where}: "check" must be a function, got ${describe(options.check)}`);
  }
  return options;
}

/** That of the key; one that has none, because it was imported, gets one of the format's. */
function successorEnvironment(
  { environment }: KeyRecord,
  asked: string | undefined,
  format: KeyFormat,
): string | null {
  if (!isPresent(environment)) return readEnvironment(asked, format);
  if (asked === undefined || asked === environment) return environment;
  throw new KeyInputError("environment", "of a key is fixed at creation; create a new key for another");
}

function earliest(a: Date | null, b: Date | null): Date | null {
  if (a === null || b === null) return a ?? b;
  return a < b ? a : b;
}
