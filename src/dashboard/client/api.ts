import type { SessionBody } from "../session-body.js";

export type KeyStatus = "active" | "disabled" | "suspended" | "expired" | "revoked" | "retiring";

/** A key, as the management API sends it. */
export interface Key {
  readonly id: string;
  readonly version: number | null;
  readonly name: string | null;
  readonly start: string;
  readonly environment: string | null;
  readonly status: KeyStatus;
  readonly scopes: readonly string[];
  readonly ipAllowlist: readonly string[] | null;
  readonly rateLimit: { readonly limit: number; readonly windowSeconds: number } | null;
  readonly createdAt: string | null;
  readonly updatedAt: string | null;
  readonly expiresAt: string | null;
  readonly lastUsedAt: string | null;
  readonly disabledBy: "owner" | "operator" | null;
  readonly revokedAt: string | null;
  readonly revokedReason: string | null;
  readonly rotatedAt: string | null;
  readonly replacedBy: string | null;
  readonly replaces: string | null;
  readonly createdBy: string | null;
}

export interface Entry {
  readonly id: string;
  readonly at: string;
  readonly action: string;
  readonly actor: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor?: string;
}

export interface Issued {
  readonly secret: string;
  readonly key: Key;
}

/** An error response, or none: then the code is `offline`. */
export class ApiError extends Error {
  readonly code: string;
  readonly status: number;
  /** Invalid members of the body, by path. */
  readonly issues: readonly { readonly path: string; readonly message: string }[];

  constructor(status: number, code: string, message: string, issues: ApiError["issues"] = []) {
    super(message);
    this.status = status;
    this.code = code;
    this.issues = issues;
  }
}

interface Call {
  readonly method?: "GET" | "POST" | "PATCH" | "DELETE";
  readonly body?: object;
  /** The key that the person saw when they made the change. */
  readonly seen?: Key;
}

async function call<T>(path: string, { method = "GET", body, seen }: Call = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (method !== "GET") headers["Content-Type"] = "application/json";
  if (seen) headers["If-Match"] = `"${seen.version}"`;
  let response: Response;
  try {
    response = await fetch(`-/${path}`, {
      method,
      headers,
      credentials: "same-origin",
      cache: "no-store",
      ...(method !== "GET" && { body: JSON.stringify(body ?? {}) }),
    });
  } catch {
    throw new ApiError(0, "offline", "");
  }
  const result = await response.json().catch(() => ({}));
  if (response.ok) return result;
  throw new ApiError(response.status, result.code ?? "unavailable", result.message ?? "", result.errors);
}

const pathOf = ({ id }: Pick<Key, "id">, action = "") => `api/keys/${encodeURIComponent(id)}${action}`;

export type Filters = Readonly<Record<"status" | "environment" | "search", string>>;

const queryOf = (members: Readonly<Record<string, string | undefined>>) =>
  new URLSearchParams(Object.entries(members).filter((one): one is [string, string] => !!one[1]));

export const api = {
  session: () => call<SessionBody>("session"),
  redeem: (code: string) => call<object>("portal", { method: "POST", body: { code } }),
  list: (filters: Filters, cursor?: string) => call<Page<Key>>(`api/keys?${queryOf({ ...filters, cursor })}`),
  descendants: ({ id }: Key) => call<Page<Key>>(`api/keys?${queryOf({ createdByKey: id, limit: "100" })}`),
  get: (id: string) => call<Key>(pathOf({ id })),
  create: (body: object) => call<Issued>("api/keys", { method: "POST", body }),
  update: (seen: Key, body: object) => call<Key>(pathOf(seen), { method: "PATCH", body, seen }),
  rotate: (seen: Key, body: object) => call<Issued>(pathOf(seen, "/rotate"), { method: "POST", body, seen }),
  revoke: (key: Key, body: object) => call<Key>(pathOf(key), { method: "DELETE", body }),
  disable: (key: Key) => call<Key>(pathOf(key, "/disable"), { method: "POST" }),
  enable: (seen: Key) => call<Key>(pathOf(seen, "/enable"), { method: "POST", seen }),
  history: ({ id }: Key, cursor?: string) =>
    call<Page<Entry>>(`${pathOf({ id }, "/audit")}?${queryOf({ cursor, limit: "20" })}`),
};
