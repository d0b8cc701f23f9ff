import {
  type AuditEntry,
  CHANGEABLE_MEMBERS,
  type KeyChange,
  type KeyChanges,
  type KeyRecord,
  StoreError,
} from "../../kit.js";
import { encodeMember, jsonFormat } from "../json-codec.js";
import { createAuditDecoder, parseJson } from "../record-codec.js";
import { decodePosition, encodeNewPosition } from "./layout.js";

/** Encodes a change: the name of each member, followed by its JSON. */
export function encodeChange(change: KeyChange): string[] {
  const given = CHANGEABLE_MEMBERS.filter((name) => change[name] !== undefined);
  return given.flatMap((name) => [name, encodeMember(name, change[name])]);
}

/** Encodes an audit entry: its position in the trail, and the rest as JSON. */
export function encodeAudit(entry: AuditEntry): { readonly position: string; readonly body: string } {
  const { action, keyId, ownerId, actor, details } = entry;
  return {
    position: encodeNewPosition(entry),
    body: JSON.stringify({ action, keyId, ownerId, actor: actor ?? null, details }),
  };
}

/** Decodes a member of a trail. @throws StoreError if it is not an audit entry. */
export function decodeAudit(text: unknown): AuditEntry {
  const [position = "", body] = typeof text === "string" ? text.split("\n", 2) : [];
  const { at, id } = decodePosition(position) ?? {};
  return decodeEntry({ ...(parseJson(body) as object), id, at: at?.getTime() });
}

const decodeEntry = createAuditDecoder(
  jsonFormat(["id", "at", "action", "keyId", "ownerId", "actor", "details"]),
);

const STREAM_ID = /^\d{1,19}-\d{1,19}$/;

/** Whether a string has the form of an id of a stream, such as `1700000000000-0`. */
export function isStreamId(text: string): boolean {
  return STREAM_ID.test(text);
}

/** Decodes the result of the script that reads changes. */
export function decodeChanges(result: unknown): KeyChanges {
  const [position, all, ...keyIds] = Array.isArray(result) ? result : [];
  if (typeof position !== "string" || !isStreamId(position)) {
    throw new StoreError("A script of the Redis store did not return the changes");
  }
  // A change without an id is that of an owner.
  if (all === "all" || keyIds.includes("")) return { position, keyIds: "all" };
  return { position, keyIds: keyIds.map((id) => parseJson(`"${id}"`) as string) };
}

/**
 * Decodes a record of a batch. If it is damaged, reading any member of the result throws: only the lookup of this key
 * must fail, not the others in the batch.
 */
export function decodeInBatch(decodeKey: (text: unknown) => KeyRecord, text: unknown): KeyRecord {
  try {
    return decodeKey(text);
  } catch (error) {
    const fail = (): never => {
      throw error;
    };
    return new Proxy({} as KeyRecord, { get: fail });
  }
}
