import { expect } from "vitest";
import { lookups, secrets, type Upstream } from "../../unit/adapters/fixtures.js";
import { header, type RawRequest, type RawResponse, REQUEST_ID } from "../../unit/adapters/raw.js";
import { type HandlerBody, PROTECTED } from "../../unit/adapters/routes.js";

/** The codes of a refusal. */
export type Code = keyof typeof WIRE;

/** What must become of a request. */
export type Expected =
  /** The handler answers, for a key of this owner, or for nobody on an optional route. */
  | {
      readonly kind: "pass";
      readonly owner: string | null;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** The guard answers, in the words of the wire table. */
  | {
      readonly kind: "deny";
      readonly code: Code;
      /** For `insufficient_scope`: the scopes in the body. */
      readonly scopes?: ScopesOfBody;
      /** A problem document of RFC 9457. */
      readonly problem?: boolean;
      /** How often the store is asked; for refusals that must come before any lookup, 0. */
      readonly lookups?: number;
      /** `fresh`: an id that the service made up. */
      readonly requestId?: "fresh";
    }
  /** Not a request for a guard: the server or the router refuse it, in their own words. */
  | { readonly kind: "unserved" }
  /** Whether the router serves the path is its business; if it does, the guard stands in front. */
  | { readonly kind: "guarded" };

interface ScopesOfBody {
  readonly requiredScopes: readonly string[];
  readonly grantedScopes: readonly string[];
  readonly missingScopes: readonly string[];
}

/** One line of the table: a request and what must become of it, in every framework. */
export interface Case {
  /** What the request is, in words. */
  readonly id: string;
  readonly request: RawRequest;
  readonly expected: Expected;
  /** What stands in front of the service; nothing by default. */
  readonly behind?: Upstream;
  /** Bytes that have no form as a Fetch `Request`. */
  readonly wireOnly?: boolean;
}

const INVALID_TOKEN = 'Bearer realm="fleet", error="invalid_token"';

interface WireLine {
  readonly status: string;
  readonly message: string;
  readonly challenge?: string;
  readonly headers?: readonly string[];
}

/** The contract, written out. */
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

/** The header lines that a service chooses: not the time, nor how the connection goes on. */
export function chosenLines(response: RawResponse): readonly string[] {
  return response.lines.filter((line) => !/^(date|connection|keep-alive):/i.test(line));
}

/** Everything of a response that must be the same in every framework. */
export function comparable(response: RawResponse): string {
  return [response.statusLine, ...chosenLines(response), "", response.body].join("\r\n");
}

/** Asks, and holds the answer to what the case expects. */
export async function check(
  { request, expected }: Case,
  ask: (request: RawRequest) => Promise<RawResponse | undefined>,
): Promise<void> {
  const before = lookups.count;
  const response = await ask(request);
  expectNoSecrets(response);
  if (expected.kind === "pass") return expectPass(response, request, expected);
  expect(response?.body ?? "").not.toContain(PROTECTED);
  if (expected.kind === "deny") {
    if (expected.lookups !== undefined) expect(lookups.count - before, "lookups").toBe(expected.lookups);
    return expectDenial(response, request, expected);
  }
  // No answer at all is what a server that hangs up gives, and OPTIONS may be answered for any path.
  if (response === undefined || request.method === "OPTIONS") return;
  const refused = [400, 404, 405, 431, 501];
  expect(expected.kind === "guarded" ? [401, ...refused] : refused).toContain(response.status);
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
  if (response === undefined) throw new Error("no answer");
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

/** No answer holds a secret, nor the random part of one. */
export function expectNoSecrets(response: RawResponse | undefined): void {
  if (response === undefined) return;
  const text = [response.statusLine, ...response.lines, response.body].join("\n");
  for (const secret of Object.values(secrets))
    expect(text).not.toContain(secret.slice("ezt_live_".length, -6));
}
