import type { ApiKey } from "keybearer";

/** A key as its user sees it. Only the answer that creates it adds `key`, the secret. */
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

/** What is known of an error, wherever it comes from. */
export interface Failure {
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

/** Every error has this envelope; `issues` say what is wrong with the parameters. */
export function failure({ status, code, message, details = {} }: Failure) {
  const issues = details.errors === undefined ? {} : { issues: details.errors };
  return { success: false, error: { code: CODES[status] ?? code.toUpperCase(), message, ...issues } };
}
