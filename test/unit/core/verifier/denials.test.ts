import { describe, expect, it } from "vitest";
import type { AuthError } from "../../../../src/core/errors.js";
import { credentialSource } from "../../../../src/core/requests/credential.js";
import { createDenials, type DenialWording, UNAVAILABLE } from "../../../../src/core/verifier/denials.js";
import { compileRoute } from "../../../../src/core/verifier/route.js";
import { type FleetScope, scopes } from "../fixtures.js";

const wording: DenialWording = {
  where: "createVerifier",
  noun: "API key",
  source: credentialSource(),
  realm: "fleet",
  exposeKeyState: false,
};
const context = { route: compileRoute<FleetScope>(undefined), subject: undefined };
const createError = createDenials(scopes, wording);
const membersOf = ({ status, code, message, headers, details }: AuthError) => ({
  status,
  code,
  message,
  headers,
  details,
});

const CHALLENGE = { "WWW-Authenticate": 'Bearer realm="fleet"' };
const INVALID_TOKEN = { "WWW-Authenticate": 'Bearer realm="fleet", error="invalid_token"' };
const OTHER_NETWORK = {
  status: 403,
  code: "ip_not_allowed",
  message: "The API key may not be used from this network address.",
  headers: {},
  details: {},
};

it("returns for a missing credential what to send, and a challenge without an error (RFC 6750, 3.1)", () => {
  expect(membersOf(createError(context, "missing_credential"))).toEqual({
    status: 401,
    code: "missing_credential",
    message: "Authentication required. Provide a valid API key via Authorization: Bearer <token>",
    headers: CHALLENGE,
    details: {},
  });
});

it("returns invalid_request for a malformed credential", () => {
  expect(membersOf(createError(context, "malformed_credential"))).toEqual({
    status: 401,
    code: "malformed_credential",
    message: "The credential cannot be read. Send exactly one, as Authorization: Bearer <token>",
    headers: { "WWW-Authenticate": 'Bearer realm="fleet", error="invalid_request"' },
    details: {},
  });
});

it("returns wrong_environment for a key of another environment", () => {
  expect(membersOf(createError(context, "wrong_environment"))).toEqual({
    status: 401,
    code: "wrong_environment",
    message: "The API key belongs to another environment.",
    headers: INVALID_TOKEN,
    details: {},
  });
});

it("returns the same error for every other problem of a key", () => {
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
  const [first, ...others] = reasons.map((reason) => createError(context, reason));
  expect(first && membersOf(first)).toEqual({
    status: 401,
    code: "invalid_key",
    message: "The API key is not valid.",
    headers: INVALID_TOKEN,
    details: {},
  });
  for (const other of others) expect(other).toBe(first);
});

it.each([
  ["revoked", "The API key has been revoked."],
  ["disabled", "The API key is disabled."],
  ["expired", "The API key has expired."],
] as const)("returns the state %s with exposeKeyState", (reason, message) => {
  const exposed = createDenials(scopes, { ...wording, exposeKeyState: true });
  expect(membersOf(exposed(context, reason))).toEqual({
    status: 401,
    code: "invalid_key",
    message,
    headers: INVALID_TOKEN,
    details: { reason },
  });
  expect(exposed(context, "unknown_key").details).toEqual({});
});

it("returns ip_not_allowed for another network and an unknown address", () => {
  expect(membersOf(createError(context, "ip_not_allowed"))).toEqual(OTHER_NETWORK);
  expect(membersOf(createError(context, "ip_unknown"))).toEqual(OTHER_NETWORK);
});

describe("insufficient_scope", () => {
  const subject = { id: "key_1", ownerId: "acme", environment: null, scopes: ["vehicles:read", "gone:read"] };
  const required = ["vehicles:read", "drivers:read"] as const;

  it("has the required, granted and missing scopes that are defined", () => {
    expect(membersOf(createError({ route: compileRoute(required), subject }, "insufficient_scope"))).toEqual({
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

  it("has no granted scopes without a subject", () => {
    expect(
      createError({ ...context, route: compileRoute<FleetScope>("vehicles:read") }, "insufficient_scope")
        .details,
    ).toEqual({
      requiredScopes: ["vehicles:read"],
      grantedScopes: [],
      missingScopes: ["vehicles:read"],
    });
  });
});

it("returns Retry-After and no challenge for a rate limit", () => {
  const state = { name: "minute", limit: 60, windowSeconds: 60, remaining: 0, resetSeconds: 12 };
  expect(membersOf(createError(context, "rate_limited", { allowed: false, states: [state] }))).toEqual({
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
  expect(createError(context, "rate_limited").headers).toEqual({ "Retry-After": "1" });
});

it("has a 503 with Retry-After", () => {
  expect(membersOf(UNAVAILABLE)).toEqual({
    status: 503,
    code: "unavailable",
    message: "The API key cannot be checked right now. Try again later.",
    headers: { "Retry-After": "1" },
    details: {},
  });
});

it("uses noun, realm and header", () => {
  const source = credentialSource({ header: "X-API-Key" });
  const own = createDenials(scopes, { ...wording, noun: "token", realm: "!#[]~ a", source });
  expect(own(context, "missing_credential").message).toBe(
    "Authentication required. Provide a valid token via X-API-Key: <token>",
  );
  expect(own(context, "unknown_key").message).toBe("The token is not valid.");
  expect(own(context, "unknown_key").headers).toEqual({
    "WWW-Authenticate": 'ApiKey realm="!#[]~ a", error="invalid_token"',
  });
});

it.each([[""], ['a"b'], ["a\\b"], ["a\nb"], ["ä"], ["\x7f"], [7], [["fleet"]], [undefined]])(
  "rejects the realm %j",
  (realm) => {
    expect(() => createDenials(scopes, { ...wording, realm: realm as string })).toThrow(
      new TypeError('createVerifier: "realm" must be printable ASCII without quotes and backslashes'),
    );
  },
);

it("names the metadata of the API in every challenge, after its other parameters (RFC 9728, 5.1)", () => {
  const resourceMetadata = 'resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"';
  const create = createDenials(scopes, { ...wording, resourceMetadata });
  const route = compileRoute<FleetScope>("vehicles:read");
  const challengeOf = (reason: Parameters<typeof create>[1]) =>
    create({ ...context, route }, reason).headers["WWW-Authenticate"];
  expect(challengeOf("missing_credential")).toBe(`Bearer realm="fleet", ${resourceMetadata}`);
  expect(challengeOf("malformed_credential")).toBe(
    `Bearer realm="fleet", error="invalid_request", ${resourceMetadata}`,
  );
  expect(challengeOf("expired")).toBe(`Bearer realm="fleet", error="invalid_token", ${resourceMetadata}`);
  expect(challengeOf("insufficient_scope")).toBe(
    `Bearer realm="fleet", error="insufficient_scope", scope="vehicles:read", ${resourceMetadata}`,
  );
});
