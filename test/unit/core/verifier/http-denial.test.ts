import { describe, expect, it } from "vitest";
import { AUTH_ERROR_STATUS } from "../../../../src/core/errors.js";
import { toHttpDenial } from "../../../../src/core/verifier/http-denial.js";
import { AuthError, type AuthErrorCode } from "../../../../src/index.js";

const error = new AuthError(
  "insufficient_scope",
  "Nö.",
  { "WWW-Authenticate": 'Bearer realm="api"' },
  { missingScopes: ["vehicles:read"] },
);

const MEMBERS = {
  message: "Nö.",
  code: "insufficient_scope",
  requestId: "id-1",
  missingScopes: ["vehicles:read"],
};

describe("toHttpDenial", () => {
  it("returns plain JSON with message, code, requestId and details", () => {
    const denial = toHttpDenial(error, "id-1", undefined);
    expect(denial.status).toBe(403);
    expect(JSON.parse(denial.body)).toEqual(MEMBERS);
    expect(denial.headers).toEqual({
      "cache-control": "no-store",
      "content-length": String(Buffer.byteLength(denial.body)),
      "content-type": "application/json",
      "www-authenticate": 'Bearer realm="api"',
      "x-request-id": "id-1",
    });
    expect(Number(denial.headers["content-length"])).toBeGreaterThan(denial.body.length); // ö is two bytes
  });

  it("sorts header names, in lower case", () => {
    const names = Object.keys(toHttpDenial(error, "id-1", undefined).headers);
    expect(names).toEqual([...names].map((name) => name.toLowerCase()).sort());
    const unsorted = new AuthError("invalid_key", "m", { Zebra: "1", "A-Header": "2", Mid: "3" });
    expect(Object.keys(toHttpDenial(unsorted, "id-1", undefined).headers)).toEqual([
      "a-header",
      "cache-control",
      "content-length",
      "content-type",
      "mid",
      "x-request-id",
      "zebra",
    ]);
  });

  it("returns a problem document with the same members (RFC 9457, 3.1)", () => {
    const denial = toHttpDenial(error, "id-1", "application/problem+json");
    expect(denial.headers["content-type"]).toBe("application/problem+json");
    expect(JSON.parse(denial.body)).toEqual({
      type: "about:blank",
      title: "Forbidden",
      status: 403,
      detail: "Nö.",
      ...MEMBERS,
    });
  });

  it.each([
    [undefined, false],
    ["", false],
    ["*/*", false],
    ["application/*", false],
    ["application/json", false],
    ["text/html, application/xhtml+xml, */*;q=0.8", false],
    ["application/problem+json", true],
    ["APPLICATION/Problem+JSON", true],
    ["text/html, application/problem+json", true],
    ["application/json, application/problem+json", true],
    ["application/problem+json, application/json", true],
    ["application/problem+json;q=0.9, application/json", false],
    ["application/problem+json, application/json;q=0.9", true],
    ["application/problem+json; q=0.5 , application/json; q=0.5", true],
    ["application/problem+json;q=0", false],
    ["application/problem+json;q=0.000", false],
    ["application/problem+json;charset=utf-8", true],
    ["application/problem+json;Q=0.1,application/json;q=0.2", false],
    ["application/problem+json;q=high", false],
    ["application/problem+json;charset=utf-8;q=0.1, application/json;q=0.5", false],
    ["application/problem+json;x-q=0", true],
    ["application/problem+json;q=0.5, text/html", true],
    [" application/json;q=0.1 ,\tapplication/problem+json ; q=0.2", true],
    ["application/problem+jsonx", false],
    ["xapplication/problem+json", false],
    ["application/problem+xml", false],
  ])("selects the content type for Accept: %s", (accept, problem) => {
    const type = toHttpDenial(error, "id-1", accept).headers["content-type"];
    expect(type).toBe(problem ? "application/problem+json" : "application/json");
  });

  it.each(Object.entries(AUTH_ERROR_STATUS))(
    "returns for %s status %i, also in a problem document",
    (code, status) => {
      const own = new AuthError(code as AuthErrorCode, "m");
      const { body, status: sent } = toHttpDenial(own, "id", "application/problem+json");
      expect([own.status, sent, JSON.parse(body).status]).toEqual([status, status, status]);
      const titles = {
        401: "Unauthorized",
        403: "Forbidden",
        429: "Too Many Requests",
        503: "Service Unavailable",
      };
      expect(JSON.parse(body).title).toBe(titles[status]);
    },
  );

  it("replaces the members", () => {
    const own = { errors: ["no"] };
    expect(toHttpDenial(error, "id-1", undefined, own).body).toBe('{"errors":["no"]}');
    expect(JSON.parse(toHttpDenial(error, "id-1", "application/problem+json", own).body)).toEqual({
      type: "about:blank",
      title: "Forbidden",
      status: 403,
      detail: "Nö.",
      errors: ["no"],
    });
  });
});
