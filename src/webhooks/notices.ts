import { createHash } from "node:crypto";
import type { ApiKey, AuditEntry, Page } from "../kit.js";
import type { PreparedWebhooks } from "./options.js";

/** Something that the owner of a key should know. */
export interface Notice {
  /** The same in every process and at every attempt. */
  readonly id: string;
  readonly type: "key.leaked" | "keys.expiring";
  readonly keyId: string;
  readonly ownerId: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** When it is no longer tried. */
  readonly until: number;
  /** Further members of `data`. */
  readonly data: Readonly<Record<string, unknown>>;
}

const PAGE_SIZE = 1_000;

/**
 * Finds the leaks in the audit trail since a time. The entry of a change is written in its transaction, so every change that
 * is committed has its notice, whatever happens to the process.
 */
export async function* findLeaks(
  { keys, retryForMs }: PreparedWebhooks,
  since: number,
): AsyncGenerator<Notice> {
  let cursor: string | undefined;
  do {
    const page: Page<AuditEntry> = await keys.auditTrail({
      limit: PAGE_SIZE,
      ...(cursor !== undefined && { cursor }),
    });
    for (const { id, at, action, keyId, ownerId, details } of page.items) {
      if (at.getTime() < since) return; // newest first
      const { leak, outcome = action } = details;
      if (leak === undefined) continue;
      const data = { leak, outcome };
      yield {
        id,
        type: "key.leaked",
        keyId,
        ownerId,
        at: at.getTime(),
        until: at.getTime() + retryForMs,
        data,
      };
    }
    cursor = page.nextCursor;
  } while (cursor !== undefined);
}

/** Finds the keys that expire soon. */
export async function* findExpiring({
  keys,
  expiresWithinMs,
  now,
}: PreparedWebhooks): AsyncGenerator<Notice> {
  let cursor: string | undefined;
  do {
    const page: Page<ApiKey> = await keys.list({
      status: "active",
      limit: PAGE_SIZE,
      ...(cursor !== undefined && { cursor }),
    });
    for (const { id, ownerId, expiresAt } of page.items) {
      const until = expiresAt?.getTime() ?? Number.POSITIVE_INFINITY;
      if (until > now() + expiresWithinMs) continue;
      yield {
        id: expiryId(id, until),
        type: "keys.expiring",
        keyId: id,
        ownerId,
        at: now(),
        until,
        data: {},
      };
    }
    cursor = page.nextCursor;
  } while (cursor !== undefined);
}

function expiryId(keyId: string, expiresAt: number): string {
  return `expiring_${createHash("sha256").update(`${keyId} ${expiresAt}`).digest("hex").slice(0, 32)}`;
}

/** Whether the audit trail of the key says that a notice was delivered. */
export async function isDelivered({ keys }: PreparedWebhooks, { keyId, id }: Notice): Promise<boolean> {
  const { items } = await keys.auditTrail({ keyId, limit: PAGE_SIZE });
  return items.some(({ action, details }) => action === "notified" && details.notice === id);
}

/** Records in the audit trail that a notice was delivered. */
export async function recordDelivery({ store, now }: PreparedWebhooks, notice: Notice): Promise<void> {
  const { id, type, keyId, ownerId } = notice;
  const details = { notice: id, type };
  const at = new Date(now());
  await store.appendAudit?.([
    { id: `${id}-notified`, at, action: "notified", keyId, ownerId, actor: null, details },
  ]);
}
