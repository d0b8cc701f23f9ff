import { checkMethods } from "../../internal/validate.js";
import { KeyInputError, KeyStateError } from "../errors.js";
import { isPresent, KEY_STATUSES, type KeyRecord, toApiKey } from "../keys/record.js";
import type { KeyChange } from "../keys/store.js";
import type { KeyManager, UpdateKey } from "./api.js";
import { readExpiry } from "./dates.js";
import { identifyKeys } from "./identify.js";
import { importKey } from "./import.js";
import {
  checkFilters,
  checkMembers,
  readActor,
  readActorOrOptions,
  readAllowlist,
  readCaller,
  readCreator,
  readEnvironment,
  readId,
  readLabel,
  readLimit,
  readParty,
  readRateLimit,
  readScopes,
} from "./input.js";
import { issueRecord } from "./issue.js";
import { reportLeak } from "./leak.js";
import { readMetadata } from "./metadata.js";
import { type KeyManagerOptions, type PreparedManager, prepareManager } from "./options.js";
import { purgeKeys } from "./purge.js";
import { createRepository } from "./repository.js";
import { revokeAllKeys, revokeKey } from "./revoke.js";
import { rotateKey } from "./rotate.js";
import { toManagedKey } from "./store-results.js";

const UPDATE: readonly (keyof UpdateKey)[] = ["name", "ipAllowlist", "expiresAt", "metadata", "rateLimit"];
const LIST = ["ownerId", "status", "environment", "createdByKey", "search", "cursor", "limit"];
const CREATE = ["ownerId", "scopes", "environment", ...UPDATE];

/**
 * Creates the manager of a service's keys.
 *
 * @throws TypeError if an option is unknown, missing or invalid.
 *
 * @example
 * const manager = createKeyManager({ store, scopes, format, maxLifetime: "365d" });
 */
export function createKeyManager<S extends string, E extends string = string>(
  options: KeyManagerOptions<S, E>,
): KeyManager<S, E> {
  const prepared = prepareManager(options);
  const { scopes, format, now, boundExpiry } = prepared;
  const repository = createRepository(prepared);

  const manager: KeyManager<S, E> = {
    scopes,
    environments: format.environments as readonly E[] | undefined,
    maxLifetime: options.maxLifetime,

    async create(input, by) {
      checkMembers("create", input, CREATE);
      const { actor, createdByKey, beforeCommit } = readCreator(by);
      const at = now();
      const members = {
        ownerId: readId("ownerId", input.ownerId),
        name: readLabel("name", input.name),
        scopes: readScopes("scopes", input.scopes, scopes),
        environment: readEnvironment(input.environment, format),
        ipAllowlist: readAllowlist("ipAllowlist", input.ipAllowlist),
        expiresAt: boundExpiry(readExpiry("expiresAt", input.expiresAt, at), at, at),
        metadata: readMetadata("metadata", input.metadata),
        rateLimit: readRateLimit("rateLimit", input.rateLimit),
        disabledAt: null,
        disabledBy: null,
        replaces: null,
        rotationRoot: null,
        createdBy: actor,
        createdByKey,
      };
      const { secret, record } = issueRecord(prepared, members, at);
      const issued = { secret, key: toApiKey(record, at.getTime()) };
      await beforeCommit?.(issued);
      await repository.insert(record, { action: "created", actor, details: { scopes: record.scopes } });
      return issued;
    },

    async get(id) {
      const record = await repository.read(id);
      return record && toManagedKey(record, now());
    },

    async list(query = {}) {
      checkFilters("list", query, LIST);
      if (query.search !== undefined) readId("search", query.search);
      const limit = readLimit(query.limit);
      if (query.status !== undefined && !KEY_STATUSES.includes(query.status)) {
        throw new KeyInputError("status", `must be one of ${KEY_STATUSES.join(", ")}`);
      }
      const at = now();
      const page = await repository.list({ ...query, limit, now: at });
      return { ...page, items: page.items.map((record) => toManagedKey(record, at)) };
    },

    async auditTrail(query = {}) {
      checkFilters("auditTrail", query, ["keyId", "ownerId", "actor", "cursor", "limit"]);
      return repository.auditTrail({ ...query, limit: readLimit(query.limit) });
    },

    async update(id, input, options = {}) {
      const caller = readCaller("update", options);
      if (typeof input === "object" && input !== null && "scopes" in input) {
        throw new KeyInputError("scopes", "are fixed at creation; create a new key to use other scopes");
      }
      checkMembers("update", input, UPDATE);
      return repository.change(id, caller, (record, at) => {
        if (isPresent(record.revokedAt)) throw new KeyStateError("A revoked key cannot be changed");
        const change = readUpdate(prepared, input, record, at);
        const members = Object.keys(change);
        return members.length === 0 ? undefined : { action: "updated", change, details: { members } };
      });
    },

    async disable(id, options = {}) {
      const caller = readCaller("disable", options, "by");
      const by = readParty(options.by);
      return repository.change(id, caller, ({ revokedAt, disabledAt, disabledBy }, at) => {
        if (isPresent(revokedAt)) throw new KeyStateError("A revoked key cannot be disabled");
        if (!isPresent(disabledAt)) {
          return { action: "disabled", change: { disabledAt: at, disabledBy: by }, details: { by } };
        }
        // Otherwise the owner could undo what the operator asked for.
        if (by !== "operator" || disabledBy !== "owner") return undefined;
        return { action: "disabled", change: { disabledBy: by }, details: { by } };
      });
    },

    async enable(id, options = {}) {
      const caller = readCaller("enable", options, "by");
      const by = readParty(options.by);
      return repository.change(id, caller, ({ revokedAt, disabledAt, disabledBy }) => {
        if (isPresent(revokedAt)) throw new KeyStateError("A revoked key cannot be enabled");
        if (!isPresent(disabledAt)) return undefined;
        if (by === "owner" && disabledBy !== "owner") {
          throw new KeyStateError(
            "The operator of the service disabled the key, and only the operator can enable it",
          );
        }
        return { action: "enabled", change: { disabledAt: null, disabledBy: null }, details: { by } };
      });
    },

    async suspendOwner(ownerId, options = {}) {
      checkMembers("suspendOwner", options, ["reason", "actor"]);
      checkMethods("suspendOwner", "store", prepared.store, ["suspendOwner"]);
      const facts = { reason: readLabel("reason", options.reason) };
      return repository.setSuspension(
        "suspended",
        readId("ownerId", ownerId),
        readActor(options.actor),
        facts,
      );
    },

    async resumeOwner(ownerId, options = {}) {
      checkMembers("resumeOwner", options, ["actor"]);
      checkMethods("resumeOwner", "store", prepared.store, ["resumeOwner"]);
      return repository.setSuspension("resumed", readId("ownerId", ownerId), readActor(options.actor), {});
    },

    revoke: async (id, options = {}) => revokeKey(prepared, repository, id, options),
    revokeAll: async (filter, options = {}) => revokeAllKeys(prepared, repository, filter, options),
    identify: async (secrets) => identifyKeys(prepared, repository, secrets),
    reportLeak: async (id, options) => reportLeak(prepared, repository, id, options),
    rotate: async (id, options = {}) => rotateKey(prepared, repository, id, options),
    import: async (input, by) => importKey(prepared, repository, input, readActorOrOptions("import", by)),
    purge: async (options) => purgeKeys(prepared, repository, options),
  };
  return Object.freeze(manager);
}

/** Returns the members that the caller changes. */
function readUpdate(
  { boundExpiry }: PreparedManager<string>,
  input: UpdateKey,
  record: KeyRecord,
  at: Date,
): KeyChange {
  const { name, ipAllowlist, expiresAt, metadata, rateLimit } = input;
  if (expiresAt !== undefined && isPresent(record.rotatedAt)) {
    throw new KeyStateError("The expiry of a rotated key is the end of its overlap; change its successor");
  }
  return {
    ...(name !== undefined && { name: readLabel("name", name) }),
    ...(ipAllowlist !== undefined && { ipAllowlist: readAllowlist("ipAllowlist", ipAllowlist) }),
    ...(expiresAt !== undefined && {
      expiresAt: boundExpiry(readExpiry("expiresAt", expiresAt, at), record.createdAt, at),
    }),
    ...(metadata !== undefined && { metadata: readMetadata("metadata", metadata) }),
    ...(rateLimit !== undefined && { rateLimit: readRateLimit("rateLimit", rateLimit) }),
  };
}
