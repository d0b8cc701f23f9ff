import type { ApiKey, GuardArguments, Principal } from "../../../src/index.js";
import type { FleetScope } from "./fixtures.js";

/** What a handler receives in every framework. */
export interface Exchange {
  readonly auth: Principal<FleetScope> | undefined;
  /** Replaces the principal of this request. */
  replace(value: unknown): void;
}

/** A guarded route of every test app. */
export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly guard: GuardArguments<FleetScope>;
  /** Returns the body of a 200. */
  readonly handle: (exchange: Exchange) => string | Promise<string>;
}

/** Part of every handler's body, to recognize responses that a guard must not let out. */
export const PROTECTED = "the protected body";

interface Plan {
  readonly plan: { readonly tier: string; readonly tags: string[] };
}

export interface HandlerBody {
  readonly body: typeof PROTECTED;
  readonly route: string;
  readonly owner: string | null;
  readonly scopes: readonly string[] | null;
}

const respond =
  (route: string): Route["handle"] =>
  ({ auth }) =>
    JSON.stringify({
      body: PROTECTED,
      route,
      owner: auth?.ownerId ?? null,
      scopes: auth?.scopes ?? null,
    } satisfies HandlerBody);

const plain = (method: Route["method"], path: string, ...guard: GuardArguments<FleetScope>): Route => ({
  method,
  path,
  guard,
  handle: respond(`${method} ${path}`),
});

/** Tries to change the principal in every way a handler could. */
function mutate({ auth, replace }: Exchange): string {
  const principal = auth as unknown as Record<string, unknown> & { scopes: string[] };
  const key = principal.key as {
    -readonly [Member in keyof ApiKey]: ApiKey[Member];
  } & { scopes: string[]; metadata: Plan & Record<string, unknown>; expiresAt: Date; createdAt: Date };
  const changes: readonly (() => unknown)[] = [
    () => principal.scopes.push("fleet:admin"),
    () => principal.scopes.splice(0, 1, "fleet:admin"),
    () => key.scopes.push("fleet:admin"),
    () => Object.assign(key.metadata.plan, { tier: "platinum" }),
    () => key.metadata.plan.tags.push("b"),
    () => Object.assign(key.metadata, { extra: true }),
    () => key.expiresAt.setTime(0),
    () => key.createdAt.setTime(0),
    () => (key.ipAllowlist as string[]).splice(0),
    () => Object.assign(key, { status: "revoked", revokedAt: new Date(0) }),
    () => Object.assign(principal, { ownerId: "mallory" }),
    () => Object.defineProperty(principal, "can", { value: () => true }),
    () => Object.setPrototypeOf(principal, { can: () => true }),
    () => replace({ ...principal, ownerId: "mallory", scopes: ["fleet:admin"], can: () => true }),
  ];
  for (const change of changes) {
    try {
      change();
    } catch {
      // The principal is frozen.
    }
  }
  return JSON.stringify({ body: PROTECTED });
}

function inspect({ auth }: Exchange): string {
  const can = auth?.can("fleet:admin");
  return JSON.stringify({ body: PROTECTED, principal: auth, key: auth?.key, can });
}

export const routes: readonly Route[] = [
  plain("GET", "/vehicles", "vehicles:read"),
  plain("PUT", "/vehicles", "vehicles:write"),
  plain("PATCH", "/vehicles", ["vehicles:write"]),
  plain("DELETE", "/vehicles", ["vehicles:write", "drivers:write"]),
  plain("POST", "/drivers", "drivers:write"),
  plain("GET", "/me"),
  plain("GET", "/optional", { optional: true }),
  plain("GET", "/optional-vehicles", "vehicles:read", { optional: true }),
  plain("GET", "/any", { anyOf: ["vehicles:write", "drivers:read"] }),
  plain("GET", "/reports", "reports:read"),
  plain("GET", "/report-only", "vehicles:read", { reportOnly: "vehicles:write" }),
  plain("GET", "/report-only-any", { reportOnly: { anyOf: ["vehicles:write", "drivers:read"] } }),
  plain("GET", "/report-only-optional", { optional: true, reportOnly: "fleet:admin" }),
  plain("GET", "/admin", "fleet:admin"),
  { method: "GET", path: "/mutates", guard: [], handle: mutate },
  { method: "GET", path: "/inspects", guard: [], handle: inspect },
  {
    method: "GET",
    path: "/throws",
    guard: [],
    handle: () => {
      throw new Error("handler failed");
    },
  },
  { method: "GET", path: "/rejects", guard: [], handle: () => Promise.reject(new Error("handler failed")) },
];
