import { randomUUID } from "node:crypto";
import { DURATION_FORMAT, parseDuration, readDuration } from "../../internal/duration.js";
import { checkFunction, checkMethods, checkOptions, rejectUndefined } from "../../internal/validate.js";
import { KeyInputError } from "../errors.js";
import { checkObservers, type Observer } from "../events.js";
import type { KeyFormat } from "../keys/format.js";
import { startOf } from "../keys/format.js";
import { createHashers, type Hashers, ownHashKinds } from "../keys/hash.js";
import type { KeyRecord } from "../keys/record.js";
import type { Scopes } from "../keys/scopes.js";
import type { KeyManagerOptions } from "./api.js";
import { boundedStore, type ManagerStore } from "./bounded-store.js";

const OPTIONS = [
  "store",
  "scopes",
  "format",
  "pepper",
  "legacyHashes",
  "maxLifetime",
  "storeTimeout",
  "clock",
  "observers",
];
// Longer than the stores of this package try again for, while a database is busy.
const STORE_TIMEOUT = "10s";
const STORE = ["findByHash", "findById", "list", "insert", "update", "replace", "touch", "auditTrail"];

/** What the manager makes up itself of a new key; everything else it is told. */
type Made = "id" | "hash" | "version" | "start" | "createdAt" | "updatedAt" | keyof typeof UNUSED;

/** The options of a manager, checked: what its methods work with. */
export interface PreparedManager<S extends string> {
  readonly store: ManagerStore;
  /** How long a legacy hash may take; the store is bounded already. */
  readonly timeoutMs: number;
  readonly scopes: Scopes<S>;
  readonly format: KeyFormat;
  /** The hash of a new key, and behind it those that older ones may be stored under. */
  readonly hashers: Hashers;
  /** The kinds of hash that verifiers with these options look for; see `hashKind`. */
  readonly hashKinds: readonly string[];
  /** The names of the legacy ones. */
  readonly legacyNames: readonly string[];
  readonly observers: readonly Observer[];
  /** @throws TypeError when the clock answers no date. */
  now(): Date;
  /** The end of the longest life that a key of this age may have; `null` without one. */
  latestExpiry(createdAt: Date): Date | null;
  /** @throws KeyInputError for an expiry that is later than the key may live. */
  boundExpiry(expiresAt: Date | null, createdAt: Date, at: Date): Date | null;
  /** Makes a new secret and the record of its key. */
  issue(members: Omit<KeyRecord, Made>, at: Date): { secret: string; record: KeyRecord };
}

/** @throws TypeError for options that are unknown, missing or cannot work, naming the option. */
export function prepareManager<S extends string>(given: KeyManagerOptions<S>): PreparedManager<S> {
  const where = "createKeyManager";
  const options = checkOptions(where, given, OPTIONS);
  for (const name of ["pepper", "legacyHashes", "maxLifetime"] as const)
    rejectUndefined(where, options, name);
  const { store, scopes, format, clock, observers = [], legacyHashes = [] } = options;
  const timeoutMs = readDuration(where, "storeTimeout", options.storeTimeout ?? STORE_TIMEOUT);
  checkMethods(where, "store", store, STORE);
  checkMethods(where, "scopes", scopes, ["isGrantable", "get"]);
  checkMethods(where, "format", format, ["parse", "generate"]);
  checkFunction(where, "clock", clock);
  checkObservers(where, observers);
  const hashers = createHashers(options.pepper, legacyHashes);
  const longest = parseDuration(options.maxLifetime);
  if (options.maxLifetime !== undefined && !longest) {
    throw new TypeError(`${where}: "maxLifetime" ${DURATION_FORMAT}, and not 0`);
  }

  const latestExpiry = (createdAt: Date): Date | null =>
    longest === undefined ? null : new Date(createdAt.getTime() + longest);

  return {
    store: boundedStore(store, timeoutMs),
    timeoutMs,
    scopes,
    format,
    hashers,
    hashKinds: ownHashKinds(options.pepper),
    legacyNames: legacyHashes.map(({ name }) => name),
    observers: [...observers],
    latestExpiry,

    now() {
      const date: unknown = clock === undefined ? new Date() : clock();
      if (date instanceof Date && !Number.isNaN(date.getTime())) return new Date(date);
      throw new TypeError(`${where}: "clock" answered no date`);
    },

    boundExpiry(expiresAt, createdAt, at) {
      const latest = latestExpiry(createdAt);
      if (latest === null) return expiresAt;
      const bounded = expiresAt ?? latest;
      if (bounded <= latest && bounded > at) return bounded;
      throw new KeyInputError("expiresAt", `must be within ${options.maxLifetime} of creation`);
    },

    issue(members, at) {
      const secret = format.generate?.(format.environments && (members.environment ?? undefined)) as string;
      if (!format.parse(secret)) {
        throw new TypeError(`${where}: "format" does not recognise what it generates`);
      }
      const record = {
        ...members,
        ...UNUSED,
        id: newKeyId(),
        hash: hashers[0](secret),
        version: 1,
        start: startOf(format, secret),
        createdAt: at,
        updatedAt: at,
      };
      return { secret, record };
    },
  };
}

/** A fresh id; of random bits, so that nobody can guess the ids of others. */
export function newKeyId(): string {
  return `key_${randomUUID().replaceAll("-", "")}`;
}

/** What no key has when it is new, a successor neither. */
export const UNUSED = {
  lastUsedAt: null,
  revokedAt: null,
  revokedReason: null,
  rotatedAt: null,
  replacedBy: null,
} as const;
