import { hash as sha256 } from "node:crypto";
import { KeyConflictError, KeyInputError } from "../errors.js";
import { startOf } from "../keys/format.js";
import { hashKind, type KeyHash, legacyKeyHash } from "../keys/hash.js";
import { type ApiKey, type KeyRecord, toApiKey } from "../keys/record.js";
import { withStoreTimeout } from "../store-calls.js";
import { checkedRecord } from "../verifier/lookup.js";
import type { ImportKey } from "./api.js";
import {
  checkInput,
  readAllowlist,
  readEnvironment,
  readExpiry,
  readId,
  readMetadata,
  readPast,
  readRateLimit,
  readScopes,
  readText,
} from "./input.js";
import { type PreparedManager, UNUSED } from "./options.js";
import { asked, type Repository } from "./repository.js";

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
// What RFC 6750, section 2.1 lets a client send, long enough not to be guessed.
const SECRET = /^(?=.{16,512}$)[A-Za-z0-9._~+/-]+=*$/;
const MIN_HIDDEN = 12;
const MAX_START = 16;

/** Takes a key over that another system issued. */
export async function importKey<S extends string>(
  manager: PreparedManager<S>,
  ledger: Repository,
  input: ImportKey<S>,
  actor: string | undefined,
): Promise<ApiKey> {
  checkInput("import", input, MEMBERS);
  const { store, now } = manager;
  const at = now();
  const hash = readHash(manager, input);
  const record = readRecord(manager, input, hash, at);
  if (record.start !== "" && (await everyHash(manager, record.start)).includes(hash)) {
    throw new KeyInputError("start", "is the whole secret");
  }
  const details = { scopes: record.scopes, hash: hashKind(hash) };
  const audit = ledger.entry("imported", record, at, actor, details);
  // A key may be stored under an older hash; beside it, a revoked one would be let in again.
  const hashes = input.secret === undefined ? [hash] : await everyHash(manager, input.secret);
  const refuseTaken = async (): Promise<void> => {
    const named = input.secret === undefined ? "hash" : "secret";
    for (const each of hashes) {
      refuseOther(checkedRecord(await asked(() => store.findByHash(each)), each), record, named);
    }
    refuseOther(await ledger.read(record.id), record, input.id === undefined ? named : "id");
  };
  await refuseTaken();
  try {
    await asked(() => store.insert(record, audit));
  } catch (error) {
    if (error instanceof KeyConflictError) await refuseTaken(); // whose key was faster
    throw error;
  }
  ledger.announce(audit);
  return toApiKey(record, at.getTime());
}

function readRecord<S extends string>(
  { scopes, format, boundExpiry }: PreparedManager<S>,
  input: ImportKey<S>,
  hash: KeyHash,
  at: Date,
): KeyRecord {
  const createdAt = readPast("createdAt", input.createdAt, at) ?? at;
  if (input.disabled !== undefined && typeof input.disabled !== "boolean") {
    throw new KeyInputError("disabled", "must be true or false");
  }
  return {
    ...UNUSED,
    id: input.id === undefined ? idOf(hash) : readId("id", input.id),
    hash,
    version: 1,
    ownerId: readId("ownerId", input.ownerId),
    name: readText("name", input.name),
    start: readStart(input, format),
    scopes: readScopes("scopes", input.scopes, scopes),
    environment: readImportedEnvironment(input, format),
    ipAllowlist: readAllowlist("ipAllowlist", input.ipAllowlist),
    expiresAt: boundExpiry(readExpiry("expiresAt", input.expiresAt, at), createdAt, at),
    lastUsedAt: readPast("lastUsedAt", input.lastUsedAt, at),
    metadata: readMetadata("metadata", input.metadata),
    rateLimit: readRateLimit("rateLimit", input.rateLimit),
    disabledAt: input.disabled === true ? at : null,
    replaces: null,
    createdAt,
    updatedAt: at,
  };
}

/** The hash that the key is stored under: of its secret, or as it was made elsewhere. */
function readHash(
  { hashers, hashKinds, legacyNames }: PreparedManager<string>,
  { secret, hash, hashedBy }: { secret?: unknown; hash?: unknown; hashedBy?: unknown },
): KeyHash {
  if ((secret === undefined) === (hash === undefined)) {
    throw new KeyInputError("import", "needs either a secret or a hash");
  }
  if (secret !== undefined) {
    if (hashedBy !== undefined) throw new KeyInputError("hashedBy", "belongs to a hash, not to a secret");
    if (typeof secret !== "string" || !SECRET.test(secret)) {
      throw new KeyInputError("secret", "must be 16 to 512 of A-Z a-z 0-9 . _ ~ + / -, and = at its end");
    }
    return hashers[0](secret);
  }
  if (hashedBy !== undefined) {
    if (typeof hashedBy !== "string" || !legacyNames.includes(hashedBy)) {
      throw new KeyInputError("hashedBy", 'must be the name of one of the manager\'s "legacyHashes"');
    }
    const stored = legacyKeyHash(hashedBy, hash);
    if (stored !== undefined) return stored;
    throw new KeyInputError("hash", "must be 1 to 190 printable characters of ASCII, without spaces");
  }
  return readOwnHash(hash, hashKinds);
}

/** A hash of the kind that this library makes, of a kind that verifiers look for. */
function readOwnHash(hash: unknown, kinds: readonly string[]): KeyHash {
  if (typeof hash !== "string" || !/^(?:[\w-]{1,32}:)?[\da-f]{64}$/i.test(hash)) {
    throw new KeyInputError("hash", "must be 64 hex digits of SHA-256, unless hashedBy says how it was made");
  }
  const stored = `${hash.slice(0, -64)}${hash.slice(-64).toLowerCase()}` as KeyHash;
  if (kinds.includes(hashKind(stored))) return stored;
  throw new KeyInputError("hash", "is of a kind that nobody would look for; see pepper and its unpeppered");
}

/** Only what people may see: never so much of a secret that the rest could be guessed. */
function readStart(input: ImportKey, format: PreparedManager<string>["format"]): string {
  const { secret, start } = input;
  if (start === undefined) return secret !== undefined && format.parse(secret) ? startOf(format, secret) : "";
  const text = readText("start", start) ?? "";
  if (text.length > MAX_START) throw new KeyInputError("start", `must have at most ${MAX_START} characters`);
  if (secret === undefined) return text;
  if (!secret.startsWith(text)) throw new KeyInputError("start", "must be how the secret begins");
  if (secret.length - text.length >= MIN_HIDDEN) return text;
  throw new KeyInputError("start", `must leave at least ${MIN_HIDDEN} characters of the secret out`);
}

/** Every hash that a key of this secret may be stored under. */
async function everyHash(
  { hashers, timeoutMs }: PreparedManager<string>,
  secret: string,
): Promise<readonly KeyHash[]> {
  const hashing = Promise.all(hashers.map(async (hasher) => hasher(secret)));
  const hashes = await withStoreTimeout(hashing, timeoutMs, "A legacy hash");
  return hashes.filter((each) => each !== undefined);
}

/** The same for one hash each time, and a digest more than what is stored. */
function idOf(hash: KeyHash): string {
  return `key_${sha256("sha256", `import ${hash}`, "hex").slice(0, 32)}`;
}

/** What the secret names, what the host names, or none: the key then works in every environment. */
function readImportedEnvironment(input: ImportKey, format: PreparedManager<string>["format"]): string | null {
  const parsed = input.secret === undefined ? undefined : format.parse(input.secret);
  const named = input.environment ?? undefined;
  if (parsed?.environment !== undefined) {
    if (named === undefined || named === parsed.environment) return parsed.environment;
    throw new KeyInputError("environment", "must be the one that the secret names");
  }
  return named === undefined ? null : readEnvironment(named, format);
}

/**
 * Refuses an import of a key that is there. One that acts for somebody else is not what is imported: whoever passes
 * over keys that are there must not leave it so.
 */
function refuseOther(
  found: Pick<KeyRecord, "ownerId"> | undefined,
  { ownerId }: KeyRecord,
  member: "secret" | "hash" | "id",
): void {
  if (found === undefined) return;
  if (found.ownerId !== ownerId) throw new KeyInputError(member, "is that of a key of another owner");
  throw new KeyConflictError(`A key of this ${member === "id" ? "id" : "secret"} exists`);
}
