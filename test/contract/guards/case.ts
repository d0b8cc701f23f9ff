import { expect } from "vitest";
import { lookups, secrets, type Upstream } from "../../unit/adapters/fixtures.js";
import { header, type RawRequest, type RawResponse, REQUEST_ID } from "../../unit/adapters/raw.js";
import { type HandlerBody, PROTECTED } from "../../unit/adapters/routes.js";

/** The code of a denial. */
export type Code = keyof typeof WIRE;

/** The expected response to a request. */
export type Expected =
  /** The handler responds; `owner` is `null` on an optional route without a credential. */
  | {
      readonly kind: "pass";
      readonly owner: string | null;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** The guard denies the request as in {@link WIRE}. */
  | {
      readonly kind: "deny";
      readonly code: Code;
      /** The scopes in the body, for `insufficient_scope`. */
      readonly scopes?: ScopesOfBody;
      /** Whether the body is a problem document (RFC 9457). */
      readonly problem?: boolean;
      /** The number of store lookups. */
      readonly lookups?: number;
      /** `fresh`: an id that the service generated. */
      readonly requestId?: "fresh";
    }
  /** The server or the router rejects the request before any guard. */
  | { readonly kind: "unserved" }
  /** The router may not know the path; if it does, the guard denies the request. */
  | { readonly kind: "guarded" };

interface ScopesOfBody {
  readonly requiredScopes: readonly string[];
  readonly grantedScopes: readonly string[];
  readonly missingScopes: readonly string[];
}

/** A request and the expected response in every framework. */
export interface Case {
  readonly id: string;
  readonly request: RawRequest;
  readonly expected: Expected;
  /** The proxy in front of the service; none by default. */
  readonly behind?: Upstream;
  /** Whether a Fetch `Request` cannot express the request. */
  readonly wireOnly?: boolean;
}

const INVALID_TOKEN = 'Bearer realm="fleet", error="invalid_token"';

interface WireLine {
  readonly status: string;
  readonly message: string;
  readonly challenge?: string;
  readonly headers?: readonly string[];
}

/** The wire contract. */
const WIRE = {
  missing_credential: {
    status: "401 Unauthorized",
    message: "Authentication required. Provide a valid API key via Authorization: Bearer <token>",
    challenge: 'Bearer realm="fleet"',
  },
  malformed_credential: {
    status: "401 Unauthorized",
    message: "The credential cannot be read. Send exactly one, as Authorization: Bearer <token>",
    challenge: 'Bearer realm="fleet", error="invalid_request"',
  },
  invalid_key: {
    status: "401 Unauthorized",
    message: "The API key is not valid.",
    challenge: INVALID_TOKEN,
  },
  wrong_environment: {
    status: "401 Unauthorized",
    message: "The API key belongs to another environment.",
    challenge: INVALID_TOKEN,
  },
  ip_not_allowed: {
    status: "403 Forbidden",
    message: "The API key may not be used from this network address.",
  },
  insufficient_scope: {
    status: "403 Forbidden",
    message: "The API key lacks a scope that this request needs.",
  },
  rate_limited: {
    status: "429 Too Many Requests",
    message: "Too many requests. Try again later.",
    headers: ['ratelimit: "key";r=0;t=30', 'ratelimit-policy: "key";q=1;w=60', "retry-after: 30"],
  },
} as const satisfies Record<string, WireLine>;

export const bearer = (secret: string): string => `Authorization: Bearer ${secret}`;

export const pass = (owner: string | null, headers: Readonly<Record<string, string>> = {}): Expected => ({
  kind: "pass",
  owner,
  headers,
});

export const deny = (
  code: Code,
  more: Omit<Extract<Expected, { kind: "deny" }>, "kind" | "code"> = {},
): Expected => ({
  kind: "deny",
  code,
  ...more,
});

export const lacks = (
  requiredScopes: readonly string[],
  grantedScopes: readonly string[],
  missingScopes: readonly string[] = requiredScopes,
): Expected => deny("insufficient_scope", { scopes: { requiredScopes, grantedScopes, missingScopes } });

export const UNSERVED: Expected = { kind: "unserved" };
export const GUARDED: Expected = { kind: "guarded" };

/** The header lines except those of the server and the connection. */
export function chosenLines(response: RawResponse): readonly string[] {
  return response.lines.filter((line) => !/^(date|connection|keep-alive):/i.test(line));
}

/** The parts of a response that must be the same in every framework. */
export function comparable(response: RawResponse): string {
  return [response.statusLine, ...chosenLines(response), "", response.body].join("\r\n");
}

/** Sends the request of a case and checks the response. */
export async function check(
  { request, expected }: Case,
  send: (request: RawRequest) => Promise<RawResponse | undefined>,
): Promise<void> {
  const before = lookups.count;
  const response = await send(request);
  expectNoSecrets(response);
  if (expected.kind === "pass") return expectPass(response, request, expected);
  expect(response?.body ?? "").not.toContain(PROTECTED);
  if (expected.kind === "deny") {
    if (expected.lookups !== undefined) expect(lookups.count - before, "lookups").toBe(expected.lookups);
    return expectDenial(response, request, expected);
  }
  // The server may close the connection, and may respond to OPTIONS for any path.
  if (response === undefined || request.method === "OPTIONS") return;
  const rejected = [400, 404, 405, 431, 501];
  expect(expected.kind === "guarded" ? [401, ...rejected] : rejected).toContain(response.status);
}

function expectPass(
  response: RawResponse | undefined,
  request: RawRequest,
  expected: Extract<Expected, { kind: "pass" }>,
): void {
  expect(response?.statusLine).toBe("HTTP/1.1 200 OK");
  if (response === undefined) return;
  for (const [name, value] of Object.entries(expected.headers ?? {}))
    expect(header(response, name)).toBe(value);
  expect(header(response, "www-authenticate")).toBeUndefined();
  if (request.method === "HEAD") {
    expect(response.body).toBe("");
    return;
  }
  const body: HandlerBody = JSON.parse(response.body);
  expect(body).toMatchObject({ body: PROTECTED, owner: expected.owner });
}

function expectDenial(
  response: RawResponse | undefined,
  request: RawRequest,
  expected: Extract<Expected, { kind: "deny" }>,
): void {
  if (response === undefined) throw new Error("no response");
  const line: WireLine = WIRE[expected.code];
  const requestId = expected.requestId === "fresh" ? header(response, "x-request-id") : request.requestId;
  if (expected.requestId === "fresh") {
    expect(requestId).toMatch(/^[A-Za-z0-9-]{36}$/);
    expect(requestId).not.toBe(request.requestId);
  }
  const members = {
    message: line.message,
    code: expected.code,
    requestId: requestId ?? REQUEST_ID,
    ...expected.scopes,
  };
  const [status, ...title] = line.status.split(" ");
  const body = JSON.stringify(
    expected.problem
      ? {
          type: "about:blank",
          title: title.join(" "),
          status: Number(status),
          detail: line.message,
          ...members,
        }
      : members,
  );
  const challenge = expected.scopes
    ? `Bearer realm="fleet", error="insufficient_scope", scope="${expected.scopes.requiredScopes.join(" ")}"`
    : line.challenge;
  expect(response.statusLine).toBe(`HTTP/1.1 ${line.status}`);
  expect(response.body).toBe(request.method === "HEAD" ? "" : body);
  expect(chosenLines(response)).toEqual([
    "cache-control: no-store",
    `content-length: ${Buffer.byteLength(body)}`,
    `content-type: application/${expected.problem ? "problem+json" : "json"}`,
    ...(line.headers ?? []),
    ...(challenge === undefined ? [] : [`www-authenticate: ${challenge}`]),
    `x-request-id: ${members.requestId}`,
  ]);
}

/** Checks that a response has no part of a secret. */
export function expectNoSecrets(response: RawResponse | undefined): void {
  if (response === undefined) return;
  const text = [response.statusLine, ...response.lines, response.body].join("\n");
  for (const secret of Object.values(secrets))
    expect(text).not.toContain(secret.slice("ezt_live_".length, -6));
}
