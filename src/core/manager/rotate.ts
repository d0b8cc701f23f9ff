import { type Duration, parseDuration } from "../../internal/duration.js";
import { KeyInputError, KeyStateError, OWNER_SUSPENDED } from "../errors.js";
import type { KeyFormat } from "../keys/format.js";
import { isExpired, isPresent, type KeyRecord } from "../keys/record.js";
import type { KeyManager } from "./api.js";
import type { IssuedKey } from "./change-options.js";
import { readCaller, readEnvironment, readId, readInputDuration } from "./input.js";
import { issueRecord } from "./issue.js";
import type { PreparedManager } from "./options.js";
import type { Repository } from "./repository.js";
import { firstOf, revokeOne } from "./revoke.js";

/** Implements {@link KeyManager.rotate}. */
export async function rotateKey(
  manager: PreparedManager<string>,
  repository: Repository,
  id: string,
  options: NonNullable<Parameters<KeyManager["rotate"]>[1]>,
): Promise<IssuedKey> {
  const caller = readCaller("rotate", options, "overlap", "environment", "beforeCommit", "createdByKey");
  const { overlap = "0s", environment } = options;
  const overlapMs = readOverlap(overlap, manager.maxOverlap);

  const creator =
    options.createdByKey === undefined ? undefined : await readCreator(repository, options.createdByKey);

  const issued = await repository.replace(id, caller, (old, at) => {
    checkRotatable(old, at);
    const successor = issueRecord(
      manager,
      {
        ...old,
        environment: readSuccessorEnvironment(old, environment, manager.format),
        expiresAt: earliest(old.expiresAt, manager.latestExpiry(at)),
        replaces: old.id,
        rotationRoot: old.rotationRoot ?? old.id,
        // The secret is shown to the holder of the creator, so the successor counts as made by it.
        ...(creator !== undefined &&
          firstOf(creator) !== firstOf(old) && { createdBy: caller.actor, createdByKey: creator.id }),
      },
      at,
    );
    const replacedBy = successor.record.id;
    const expiresAt = earliest(old.expiresAt, new Date(at.getTime() + overlapMs)) as Date;
    return {
      action: "rotated",
      change: { rotatedAt: at, replacedBy, expiresAt },
      successor,
      details: { replacedBy, expiresAt: expiresAt.toISOString() },
    };
  });
  // A revocation of the creator that listed what it made before the successor was written is visible now. The secret has
  // not been returned yet.
  if (creator !== undefined && issued.key.createdByKey === creator.id) {
    await readCreator(repository, creator.id).catch(async (error: unknown) => {
      await revokeOne(repository, issued.key.id, { ...caller, check: undefined }, "its creator was revoked");
      throw error;
    });
  }
  return issued;
}

/** @throws KeyStateError if the key is revoked or does not exist. */
async function readCreator(repository: Repository, createdByKey: string): Promise<KeyRecord> {
  const creator = await repository.read(readId("createdByKey", createdByKey));
  if (creator !== undefined && !isPresent(creator.revokedAt)) return creator;
  throw new KeyStateError("The key that would rotate this key is revoked or does not exist");
}

/** Converts an overlap to milliseconds. */
function readOverlap(overlap: unknown, max: Duration): number {
  const result = readInputDuration("overlap", overlap);
  if (result <= (parseDuration(max) ?? 0)) return result;
  throw new KeyInputError("overlap", `must be at most ${max}`);
}

function checkRotatable(record: KeyRecord, at: Date): void {
  if (isPresent(record.rotatedAt)) {
    throw new KeyStateError("The key is already rotated; rotate its successor");
  }
  if (isPresent(record.revokedAt)) throw new KeyStateError("A revoked key cannot be rotated");
  if (isPresent(record.suspendedAt)) throw new KeyStateError(OWNER_SUSPENDED);
  if (isExpired(record, at.getTime())) throw new KeyStateError("An expired key cannot be rotated");
}

/** Returns the environment of the old key; of a key without one, the environment of the options. */
function readSuccessorEnvironment(
  { environment }: KeyRecord,
  requested: string | undefined,
  format: KeyFormat,
): string | null {
  if (!isPresent(environment)) return readEnvironment(requested, format);
  if (requested === undefined || requested === environment) return environment;
  throw new KeyInputError("environment", "is fixed at creation; create a new key to use another environment");
}

function earliest(a: Date | null, b: Date | null): Date | null {
  if (a === null || b === null) return a ?? b;
  return a < b ? a : b;
}
