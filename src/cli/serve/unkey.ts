import { readJson } from "../../http/body.js";
import type { RequestHandler } from "../../http/handler.js";
import { jsonResponse } from "../../http/json-response.js";
import type { AuthError, Scopes } from "../../kit.js";
import { toProblem } from "../../management/error-codes.js";
import { type Call, type Run, requireInput } from "./endpoint.js";
import type { CheckSecret } from "./secret-check.js";
import { readRequirement } from "./verify.js";

/** The metadata member that keeps `externalId`. */
const EXTERNAL_ID = "externalId";

type Body = Readonly<Record<string, unknown>>;

/** Runs of the subset of Unkey's API v2 that its client `@unkey/api` needs to create, verify and delete keys. */
export interface UnkeyEndpoints {
  readonly createKey: Run;
  readonly verifyKey: Run;
  readonly deleteKey: Run;
}

/**
 * @param management receives the request as one of the management API, so that the same rules apply. The owner is that of
 *   the root key; `apiId` does not choose another.
 */
export function unkeyEndpoints(
  management: RequestHandler,
  managementPath: string,
  check: CheckSecret,
  scopes: Scopes,
): UnkeyEndpoints {
  const forward = async (call: Call, method: string, path: string, body: object) => {
    const { request, connection, requestId } = call;
    const headers = new Headers({ "content-type": "application/json", "x-request-id": requestId });
    for (const name of ["authorization", "x-forwarded-for", "forwarded"]) {
      const value = request.headers.get(name);
      if (value !== null) headers.set(name, value);
    }
    const url = new URL(`${managementPath}${path}`, request.url);
    const response = await management(
      new Request(url, { method, headers, body: JSON.stringify(body) }),
      connection,
    );
    return { status: response.status, body: (await response.json()) as Body };
  };

  const answer = (
    call: Call,
    result: { readonly status: number; readonly body: Body },
    data: (body: Body) => object,
  ) =>
    result.status < 400
      ? jsonResponse(call.request, call.requestId, 200, {
          meta: { requestId: call.requestId },
          data: data(result.body),
        })
      : unkeyError(
          call,
          result.status,
          String(result.body.code),
          String(result.body.message),
          result.body.errors,
        );

  return {
    createKey: withUnkeyErrors(async (call) => {
      const body = await readBody(call.request);
      const result = await forward(call, "POST", "/api-keys", createBody(body));
      return answer(call, result, ({ secret, key }) => ({ keyId: (key as Body).id, key: secret }));
    }),

    deleteKey: withUnkeyErrors(async (call) => {
      const { keyId, permanent } = await readBody(call.request);
      requireInput(typeof keyId === "string" && /^[\w-]{1,255}$/.test(keyId), "keyId", "must be an id");
      requireInput(permanent !== true, "permanent", "is not supported: revoked keys stay until a purge");
      const path = `/api-keys/${encodeURIComponent(keyId)}`;
      return answer(call, await forward(call, "DELETE", path, {}), () => ({}));
    }),

    verifyKey: withUnkeyErrors(async (call) => {
      const { key, permissions, tags: _, ...others } = await readBody(call.request);
      requireInput(typeof key === "string", "key", "must be a string");
      rejectOthers(others);
      const requirement =
        permissions === undefined ? undefined : readRequirement(readQuery(permissions), scopes);
      const { requestId, principal: caller } = call;
      const result = await check(caller, { secret: key, requirement, requestId });
      return { meta: { requestId }, data: result.ok ? validKey(result.principal) : deniedKey(result.error) };
    }),
  };
}

function createBody(body: Body): object {
  const { apiId, name, meta = {}, externalId, permissions = [], expires, ratelimits, ...rest } = body;
  const { byteLength: _, enabled = true, recoverable = false, ...others } = rest;
  requireInput(typeof apiId === "string", "apiId", "must be a string");
  requireInput(enabled === true, "enabled", "must be true: disable the key afterwards");
  requireInput(recoverable === false, "recoverable", "must be false: only hashes are stored");
  requireInput(
    typeof meta === "object" && meta !== null && !Array.isArray(meta),
    "meta",
    "must be an object",
  );
  requireInput(!Object.hasOwn(meta, EXTERNAL_ID), `meta.${EXTERNAL_ID}`, 'is set by "externalId"');
  requireInput(expires === undefined || Number.isSafeInteger(expires), "expires", "must be milliseconds");
  const expiry = expires === undefined ? undefined : new Date(expires as number);
  requireInput(expiry === undefined || !Number.isNaN(expiry.getTime()), "expires", "must be a date");
  rejectOthers(others);
  return {
    ...(name !== undefined && { name }),
    scopes: permissions,
    metadata: { ...meta, ...(externalId !== undefined && { [EXTERNAL_ID]: externalId }) },
    ...(expiry !== undefined && { expiresAt: expiry.toISOString() }),
    ...(ratelimits !== undefined && { rateLimit: readRateLimit(ratelimits) }),
  };
}

function readRateLimit(given: unknown): object {
  const [first, ...others] = Array.isArray(given) ? given : [];
  const { limit, duration } = (first ?? {}) as Body;
  requireInput(
    others.length === 0 && Number.isSafeInteger(limit) && Number(duration) % 1_000 === 0,
    "ratelimits",
    "must be one limit, whose duration is whole seconds",
  );
  return { limit, windowSeconds: Number(duration) / 1_000 };
}

/** Reads Unkey's permission query, without parentheses: `a`, `a AND b`, `a OR b`. */
function readQuery(query: unknown): unknown {
  requireInput(typeof query === "string", "permissions", "must be a string");
  const names = query.trim().split(/\s+(?:AND|OR)\s+/i);
  const operators = new Set((query.match(/\s(?:AND|OR)\s/gi) ?? []).map((one) => one.trim().toUpperCase()));
  requireInput(operators.size <= 1 && !/[()]/.test(query), "permissions", "must not mix AND and OR");
  return operators.has("OR") ? { anyOf: names } : names;
}

function validKey({ id, scopes, key }: Extract<Awaited<ReturnType<CheckSecret>>, { ok: true }>["principal"]) {
  const { [EXTERNAL_ID]: externalId, ...meta } = key?.metadata ?? {};
  return {
    ...{ valid: true, code: "VALID", keyId: id, enabled: true, permissions: scopes, meta },
    ...(key?.name && { name: key.name }),
    ...(key?.expiresAt && { expires: key.expiresAt.getTime() }),
    ...(typeof externalId === "string" && { identity: { id: externalId, externalId, meta: {} } }),
  };
}

const STATES: Readonly<Record<string, string>> = {
  disabled: "DISABLED",
  owner_suspended: "DISABLED",
  expired: "EXPIRED",
};

function deniedKey({ code, details }: AuthError): object {
  const state = STATES[String(details.reason)] ?? "NOT_FOUND";
  const codes: Readonly<Record<string, string>> = {
    insufficient_scope: "INSUFFICIENT_PERMISSIONS",
    rate_limited: "RATE_LIMITED",
    ip_not_allowed: "FORBIDDEN",
    wrong_environment: "FORBIDDEN",
  };
  return { valid: false, code: codes[code] ?? state };
}

async function readBody(request: Request): Promise<Body> {
  const body = await readJson(request);
  requireInput(typeof body === "object" && body !== null && !Array.isArray(body), "", "must be an object");
  return body as Body;
}

/** Rejects members whose meaning would be lost, such as `credits`. */
function rejectOthers(others: Body): void {
  const [name] = Object.keys(others).filter((one) => others[one] !== undefined);
  requireInput(name === undefined, /^\w{1,32}$/.test(name ?? "") ? (name as string) : "", "is not supported");
}

function withUnkeyErrors(run: Run): Run {
  return async (call) => {
    try {
      return await run(call);
    } catch (error) {
      const { problem, unexpected } = toProblem(error);
      if (unexpected) throw error;
      return unkeyError(call, problem.status, problem.code, problem.message, problem.details.errors);
    }
  };
}

function unkeyError(
  { request, requestId }: Call,
  status: number,
  code: string,
  detail: string,
  errors: unknown = [],
): Response {
  const issues = (errors as readonly { path: string; message: string }[]).map(({ path, message }) => ({
    location: path === "" ? "body" : `body.${path}`,
    message,
  }));
  const error = {
    detail,
    status,
    title: code,
    type: "about:blank",
    ...(status === 400 && { errors: issues }),
  };
  return jsonResponse(request, requestId, status, { meta: { requestId }, error });
}
