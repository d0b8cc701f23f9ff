import type { ApiKey } from "../kit.js";
import { findExpiring, findLeaks, isDelivered, type Notice, recordDelivery } from "./notices.js";
import { type KeyWebhooksOptions, prepareWebhooks } from "./options.js";
import { postJson } from "./request.js";
import { signWebhook } from "./signature.js";

const CONCURRENCY = 10;
const MAX_PENDING = 10_000;
// A notice that is forgotten is looked up in the audit trail again.
const MAX_DONE = 100_000;
/** How far a search goes back beyond the last one: a transaction may commit after its entry was dated, and clocks differ. */
const OVERLAP_MS = 60_000;
/** The whole time of `retryFor` is searched this often, and at the start; so is the list for keys that expire. */
const FULL_SEARCH_MS = 60 * 60_000;
const FIRST_RETRY_MS = 5_000;
const LONGEST_RETRY_MS = 60 * 60_000;

/** Webhooks that are being sent; returned by {@link createKeyWebhooks}. */
export interface KeyWebhooks {
  /** Stops, after the attempts in progress. What was not delivered is found at the next start. */
  close(): Promise<void>;
}

interface Pending {
  readonly notice: Notice;
  attempts: number;
  nextAt: number;
}

/**
 * Sends webhooks to the owners of keys: `key.leaked` when a secret was reported as found, and `keys.expiring` once before a
 * key expires. They have the headers of Standard Webhooks (https://www.standardwebhooks.com). The outbox is the audit
 * trail, whose entries are written in the transaction of each change: after a crash, what was not delivered is found again. A
 * webhook may arrive more than once, with the same `webhook-id`, for example if several processes send.
 *
 * @throws TypeError if an option is unknown, missing or invalid.
 *
 * @example
 * const webhooks = createKeyWebhooks({ keys, store, endpoint: (ownerId) => endpoints.get(ownerId) });
 * process.on("SIGTERM", () => webhooks.close());
 */
export function createKeyWebhooks(given: KeyWebhooksOptions): KeyWebhooks {
  const options = prepareWebhooks(given);
  const { keys, endpoint, intervalMs, retryForMs, report, now } = options;
  const pending = new Map<string, Pending>();
  /** Notices that need no attempt any more, with the time at which they can be forgotten. */
  const done = new Map<string, number>();
  const busyOwners = new Set<string>();
  const attempts = new Set<Promise<void>>();
  let searchedAt = Number.NEGATIVE_INFINITY;
  let fullySearchedAt = Number.NEGATIVE_INFINITY;
  let isClosed = false;
  let timer: NodeJS.Timeout | undefined;

  const search = async (): Promise<void> => {
    const startedAt = now();
    const isFull = !(startedAt < fullySearchedAt + FULL_SEARCH_MS && startedAt >= fullySearchedAt);
    const since = isFull ? startedAt - retryForMs : Math.max(searchedAt, startedAt - retryForMs) - OVERLAP_MS;
    const add = (notice: Notice) => {
      if (pending.size >= MAX_PENDING || pending.has(notice.id) || done.has(notice.id)) return;
      pending.set(notice.id, { notice, attempts: 0, nextAt: 0 });
    };
    for await (const notice of findLeaks(options, since)) add(notice);
    if (isFull) for await (const notice of findExpiring(options)) add(notice);
    searchedAt = startedAt;
    if (isFull) fullySearchedAt = startedAt;
    for (const [id, until] of done) if (until < startedAt) done.delete(id);
  };

  const deliver = async ({ notice }: Pending): Promise<void> => {
    const { id, type, keyId, ownerId, at, data } = notice;
    if (await isDelivered(options, notice)) return; // by another process, or before a restart
    const target = await endpoint(ownerId);
    if (target === undefined) return;
    const key = await keys.get(keyId);
    if (type === "keys.expiring" && key?.status !== "active") return; // revoked since the search
    const body = JSON.stringify({
      type,
      timestamp: new Date(at).toISOString(),
      data: { key: key === undefined ? { id: keyId, ownerId } : publicView(key), ...data },
    });
    const headers = signWebhook(target.secret, id, Math.floor(now() / 1_000), body);
    await postJson(target.url, { ...headers }, body, options);
    await recordDelivery(options, notice);
  };

  const attempt = async (entry: Pending): Promise<void> => {
    const { notice } = entry;
    try {
      await deliver(entry);
      finish(notice);
    } catch (error) {
      report(error, { id: notice.id, ownerId: notice.ownerId });
      entry.attempts += 1;
      const wait = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (entry.attempts - 1));
      entry.nextAt = now() + wait * (0.5 + Math.random() / 2);
      if (entry.nextAt >= notice.until) finish(notice);
    }
  };
  const finish = ({ id, until }: Notice): void => {
    pending.delete(id);
    done.set(id, Math.max(until, now() + OVERLAP_MS) + OVERLAP_MS);
    if (done.size > MAX_DONE) done.delete(done.keys().next().value as string);
  };

  /** Starts the attempts that are due: one at a time for each owner, so that a slow endpoint delays no other owner. */
  const startAttempts = (): void => {
    for (const entry of pending.values()) {
      const { ownerId } = entry.notice;
      if (attempts.size >= CONCURRENCY) return;
      if (entry.nextAt > now() || busyOwners.has(ownerId)) continue;
      busyOwners.add(ownerId);
      const started: Promise<void> = attempt(entry).finally(() => {
        attempts.delete(started);
        busyOwners.delete(ownerId);
        if (!isClosed) startAttempts();
      });
      attempts.add(started);
    }
  };

  const round = async (): Promise<void> => {
    try {
      await search();
    } catch (error) {
      report(error); // the next round searches the same time again
    }
    if (isClosed) return;
    startAttempts();
    timer = setTimeout(() => (searching = round()), intervalMs);
  };
  let searching = round();

  return {
    async close() {
      isClosed = true;
      clearTimeout(timer);
      await searching;
      await Promise.all(attempts);
    },
  };
}

/** What a webhook says of a key: neither its networks nor its metadata. */
function publicView({ id, ownerId, name, start, environment, status, scopes, expiresAt }: ApiKey): object {
  return { id, ownerId, name, start, environment, status, scopes, expiresAt };
}
