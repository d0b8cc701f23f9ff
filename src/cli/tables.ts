import type { ApiKey, AuditEntry, Page } from "../kit.js";
import { formatDate, formatRelative } from "./dates.js";
import { escapeText, truncate } from "./escape.js";
import type { Column, Output } from "./output.js";

/** The columns of a list of keys. */
export const KEY_COLUMNS: readonly Column<ApiKey>[] = [
  { title: "ID", text: ({ id }) => id },
  { title: "OWNER", text: ({ ownerId }) => ownerId },
  { title: "ENVIRONMENT", text: ({ environment }) => environment ?? "-", rank: 2 },
  { title: "STATUS", text: ({ status }) => status },
  { title: "START", text: ({ start }) => start || "-", rank: 1 },
  dateColumn("CREATED", ({ createdAt }) => createdAt, 3),
  dateColumn("LAST USED", ({ lastUsedAt }) => lastUsedAt, 6),
  dateColumn("EXPIRES", ({ expiresAt }) => expiresAt, 4),
  { title: "SCOPES", text: ({ scopes }) => truncate(scopes.join(" ") || "-", 60), rank: 5 },
  { title: "NAME", text: ({ name }) => truncate(name ?? "-", 60), rank: 7 },
];

/** The columns of an audit trail. */
export const AUDIT_COLUMNS: readonly Column<AuditEntry>[] = [
  dateColumn("AT", ({ at }) => at),
  { title: "ACTION", text: ({ action }) => action },
  { title: "KEY", text: ({ keyId }) => keyId },
  { title: "OWNER", text: ({ ownerId }) => ownerId, rank: 1 },
  { title: "ACTOR", text: ({ actor }) => actor ?? "-", rank: 3 },
  { title: "DETAILS", text: ({ details }) => truncate(JSON.stringify(details), 120), rank: 2 },
];

function dateColumn<T>(title: string, dateOf: (item: T) => Date | null, rank?: number): Column<T> {
  const format = (formatted: (date: Date) => string) => (item: T) => {
    const date = dateOf(item);
    return date === null ? "-" : formatted(date);
  };
  return { title, text: format(formatDate), human: format(formatRelative), ...(rank && { rank }) };
}

/** Returns the names and values of all members of a key that are set. On a terminal, dates are relative too. */
export function keyDetails(key: ApiKey, isTerminal: boolean): [name: string, value: string][] {
  const dateText = (date: Date | null) =>
    date && (isTerminal ? `${formatDate(date)} (${formatRelative(date)})` : formatDate(date));
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
    ["created", dateText(key.createdAt)],
    ["created by", key.createdBy],
    ["created by key", key.createdByKey],
    ["last used", dateText(key.lastUsedAt) ?? "never"],
    ["expires", dateText(key.expiresAt) ?? "never"],
    ["disabled", dateText(key.disabledAt)],
    ["disabled by", key.disabledBy],
    ["revoked", dateText(key.revokedAt)],
    ["reason", key.revokedReason],
    ["rotated", dateText(key.rotatedAt)],
    ["replaced by", key.replacedBy],
    ["replaces", key.replaces],
    ["rotation root", key.rotationRoot],
  ];
  return details.filter((detail): detail is [string, string] => detail[1] !== null && detail[1] !== "");
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
