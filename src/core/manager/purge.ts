import { KeyInputError } from "../errors.js";
import type { KeyRecord } from "../keys/record.js";
import type { PurgeOptions, PurgeResult } from "./api.js";
import { checkInput, readId, readInputDuration } from "./input.js";
import type { PreparedManager } from "./options.js";
import { askedPage, isChangeable, type Repository, written } from "./repository.js";

const PAGE = 100;
const AT_ONCE = 10;

/** Forgets the keys that were revoked, or expired, long enough ago. */
export async function purgeKeys(
  { store, now }: PreparedManager<string>,
  ledger: Repository,
  options: PurgeOptions,
): Promise<PurgeResult> {
  checkInput("purge", options, ["deadFor", "limit", "actor"]);
  const { actor, retention: deadFor, limit = Number.POSITIVE_INFINITY } = options;
  if (actor !== undefined) readId("actor", actor);
  const age = readInputDuration("deadFor", deadFor);
  if (limit !== Number.POSITIVE_INFINITY && (!Number.isSafeInteger(limit) || limit < 1)) {
    throw new KeyInputError("limit", "must be a whole number above 0");
  }
  const { remove } = store;
  if (typeof remove !== "function") throw new TypeError("purge: the store has no method remove()");

  const forget = async (record: KeyRecord): Promise<boolean> => {
    const details = { revokedAt: written8601(record.revokedAt), expiresAt: written8601(record.expiresAt) };
    const audit = ledger.entry("purged", record, now(), actor, details);
    if (!(await written(() => remove.call(store, record.id, record.version, audit)))) return false;
    ledger.announce(audit);
    return true;
  };

  const at = now();
  const deadBefore = new Date(at.getTime() - age);
  let purged = 0;
  let cursor: string | undefined;
  do {
    const query = { now: at, deadBefore, limit: PAGE, ...(cursor === undefined ? {} : { cursor }) };
    const page = await askedPage(() => store.list(query), cursor);
    // Asked again here: a store may ignore `deadBefore`, and what it answers decides what is lost for good.
    const dead = page.items
      .filter((record) => isChangeable(record) && isDead(record, deadBefore))
      .slice(0, limit - purged);
    for (let first = 0; first < dead.length; first += AT_ONCE) {
      const answers = await Promise.all(dead.slice(first, first + AT_ONCE).map(forget));
      purged += answers.filter(Boolean).length;
    }
    cursor = page.nextCursor;
  } while (cursor !== undefined && purged < limit);
  return { purged };
}

/** Whether a key had been revoked, or had expired, at a moment. A date that cannot be read is no reason. */
function isDead({ revokedAt, expiresAt }: KeyRecord, moment: Date): boolean {
  return [revokedAt, expiresAt].some((date) => date instanceof Date && date <= moment);
}

function written8601(date: unknown): string | null {
  return date instanceof Date && !Number.isNaN(date.getTime()) ? date.toISOString() : null;
}
