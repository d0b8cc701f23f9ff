import { describe, expect, test } from "vitest";
import { credentialSource } from "../../../../src/core/requests/credential.js";
import { createDenials, type DenialWording, UNAVAILABLE } from "../../../../src/core/verifier/denials.js";
import { scopes } from "../fixtures.js";

const words: DenialWording = {
  where: "createVerifier",
  noun: "API key",
  source: credentialSource(),
  realm: "fleet",
  exposeKeyState: false,
};
const attempt = { request: { headers: {} }, requirement: undefined };
const refusals = createDenials(scopes, words);
const told = ({ status, code, message, headers, details }: ReturnType<typeof refusals>) => ({
  status,
  code,
  message,
  headers,
  details,
});

const CHALLENGE = { "WWW-Authenticate": 'Bearer realm="fleet"' };
const INVALID_TOKEN = { "WWW-Authenticate": 'Bearer realm="fleet", error="invalid_token"' };
const ELSEWHERE = {
  status: 403,
  code: "ip_not_allowed",
  message: "The API key may not be used from this network address.",
  headers: {},
  details: {},
};

test("no credential: what to send, and a challenge without an error (RFC 6750, 3.1)", () => {
  expect(told(refusals(attempt, "missing_credential"))).toEqual({
    status: 401,
    code: "missing_credential",
    message: "Authentication required. Provide a valid API key via Authorization: Bearer <token>",
    headers: CHALLENGE,
    details: {},
  });
});

test("a credential that cannot be read", () => {
  expect(told(refusals(attempt, "malformed_credential"))).toEqual({
    status: 401,
    code: "malformed_credential",
    message: "The credential cannot be read. Send exactly one, as Authorization: Bearer <token>",
    headers: { "WWW-Authenticate": 'Bearer realm="fleet", error="invalid_request"' },
    details: {},
  });
});

test("another environment", () => {
  expect(told(refusals(attempt, "wrong_environment"))).toEqual({
    status: 401,
    code: "wrong_environment",
    message: "The API key belongs to another environment.",
    headers: INVALID_TOKEN,
    details: {},
  });
});

test("whatever else is wrong with a key is one and the same answer", () => {
  const reasons = [
    "unrecognized_format",
    "unknown_key",
    "invalid_token",
    "not_yet_valid",
    "key_changed",
    "token_revoked",
    "environment_mismatch",
    "revoked",
    "disabled",
    "expired",
  ] as const;
  const [first, ...others] = reasons.map((reason) => refusals(attempt, reason));
  expect(first && told(first)).toEqual({
    status: 401,
    code: "invalid_key",
    message: "The API key is not valid.",
    headers: INVALID_TOKEN,
    details: {},
  });
  for (const other of others) expect(other).toBe(first);
});

test.each([
  ["revoked", "The API key has been revoked."],
  ["disabled", "The API key is disabled."],
  ["expired", "The API key has expired."],
] as const)("with exposeKeyState, %s is told", (reason, message) => {
  const open = createDenials(scopes, { ...words, exposeKeyState: true });
  expect(told(open(attempt, reason))).toEqual({
    status: 401,
    code: "invalid_key",
    message,
    headers: INVALID_TOKEN,
    details: { reason },
  });
  expect(open(attempt, "unknown_key").details).toEqual({});
});

test("another network, or an unknown one", () => {
  expect(told(refusals(attempt, "ip_not_allowed"))).toEqual(ELSEWHERE);
  expect(told(refusals(attempt, "ip_unknown"))).toEqual(ELSEWHERE);
});

describe("scopes", () => {
  const holder = { id: "key_1", ownerId: "acme", environment: null, scopes: ["vehicles:read", "gone:read"] };
  const required = ["vehicles:read", "drivers:read"] as const;

  test("what is required, granted and missing is told, of scopes that are defined", () => {
    expect(
      told(refusals({ ...attempt, requirement: required, subject: holder }, "insufficient_scope")),
    ).toEqual({
      status: 403,
      code: "insufficient_scope",
      message: "The API key lacks a scope that this request needs.",
      headers: {
        "WWW-Authenticate":
          'Bearer realm="fleet", error="insufficient_scope", scope="vehicles:read drivers:read"',
      },
      details: {
        requiredScopes: ["vehicles:read", "drivers:read"],
        grantedScopes: ["vehicles:read"],
        missingScopes: ["drivers:read"],
      },
    });
  });

  test("without a holder nothing is granted", () => {
    expect(refusals({ ...attempt, requirement: "vehicles:read" }, "insufficient_scope").details).toEqual({
      requiredScopes: ["vehicles:read"],
      grantedScopes: [],
      missingScopes: ["vehicles:read"],
    });
  });
});

test("over the limit: when to come back, and no challenge", () => {
  const state = { name: "minute", limit: 60, windowSeconds: 60, remaining: 0, resetSeconds: 12 };
  expect(told(refusals(attempt, "rate_limited", { allowed: false, states: [state] }))).toEqual({
    status: 429,
    code: "rate_limited",
    message: "Too many requests. Try again later.",
    headers: {
      RateLimit: '"minute";r=0;t=12',
      "RateLimit-Policy": '"minute";q=60;w=60',
      "Retry-After": "12",
    },
    details: {},
  });
  expect(refusals(attempt, "rate_limited").headers).toEqual({ "Retry-After": "1" });
});

test("nobody could judge: 503, and when to come back", () => {
  expect(told(UNAVAILABLE)).toEqual({
    status: 503,
    code: "unavailable",
    message: "The API key cannot be checked right now. Try again later.",
    headers: { "Retry-After": "1" },
    details: {},
  });
});

test("a noun, a realm and a place of its own", () => {
  const source = credentialSource({ header: "X-API-Key" });
  const own = createDenials(scopes, { ...words, noun: "token", realm: "!#[]~ a", source });
  expect(own(attempt, "missing_credential").message).toBe(
    "Authentication required. Provide a valid token via X-API-Key: <token>",
  );
  expect(own(attempt, "unknown_key").message).toBe("The token is not valid.");
  expect(own(attempt, "unknown_key").headers).toEqual({
    "WWW-Authenticate": 'ApiKey realm="!#[]~ a", error="invalid_token"',
  });
});

test.each([[""], ['a"b'], ["a\\b"], ["a\nb"], ["ä"], ["\x7f"], [7], [["fleet"]], [undefined]])(
  "%j is no realm",
  (realm) => {
    expect(() => createDenials(scopes, { ...words, realm: realm as string })).toThrow(
      new TypeError('createVerifier: "realm" must be printable ASCII without quotes and backslashes'),
    );
  },
);
