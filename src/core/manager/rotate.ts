import { KeyInputError, KeyStateError } from "../errors.js";
import type { KeyFormat } from "../keys/format.js";
import { isExpired, isPresent, type KeyRecord } from "../keys/record.js";
import type { KeyManager } from "./api.js";
import type { IssuedKey } from "./change-options.js";
import { readCaller, readEnvironment, readInputDuration } from "./input.js";
import { issueRecord } from "./issue.js";
import type { PreparedManager } from "./options.js";
import type { Repository } from "./repository.js";

/** Implements {@link KeyManager.rotate}. */
export async function rotateKey(
  manager: PreparedManager<string>,
  repository: Repository,
  id: string,
  options: NonNullable<Parameters<KeyManager["rotate"]>[1]>,
): Promise<IssuedKey> {
  const caller = readCaller("rotate", options, "overlap", "environment", "beforeCommit");
  const { overlap = "0s", environment } = options;
  const overlapMs = readInputDuration("overlap", overlap);

  return repository.replace(id, caller, (old, at) => {
    checkRotatable(old, at);
    const successor = issueRecord(
      manager,
      {
        ...old,
        environment: readSuccessorEnvironment(old, environment, manager.format),
        expiresAt: earliest(old.expiresAt, manager.latestExpiry(at)),
        replaces: old.id,
        rotationRoot: old.rotationRoot ?? old.id,
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
}

function checkRotatable(record: KeyRecord, at: Date): void {
  if (isPresent(record.rotatedAt)) {
    throw new KeyStateError("The key is already rotated; rotate its successor");
  }
  if (isPresent(record.revokedAt)) throw new KeyStateError("A revoked key cannot be rotated");
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
