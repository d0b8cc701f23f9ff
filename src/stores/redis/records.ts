import { type AuditEntry, CHANGEABLE_MEMBERS, type KeyChange } from "../../kit.js";
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
