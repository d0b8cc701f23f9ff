import type { ApiKey, AuditEntry, Page } from "../kit.js";
import { escapeText, truncate } from "./escape.js";
import type { Column, Output } from "./output.js";

/** The columns of a list of keys. */
export const KEY_COLUMNS: readonly Column<ApiKey>[] = [
  { title: "ID", text: ({ id }) => id },
  { title: "OWNER", text: ({ ownerId }) => ownerId },
  { title: "ENVIRONMENT", text: ({ environment }) => environment ?? "-" },
  { title: "STATUS", text: ({ status }) => status },
  { title: "START", text: ({ start }) => start || "-" },
  { title: "CREATED", text: ({ createdAt }) => formatDate(createdAt) ?? "-" },
  { title: "LAST USED", text: ({ lastUsedAt }) => formatDate(lastUsedAt) ?? "-" },
  { title: "EXPIRES", text: ({ expiresAt }) => formatDate(expiresAt) ?? "-" },
  { title: "SCOPES", text: ({ scopes }) => truncate(scopes.join(" ") || "-", 60) },
  { title: "NAME", text: ({ name }) => truncate(name ?? "-", 60) },
];

/** The columns of an audit trail. */
export const AUDIT_COLUMNS: readonly Column<AuditEntry>[] = [
  { title: "AT", text: ({ at }) => formatDate(at) ?? "-" },
  { title: "ACTION", text: ({ action }) => action },
  { title: "KEY", text: ({ keyId }) => keyId },
  { title: "OWNER", text: ({ ownerId }) => ownerId },
  { title: "ACTOR", text: ({ actor }) => actor ?? "-" },
  { title: "DETAILS", text: ({ details }) => truncate(JSON.stringify(details), 120) },
];

/** Returns the names and values of all members of a key that are set. */
export function keyDetails(key: ApiKey): [name: string, value: string][] {
  const details: [string, string | null][] = [
    ["id", key.id],
    ["owner", key.ownerId],
    ["name", key.name],
    ["environment", key.environment],
    ["status", key.status],
    ["start", key.start],
    ["scopes", key.scopes.join(" ") || "none"],
    ["networks", key.ipAllowlist && (key.ipAllowlist.join(" ") || "none")],
    ["rate limit", key.rateLimit && `${key.rateLimit.limit} in ${key.rateLimit.windowSeconds} s`],
    ["metadata", key.metadata && JSON.stringify(key.metadata)],
    ["created", formatDate(key.createdAt)],
    ["last used", formatDate(key.lastUsedAt) ?? "never"],
    ["expires", formatDate(key.expiresAt) ?? "never"],
    ["disabled", formatDate(key.disabledAt)],
    ["revoked", formatDate(key.revokedAt)],
    ["reason", key.revokedReason],
    ["rotated", formatDate(key.rotatedAt)],
    ["replaced by", key.replacedBy],
    ["replaces", key.replaces],
  ];
  return details.filter((detail): detail is [string, string] => detail[1] !== null && detail[1] !== "");
}

/** Formats a date as ISO 8601, to the second. */
function formatDate(date: Date | null): string | null {
  return date?.toISOString().replace(/\.\d{3}Z$/, "Z") ?? null;
}

const PAGE_SIZE = 200;

/** Yields the pages of a list, up to `max` items in total. Logs unreadable items, and `more` if the list has more. */
export async function* paginate<T>(
  fetchPage: (page: { limit: number; cursor?: string }) => Promise<Page<T>>,
  max: number,
  output: Pick<Output, "log">,
  more = "",
): AsyncGenerator<readonly T[]> {
  let left = max;
  let cursor: string | undefined;
  do {
    const limit = Math.min(left, PAGE_SIZE);
    const page = await fetchPage(cursor === undefined ? { limit } : { limit, cursor });
    yield page.items;
    for (const id of page.damaged ?? []) output.log(`${escapeText(id)} cannot be read and is not listed.`);
    left -= page.items.length;
    cursor = page.nextCursor;
  } while (cursor !== undefined && left > 0);
  if (cursor !== undefined && more !== "") output.log(more);
}
