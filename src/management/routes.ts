import type { ProblemCode } from "./error-codes.js";

/** The routes of the management API. */
export type RouteName =
  | "list"
  | "create"
  | "get"
  | "update"
  | "revoke"
  | "rotate"
  | "disable"
  | "enable"
  | "audit"
  | "me"
  | "openapi";

/** Paths of the routes, below the base path. */
export interface RoutePaths {
  /** `/api-keys` by default. */
  readonly keys?: string;
  /** `/me` by default. */
  readonly me?: string;
  /** `/openapi.json` by default. */
  readonly openapi?: string;
}

/** One route. The router, the handler and the OpenAPI document use the same entry. */
export interface Route {
  readonly name: RouteName;
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  readonly at: keyof RoutePaths;
  /** The rest of the path: absent, an id, or an id and an action. */
  readonly item?: "{id}" | `{id}/${string}`;
  /** What a request needs: the `read` or `write` requirement, any valid API key, or nothing. */
  readonly needs: "read" | "write" | "key" | "nothing";
  readonly query?: "list" | "audit" | "revoke";
  readonly body?: "create" | "update" | "rotate" | "revoke" | "none";
  /** Whether a request may have an `Idempotency-Key`. */
  readonly idempotencyKey?: true;
  /** Whether a request may have an `If-Match`. */
  readonly ifMatch?: true;
  readonly status: 200 | 201;
  readonly summary: string;
  /** Error codes, in addition to those that every route has. */
  readonly problems: readonly ProblemCode[];
}

const CHANGE = ["not_found", "key_state", "key_conflict"] as const;
const LIMIT = ["key_state", "key_limit"] as const;
const IDEMPOTENT = ["invalid_idempotency_key", "idempotency_in_progress", "idempotency_key_reused"] as const;
const GRANT = ["insufficient_scope", "exceeds_own_key", "token_not_allowed"] as const;

export const ROUTES: readonly Route[] = [
  {
    name: "list",
    method: "GET",
    at: "keys",
    needs: "read",
    query: "list",
    status: 200,
    summary: "Lists the keys of the owner, newest first",
    problems: [],
  },
  {
    name: "create",
    method: "POST",
    at: "keys",
    needs: "write",
    body: "create",
    idempotencyKey: true,
    status: 201,
    summary: "Creates a key. The secret is in this response only",
    problems: [...LIMIT, ...GRANT, ...IDEMPOTENT],
  },
  {
    name: "get",
    method: "GET",
    at: "keys",
    item: "{id}",
    needs: "read",
    status: 200,
    summary: "Returns a key",
    problems: ["not_found"],
  },
  {
    name: "update",
    method: "PATCH",
    at: "keys",
    item: "{id}",
    needs: "write",
    body: "update",
    ifMatch: true,
    status: 200,
    summary: "Changes a key. Absent members stay, null removes a member",
    problems: [...CHANGE, "key_changed", "key_limit", ...GRANT],
  },
  {
    name: "revoke",
    method: "DELETE",
    at: "keys",
    item: "{id}",
    needs: "write",
    query: "revoke",
    body: "revoke",
    status: 200,
    summary: "Revokes a key permanently. A second revocation changes nothing",
    problems: CHANGE,
  },
  {
    name: "rotate",
    method: "POST",
    at: "keys",
    item: "{id}/rotate",
    needs: "write",
    body: "rotate",
    idempotencyKey: true,
    ifMatch: true,
    status: 201,
    summary: "Issues a successor. The secret is in this response only",
    problems: [...CHANGE, "key_changed", "key_limit", ...GRANT, ...IDEMPOTENT],
  },
  {
    name: "disable",
    method: "POST",
    at: "keys",
    item: "{id}/disable",
    needs: "write",
    body: "none",
    status: 200,
    summary: "Disables a key until it is enabled again",
    problems: CHANGE,
  },
  {
    name: "enable",
    method: "POST",
    at: "keys",
    item: "{id}/enable",
    needs: "write",
    body: "none",
    ifMatch: true,
    status: 200,
    summary: "Enables a disabled key",
    problems: [...CHANGE, "key_changed", ...GRANT],
  },
  {
    name: "audit",
    method: "GET",
    at: "keys",
    item: "{id}/audit",
    needs: "read",
    query: "audit",
    status: 200,
    summary: "Lists the audit trail of a key, newest first",
    problems: ["not_found"],
  },
  {
    name: "me",
    method: "GET",
    at: "me",
    needs: "key",
    status: 200,
    summary: "Returns the key that makes the request",
    problems: ["not_an_api_key"],
  },
  {
    name: "openapi",
    method: "GET",
    at: "openapi",
    needs: "nothing",
    status: 200,
    summary: "Returns this document",
    problems: [],
  },
];
