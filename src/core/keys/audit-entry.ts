import { randomUUID } from "node:crypto";
import { deepFreeze } from "../../internal/freeze.js";
import type { KeyRecord } from "./record.js";
import type { AuditAction, AuditEntry } from "./store.js";

/**
 * Creates an entry for the audit trail, with a new id. The ids of one process sort by time and, within a millisecond,
 * by the order of creation.
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
    id: createAuditId(at),
    at,
    action,
    keyId: key.id,
    ownerId: key.ownerId,
    actor,
    details: deepFreeze(details),
  };
}

let lastTime = 0;
let sequence = 0;

function createAuditId(at: Date): string {
  const time = Math.max(0, at.getTime());
  if (time > lastTime) [lastTime, sequence] = [time, 0];
  else sequence += 1; // also if the clock moves back, so that the ids of a repeated millisecond stay in order
  const [first, second] = [time, sequence].map((number) => number.toString(16).padStart(12, "0"));
  return `${first}-${second}-${randomUUID().slice(0, 18)}`;
}
