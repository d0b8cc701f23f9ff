import { hash as sha256 } from "node:crypto";
import { KeyConflictError, KeyInputError } from "../errors.js";
import { startOf } from "../keys/format.js";
import { hashKind, type KeyHash, legacyKeyHash } from "../keys/hash.js";
import { type ApiKey, type KeyRecord, toApiKey } from "../keys/record.js";
import { withStoreTimeout } from "../store-calls.js";
import type { ImportKey } from "./api.js";
import { readExpiry, readPastDate } from "./dates.js";
import {
  checkMembers,
  readAllowlist,
  readEnvironment,
  readId,
  readLabel,
  readRateLimit,
  readScopes,
} from "./input.js";
import { INITIAL_STATE } from "./issue.js";
import { readMetadata } from "./metadata.js";
import type { PreparedManager } from "./options.js";
import type { Repository } from "./repository.js";

const MEMBERS = [
  "secret",
  "hash",
  "hashedBy",
  "id",
  "start",
  "ownerId",
  "name",
  "scopes",
  "environment",
  "ipAllowlist",
  "createdAt",
  "expiresAt",
  "lastUsedAt",
  "disabled",
  "metadata",
  "rateLimit",
];
// The b64token of RFC 6750, section 2.1, long enough not to be guessed.
const SECRET = /^(?=.{16,512}$)[A-Za-z0-9._~+/-]+=*$/;
const MIN_HIDDEN = 12;
const MAX_START = 16;

/** Implements {@link KeyManager.import}. */
export async function importKey(
  manager: PreparedManager<string>,
  repository: Repository,
  input: ImportKey,
  actor: string | null,
): Promise<ApiKey> {
  checkMembers("import", input, MEMBERS);
  const at = manager.now();
  const hash = readHash(manager, input);
  const record = readImportedRecord(manager, input, hash, actor, at);
  if (record.start !== "" && (await hashesOf(manager, record.start)).includes(hash)) {
    throw new KeyInputError("start", "must not be the whole secret");
  }
  // The key may be stored under an older hash. A second record of a revoked key would make its secret valid again.
  const hashes = input.secret === undefined ? [hash] : await hashesOf(manager, input.secret);
  const rejectExisting = async (): Promise<void> => {
    const member = input.secret === undefined ? "hash" : "secret";
    for (const each of hashes) rejectDuplicate(await repository.findByHash(each), record, member);
    rejectDuplicate(await repository.read(record.id), record, input.id === undefined ? member : "id");
  };
  await rejectExisting();
  const details = { scopes: record.scopes, hash: hashKind(hash) };
  try {
    await repository.insert(record, { action: "imported", actor, details });
  } catch (error) {
    if (error instanceof KeyConflictError) await rejectExisting(); // a concurrent import may be of another owner
    throw error;
  }
  return toApiKey(record, at.getTime());
}

function readImportedRecord(
  { scopes, format, boundExpiry }: PreparedManager<string>,
  input: ImportKey,
  hash: KeyHash,
  actor: string | null,
  at: Date,
): KeyRecord {
  const createdAt = readPastDate("createdAt", input.createdAt, at) ?? at;
  if (input.disabled !== undefined && typeof input.disabled !== "boolean") {
    throw new KeyInputError("disabled", "must be true or false");
  }
  return {
    ...INITIAL_STATE,
    id: input.id === undefined ? idFromHash(hash) : readId("id", input.id),
    hash,
    version: 1,
    ownerId: readId("ownerId", input.ownerId),
    name: readLabel("name", input.name),
    start: readStart(input, format),
    scopes: readScopes("scopes", input.scopes, scopes),
    environment: readImportedEnvironment(input, format),
    ipAllowlist: readAllowlist("ipAllowlist", input.ipAllowlist),
    expiresAt: boundExpiry(readExpiry("expiresAt", input.expiresAt, at), createdAt, at),
    lastUsedAt: readPastDate("lastUsedAt", input.lastUsedAt, at),
    metadata: readMetadata("metadata", input.metadata),
    rateLimit: readRateLimit("rateLimit", input.rateLimit),
    disabledAt: input.disabled === true ? at : null,
    disabledBy: input.disabled === true ? "operator" : null,
    replaces: null,
    rotationRoot: null,
    createdBy: actor,
    createdByKey: null,
    createdAt,
    updatedAt: at,
  };
}

/** Returns the hash to store: the current hash of the secret, or the imported hash. */
function readHash(
  { hashers, hashKinds, legacyNames }: PreparedManager<string>,
  { secret, hash, hashedBy }: { secret?: unknown; hash?: unknown; hashedBy?: unknown },
): KeyHash {
  if ((secret === undefined) === (hash === undefined)) {
    throw new KeyInputError("import", 'must have either "secret" or "hash"');
  }
  if (secret !== undefined) {
    if (hashedBy !== undefined) throw new KeyInputError("hashedBy", 'is only allowed together with "hash"');
    if (typeof secret !== "string" || !SECRET.test(secret)) {
      throw new KeyInputError(
        "secret",
        "must be 16 to 512 characters of A-Z a-z 0-9 . _ ~ + / -, with = only at the end",
      );
    }
    return hashers[0](secret);
  }
  if (hashedBy !== undefined) {
    if (typeof hashedBy !== "string" || !legacyNames.includes(hashedBy)) {
      throw new KeyInputError("hashedBy", 'must be the name of one of the manager\'s "legacyHashes"');
    }
    const stored = legacyKeyHash(hashedBy, hash);
    if (stored !== undefined) return stored;
    throw new KeyInputError("hash", "must be 1 to 190 printable ASCII characters, without spaces");
  }
  return readOwnHash(hash, hashKinds);
}

/** Reads a hash that this library could have made, of a kind that verifiers look up. */
function readOwnHash(hash: unknown, kinds: readonly string[]): KeyHash {
  if (typeof hash !== "string" || !/^(?:[\w-]{1,32}:)?[\da-f]{64}$/i.test(hash)) {
    throw new KeyInputError(
      "hash",
      'must be a SHA-256 of 64 hex digits; name any other hash with "hashedBy"',
    );
  }
  const stored = `${hash.slice(0, -64)}${hash.slice(-64).toLowerCase()}` as KeyHash;
  if (kinds.includes(hashKind(stored))) return stored;
  throw new KeyInputError("hash", 'is not looked up with this "pepper"; see its "unpeppered"');
}

/** Reads the displayed start of the secret. The rest must be too long to guess. */
function readStart(input: ImportKey, format: PreparedManager<string>["format"]): string {
  const { secret } = input;
  if (input.start === undefined) {
    return secret !== undefined && format.parse(secret) ? startOf(format, secret) : "";
  }
  const start = readLabel("start", input.start) ?? "";
  if (start.length > MAX_START) {
    throw new KeyInputError("start", `must have at most ${MAX_START} characters`);
  }
  if (secret === undefined) return start;
  if (!secret.startsWith(start)) throw new KeyInputError("start", "must be the beginning of the secret");
  if (secret.length - start.length >= MIN_HIDDEN) return start;
  throw new KeyInputError("start", `must omit at least ${MIN_HIDDEN} characters of the secret`);
}

/** Returns every hash that a key with this secret may be stored under. */
async function hashesOf(
  { hashers, timeoutMs }: PreparedManager<string>,
  secret: string,
): Promise<readonly KeyHash[]> {
  const hashing = Promise.all(hashers.map(async (hasher) => hasher(secret)));
  const hashes = await withStoreTimeout(hashing, timeoutMs, "A legacy hash");
  return hashes.filter((each) => each !== undefined);
}

/** Derives an id from a hash. It does not reveal the hash. */
function idFromHash(hash: KeyHash): string {
  return `key_${sha256("sha256", `import ${hash}`, "hex").slice(0, 32)}`;
}

/** Returns the environment in the secret; without one, that of the input. `null` means valid in every environment. */
function readImportedEnvironment(input: ImportKey, format: PreparedManager<string>["format"]): string | null {
  const parsed = input.secret === undefined ? undefined : format.parse(input.secret);
  const named = input.environment ?? undefined;
  if (parsed?.environment !== undefined) {
    if (named === undefined || named === parsed.environment) return parsed.environment;
    throw new KeyInputError("environment", "must match the environment in the secret");
  }
  return named === undefined ? null : readEnvironment(named, format);
}

/**
 * Rejects an import of an existing key. A key of another owner is an input error, not a conflict: callers skip conflicts
 * as already imported.
 */
function rejectDuplicate(
  found: Pick<KeyRecord, "ownerId"> | undefined,
  { ownerId }: KeyRecord,
  member: "secret" | "hash" | "id",
): void {
  if (found === undefined) return;
  if (found.ownerId !== ownerId) throw new KeyInputError(member, "belongs to a key of another owner");
  throw new KeyConflictError(`A key with this ${member === "id" ? "id" : "secret"} already exists`);
}
