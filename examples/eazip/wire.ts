import type { ApiKey } from "keybearer";

/** Returns the public view of a key. Only the response to its creation also has `key`, the secret. */
export function view({ id, name, createdAt, expiresAt, lastUsedAt }: ApiKey) {
  return {
    id,
    name,
    created_at: createdAt,
    expires_at: expiresAt,
    last_used_at: lastUsedAt,
  };
}

export function created({ id, name, ...dates }: ReturnType<typeof view>, key: string) {
  return { success: true, api_key: { id, name, key, ...dates } };
}

/** The members that errors of guards, of the management API and of this API have in common. */
export interface ErrorInfo {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly details?: { readonly errors?: unknown };
}

const CODES: Readonly<Record<number, string>> = {
  400: "VALIDATION_ERROR",
  401: "UNAUTHORIZED",
  403: "FORBIDDEN",
};

/** Returns the body of an error. `issues` has the invalid members of the request. */
export function errorBody({ status, code, message, details = {} }: ErrorInfo) {
  const issues = details.errors === undefined ? {} : { issues: details.errors };
  return { success: false, error: { code: CODES[status] ?? code.toUpperCase(), message, ...issues } };
}
