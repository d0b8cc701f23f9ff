import { randomUUID } from "node:crypto";
import { deepFreeze } from "../../internal/freeze.js";
import type { KeyRecord } from "./record.js";
import type { AuditAction, AuditEntry } from "./store.js";

/**
 * Makes an entry for the audit trail, with an id of its own. Ids of one process sort by time, and by their
 * order within a millisecond.
 *
 * @example
 * const entry = createAuditEntry("used", { id: event.keyId, ownerId: event.ownerId }, event.at, null, { path });
 */
export function createAuditEntry(
  action: AuditAction,
  key: Pick<KeyRecord, "id" | "ownerId">,
  at: Date,
  actor: string | null,
  details: AuditEntry["details"] = {},
): AuditEntry {
  return {
    id: auditId(at),
    at,
    action,
    keyId: key.id,
    ownerId: key.ownerId,
    actor,
    details: deepFreeze(details),
  };
}

let lastAudit = 0;
let auditsWithin = 0;

function auditId(at: Date): string {
  const time = Math.max(0, at.getTime());
  if (time > lastAudit) [lastAudit, auditsWithin] = [time, 0];
  else auditsWithin += 1; // also when the clock goes back: the order within a millisecond must not
  const [first, second] = [time, auditsWithin].map((number) => number.toString(16).padStart(12, "0"));
  return `${first}-${second}-${randomUUID().slice(0, 18)}`;
}
