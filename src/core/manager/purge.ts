import { checkMethods } from "../../internal/validate.js";
import type { KeyRecord } from "../keys/record.js";
import type { PurgeOptions, PurgeResult } from "./change-options.js";
import { checkMembers, readActor, readInputDuration, readPositiveInteger } from "./input.js";
import type { PreparedManager } from "./options.js";
import type { Repository } from "./repository.js";

const PAGE_SIZE = 100;
const CONCURRENCY = 10;

/** Implements {@link KeyManager.purge}. */
export async function purgeKeys(
  { store, now }: PreparedManager<string>,
  repository: Repository,
  options: PurgeOptions,
): Promise<PurgeResult> {
  checkMembers("purge", options, ["retention", "limit", "actor"]);
  const actor = readActor(options.actor);
  const retention = readInputDuration("retention", options.retention);
  const { limit = Infinity } = options;
  if (limit !== Infinity) readPositiveInteger("limit", limit);
  checkMethods("purge", "store", store, ["remove"]);
  const at = now();

  const removeKey = async (record: KeyRecord): Promise<boolean> => {
    const made = await repository.list({ now: at, createdByKey: record.id, limit: 1 });
    if (made.items.length > 0 || made.damaged !== undefined) return false;
    const details = {
      revokedAt: toIsoString(record.revokedAt),
      expiresAt: toIsoString(record.expiresAt),
    };
    return repository.remove(record, { action: "purged", actor, details });
  };

  const endedBefore = new Date(at.getTime() - retention);
  let purged = 0;
  let cursor: string | undefined;
  do {
    const query = { now: at, endedBefore, limit: PAGE_SIZE, ...(cursor !== undefined && { cursor }) };
    const page = await repository.list(query);
    // Checked again because a deletion cannot be undone.
    const ended = page.items.filter((record) => hasEnded(record, endedBefore)).slice(0, limit - purged);
    for (let start = 0; start < ended.length; start += CONCURRENCY) {
      const removed = await Promise.all(ended.slice(start, start + CONCURRENCY).map(removeKey));
      purged += removed.filter(Boolean).length;
    }
    cursor = page.nextCursor;
  } while (cursor !== undefined && purged < limit);
  return { purged };
}

/** Whether a key was revoked, or had expired, at this moment. An unreadable date does not count. */
function hasEnded({ revokedAt, expiresAt }: KeyRecord, moment: Date): boolean {
  return [revokedAt, expiresAt].some((date) => date instanceof Date && date <= moment);
}

function toIsoString(date: unknown): string | null {
  return date instanceof Date && !Number.isNaN(date.getTime()) ? date.toISOString() : null;
}
