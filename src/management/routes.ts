import type { ProblemCode } from "./problems.js";

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

/** Where the routes are, under the base path. */
export interface RoutePaths {
  /** `/api-keys` by default. */
  readonly keys?: string;
  /** `/me` by default. */
  readonly me?: string;
  /** `/openapi.json` by default. */
  readonly openapi?: string;
}

/** One route: what serves a request, and what the document says of it, come from here. */
export interface Route {
  readonly name: RouteName;
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  readonly at: keyof RoutePaths;
  /** What comes behind the path of the keys: nothing, an id, or an id and a word. */
  readonly item?: "{id}" | `{id}/${string}`;
  /** What a principal needs: the requirement of reading or writing, any key of its own, or nothing. */
  readonly needs: "read" | "write" | "key" | "nothing";
  /** Which query it takes. */
  readonly query?: "list" | "audit" | "revoke";
  /** Which body it takes. */
  readonly body?: "create" | "update" | "rotate" | "revoke" | "none";
  readonly status: 200 | 201;
  readonly summary: string;
  /** Codes of problems beside those that every route has. */
  readonly problems: readonly ProblemCode[];
}

const CHANGE = ["not_found", "key_state", "key_conflict"] as const;
const GRANT = ["insufficient_scope", "exceeds_own_key"] as const;

/** Every route there is. */
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
    status: 201,
    summary: "Creates a key; its secret is in this answer and never again",
    problems: GRANT,
  },
  {
    name: "get",
    method: "GET",
    at: "keys",
    item: "{id}",
    needs: "read",
    status: 200,
    summary: "Shows a key",
    problems: ["not_found"],
  },
  {
    name: "update",
    method: "PATCH",
    at: "keys",
    item: "{id}",
    needs: "write",
    body: "update",
    status: 200,
    summary: "Changes a key; members that are absent stay, null takes away",
    problems: [...CHANGE, ...GRANT],
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
    summary: "Revokes a key for good; of several revocations the first one counts",
    problems: CHANGE,
  },
  {
    name: "rotate",
    method: "POST",
    at: "keys",
    item: "{id}/rotate",
    needs: "write",
    body: "rotate",
    status: 201,
    summary: "Issues a successor; its secret is in this answer and never again",
    problems: [...CHANGE, ...GRANT],
  },
  {
    name: "disable",
    method: "POST",
    at: "keys",
    item: "{id}/disable",
    needs: "write",
    body: "none",
    status: 200,
    summary: "Stops a key until it is enabled again",
    problems: CHANGE,
  },
  {
    name: "enable",
    method: "POST",
    at: "keys",
    item: "{id}/enable",
    needs: "write",
    body: "none",
    status: 200,
    summary: "Lets a disabled key work again",
    problems: [...CHANGE, ...GRANT],
  },
  {
    name: "audit",
    method: "GET",
    at: "keys",
    item: "{id}/audit",
    needs: "read",
    query: "audit",
    status: 200,
    summary: "Lists what happened to a key, newest first",
    problems: ["not_found"],
  },
  {
    name: "me",
    method: "GET",
    at: "me",
    needs: "key",
    status: 200,
    summary: "Shows the key that the request is made with",
    problems: ["not_an_api_key"],
  },
  {
    name: "openapi",
    method: "GET",
    at: "openapi",
    needs: "nothing",
    status: 200,
    summary: "This document",
    problems: [],
  },
];
