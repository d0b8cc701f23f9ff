import { withTimeout } from "../internal/timeout.js";
import type { ApiKey } from "../kit.js";
import { findExpiring, findLeaks, isDelivered, type Notice, recordDelivery } from "./notices.js";
import { type KeyWebhooksOptions, prepareWebhooks } from "./options.js";
import { createQueue, type Pending } from "./queue.js";
import { postJson, WebhookError } from "./request.js";
import { signWebhook } from "./signature.js";

// A notice that is forgotten is looked up in the audit trail again.
const MAX_DONE = 100_000;
/** How far a search goes back beyond the last one: a transaction may commit after its entry was dated, and clocks differ. */
const OVERLAP_MS = 60_000;
/** The whole time of `retryFor` is searched this often, and at the start; so is the list for keys that expire. */
const FULL_SEARCH_MS = 60 * 60_000;
/** The same while notices are left out, because there were too many. */
const FULL_SEARCH_OF_REST_MS = 60_000;
const FIRST_RETRY_MS = 5_000;
const LONGEST_RETRY_MS = 60 * 60_000;

/** Webhooks that are being sent; returned by {@link createKeyWebhooks}. */
export interface KeyWebhooks {
  /** Stops, after the attempts in progress. What was not delivered is found at the next start. */
  close(): Promise<void>;
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
  const { keys, endpoint, intervalMs, retryForMs, timeoutMs, report, now } = options;
  const queue = createQueue();
  /** Notices that need no attempt any more, with the time at which they can be forgotten. */
  const done = new Map<string, number>();
  const attempts = new Set<Promise<void>>();
  let searchedAt = Number.NEGATIVE_INFINITY;
  let fullySearchedAt = Number.NEGATIVE_INFINITY;
  let isComplete = true;
  let isClosed = false;
  let timer: NodeJS.Timeout | undefined;

  const search = async (): Promise<void> => {
    const startedAt = now();
    const fullAt = fullySearchedAt + (isComplete ? FULL_SEARCH_MS : FULL_SEARCH_OF_REST_MS);
    const isFull = startedAt >= fullAt || startedAt < fullySearchedAt; // the clock may be set back
    const since = isFull ? startedAt - retryForMs : Math.max(searchedAt, startedAt - retryForMs) - OVERLAP_MS;
    if (isFull) isComplete = true;
    const add = (notice: Notice) => {
      if (!done.has(notice.id) && !queue.add(notice)) isComplete = false;
    };
    for await (const notice of findLeaks(options, since)) add(notice);
    if (isFull) for await (const notice of findExpiring(options)) add(notice);
    searchedAt = startedAt;
    if (isFull) fullySearchedAt = startedAt;
    for (const [id, until] of done) if (until < startedAt) done.delete(id);
  };

  /** Returns whether the notice needs no further attempt. */
  const deliver = async (notice: Notice): Promise<boolean> => {
    const { id, type, keyId, ownerId, at, until, data } = notice;
    if (await isDelivered(options, notice)) return true; // by another process, or before a restart
    const onTimeout = () => new WebhookError('"endpoint" did not return in time');
    const target = await withTimeout(Promise.resolve(endpoint(ownerId)), timeoutMs, { onTimeout });
    if (target === undefined) return false; // the owner may add one
    const key = await keys.get(keyId);
    const isStale = key?.status !== "active" || key.expiresAt?.getTime() !== until;
    if (type === "keys.expiring" && isStale) return true; // revoked or changed since the search
    const body = JSON.stringify({
      type,
      timestamp: new Date(at).toISOString(),
      data: { key: key === undefined ? { id: keyId, ownerId } : publicView(key), ...data },
    });
    const headers = signWebhook(target.secret, id, Math.floor(now() / 1_000), body);
    await postJson(target.url, { ...headers }, body, options);
    await recordDelivery(options, notice);
    return true;
  };

  const attempt = async (pending: Pending): Promise<void> => {
    const { notice } = pending;
    let isDone = false;
    let isFailed = false;
    try {
      isDone = await deliver(notice);
    } catch (error) {
      isFailed = true;
      report(error, { id: notice.id, ownerId: notice.ownerId });
    }
    const wait = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** pending.attempts++);
    pending.nextAt = now() + wait * (0.5 + Math.random() / 2);
    if (isDone || pending.nextAt >= notice.until) forget(notice);
    queue.release(notice, isFailed);
  };

  const forget = (notice: Notice): void => {
    queue.remove(notice);
    done.set(notice.id, Math.max(notice.until, now()) + 2 * OVERLAP_MS);
    if (done.size > MAX_DONE) done.delete(done.keys().next().value as string);
  };

  const startAttempts = (): void => {
    for (let next = queue.take(now()); next !== undefined; next = queue.take(now())) {
      const started: Promise<void> = attempt(next).finally(() => {
        attempts.delete(started);
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
