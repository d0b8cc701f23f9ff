import type { ApiKey, AuditEntry, Page } from "../kit.js";
import type { Column } from "./output.js";
import { shortened } from "./printable.js";

/** The columns of a list of keys. */
export const KEY_COLUMNS: readonly Column<ApiKey>[] = [
  { title: "ID", text: ({ id }) => id },
  { title: "OWNER", text: ({ ownerId }) => ownerId },
  { title: "ENVIRONMENT", text: ({ environment }) => environment ?? "-" },
  { title: "STATUS", text: ({ status }) => status },
  { title: "START", text: ({ start }) => start || "-" },
  { title: "CREATED", text: ({ createdAt }) => moment(createdAt) },
  { title: "LAST USED", text: ({ lastUsedAt }) => moment(lastUsedAt) },
  { title: "EXPIRES", text: ({ expiresAt }) => moment(expiresAt) },
  { title: "SCOPES", text: ({ scopes }) => shortened(scopes.join(" ") || "-", 60) },
  { title: "NAME", text: ({ name }) => shortened(name ?? "-", 60) },
];

/** The columns of an audit trail. */
export const AUDIT_COLUMNS: readonly Column<AuditEntry>[] = [
  { title: "AT", text: ({ at }) => moment(at) },
  { title: "ACTION", text: ({ action }) => action },
  { title: "KEY", text: ({ keyId }) => keyId },
  { title: "OWNER", text: ({ ownerId }) => ownerId },
  { title: "ACTOR", text: ({ actor }) => actor ?? "-" },
  { title: "DETAILS", text: ({ details }) => shortened(JSON.stringify(details), 120) },
];

/** All there is to say of a key, without what it has not. */
export function factsOf(key: ApiKey): [name: string, value: string][] {
  const facts: [string, string | null][] = [
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
    ["created", optional(key.createdAt)],
    ["last used", optional(key.lastUsedAt) ?? "never"],
    ["expires", optional(key.expiresAt) ?? "never"],
    ["disabled", optional(key.disabledAt)],
    ["revoked", optional(key.revokedAt)],
    ["reason", key.revokedReason],
    ["rotated", optional(key.rotatedAt)],
    ["replaced by", key.replacedBy],
    ["replaces", key.replaces],
  ];
  return facts.filter((fact): fact is [string, string] => fact[1] !== null && fact[1] !== "");
}

/** A date as it stands in a table: ISO 8601, to the second. */
export function moment(date: Date | null): string {
  return optional(date) ?? "-";
}

function optional(date: Date | null): string | null {
  return date?.toISOString().replace(/\.\d{3}Z$/, "Z") ?? null;
}

const PAGE = 200;

/** Walks through pages of a list, up to so many items; says when there are more. */
export async function* pagesOf<T>(
  ask: (page: { limit: number; cursor?: string }) => Promise<Page<T>>,
  most: number,
  onMore?: () => void,
): AsyncGenerator<readonly T[]> {
  let left = most;
  let cursor: string | undefined;
  do {
    const limit = Math.min(left, PAGE);
    const page = await ask(cursor === undefined ? { limit } : { limit, cursor });
    yield page.items;
    left -= page.items.length;
    cursor = page.nextCursor;
  } while (cursor !== undefined && left > 0);
  if (cursor !== undefined) onMore?.();
}
