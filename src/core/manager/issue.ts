import { randomUUID } from "node:crypto";
import { startOf } from "../keys/format.js";
import type { KeyRecord } from "../keys/record.js";
import type { PreparedManager } from "./options.js";

/** The initial state of every record, a successor's included. */
export const INITIAL_STATE = {
  suspendedAt: null,
  lastUsedAt: null,
  revokedAt: null,
  revokedReason: null,
  rotatedAt: null,
  replacedBy: null,
} as const;

type Generated = "id" | "hash" | "version" | "start" | "createdAt" | "updatedAt" | keyof typeof INITIAL_STATE;

/** A new record and its secret. */
export interface IssuedRecord {
  readonly secret: string;
  readonly record: KeyRecord;
}

/**
 * Generates a secret and the record of its key.
 *
 * @throws TypeError if the format cannot parse the secret it generated.
 */
export function issueRecord(
  { format, hashers }: PreparedManager<string>,
  members: Omit<KeyRecord, Generated>,
  at: Date,
): IssuedRecord {
  const secret = format.generate?.(format.environments && (members.environment ?? undefined)) as string;
  if (!format.parse(secret)) {
    throw new TypeError('createKeyManager: "format" cannot parse a secret that it generated');
  }
  const record = {
    ...members,
    ...INITIAL_STATE,
    id: `key_${randomUUID().replaceAll("-", "")}`,
    hash: hashers[0](secret),
    version: 1,
    start: startOf(format, secret),
    createdAt: at,
    updatedAt: at,
  };
  return { secret, record };
}
