import { describe, expect, test } from "vitest";
import {
  type CredentialOptions,
  credentialSource,
  extractCredential,
} from "../../../../src/core/requests/credential.js";
import type { AuthRequest } from "../../../../src/index.js";

const BEARER = credentialSource();

/** The secret, or the fault's name. */
function read(headers: AuthRequest["headers"], options?: CredentialOptions, rawHeaders?: readonly string[]) {
  const source = options ? credentialSource(options) : BEARER;
  const found = extractCredential({ headers, rawHeaders }, source);
  return typeof found === "string" ? found : { fault: found.fault };
}

const MISSING = { fault: "missing_credential" };
const MALFORMED = { fault: "malformed_credential" };

describe("Authorization", () => {
  test.each([
    ["the scheme in any case", "bEaReR abc", "abc"],
    ["several spaces", "Bearer    abc", "abc"],
    ["white space around", " \tBearer abc\t ", "abc"],
    ["padding", "Bearer abc==", "abc=="],
    ["no token", "Bearer", MALFORMED],
    ["no token but spaces", "Bearer   ", MALFORMED],
    ["a tab for the space", "Bearer\tabc", MALFORMED],
    ["two tokens", "Bearer abc def", MALFORMED],
    ["padding inside", "Bearer a=b", MALFORMED],
    ["a quoted token", 'Bearer "abc"', MALFORMED],
    ["parameters for a token", 'Bearer token="abc"', MALFORMED],
    ["a line break", "Bearer abc\ndef", MALFORMED],
    ["a line break at the end", "Bearer abc\n", MALFORMED],
    ["a NUL", "Bearer abc\0", MALFORMED],
    ["an empty field", "", MALFORMED],
    ["white space alone", " \t ", MALFORMED],
    ["the token alone", "ezt_live_abc", MISSING],
    ["another scheme", "Basic dXNlcjpwYXNz", MISSING],
    ["another scheme with parameters", 'Digest username="ann", realm="x", qop=auth', MISSING],
    ["another scheme alone", "Negotiate", MISSING],
    ["a scheme that begins like ours", "BearerX abc", MISSING],
    ["two joined credentials of ours", "Bearer abc, Bearer def", MALFORMED],
    ["the same one twice", "Bearer abc, Bearer abc", MALFORMED],
    ["ours behind another", "Basic abc, Bearer def", MALFORMED],
    ["another behind ours", "Bearer abc, Basic def", MALFORMED],
    ["ours behind another with parameters", 'Digest a="b", Bearer def', MALFORMED],
  ])("%s", (_, field, expected) => {
    expect(read({ authorization: field })).toEqual(expected);
    expect(read({ Authorization: field })).toEqual(expected);
    expect(read({ authorization: [field] })).toEqual(expected);
  });

  test("a Headers object, which joins repeated lines", () => {
    const headers = new Headers({ Authorization: "Bearer abc" });
    expect(read(headers)).toBe("abc");
    headers.append("Authorization", "Bearer def");
    expect(read(headers)).toEqual(MALFORMED);
    expect(read(new Headers())).toEqual(MISSING);
  });

  test("two lines are a fault, however the runtime shows them", () => {
    expect(read({ authorization: ["Bearer abc", "Bearer abc"] })).toEqual(MALFORMED);
    expect(read({ authorization: "Bearer abc", Authorization: "Bearer abc" })).toEqual(MALFORMED);
    // Node keeps the first of two and drops the rest.
    const raw = ["Host", "x", "Authorization", "Bearer abc", "AUTHORIZATION", "Basic def"];
    expect(read({ authorization: "Bearer abc" }, undefined, raw)).toEqual(MALFORMED);
    expect(read({ authorization: "Bearer abc" }, undefined, raw.slice(0, 4))).toBe("abc");
    // A value that reads like the name is no line.
    const value = ["X-Note", "authorization", "Authorization", "Bearer abc"];
    expect(read({ authorization: "Bearer abc" }, undefined, value)).toBe("abc");
  });

  test("a header section that was cut may have held a second line", () => {
    const headers = { authorization: "Bearer abc" };
    expect(extractCredential({ headers, headersTruncated: true }, BEARER)).toEqual(MALFORMED);
    expect(extractCredential({ headers: {}, headersTruncated: true }, BEARER)).toEqual(MALFORMED);
    expect(extractCredential({ headers, headersTruncated: false }, BEARER)).toBe("abc");
  });

  test("nothing but the one header counts", () => {
    expect(read({ "x-api-key": "abc", cookie: "Bearer abc", "proxy-authorization": "Bearer abc" })).toEqual(
      MISSING,
    );
    expect(read({})).toEqual(MISSING);
    expect(read({ authorization: undefined })).toEqual(MISSING);
    expect(read(Object.create({ authorization: "Bearer abc" }))).toEqual(MISSING);
  });

  test("the time grows no faster than the field", () => {
    const fields = (size: number) => [
      `Bearer ${"a".repeat(size)}!`,
      `Bearer ${"=".repeat(size)}!`,
      `Bearer${" ".repeat(size)}!`,
      `Basic ${", a ".repeat(size / 4)}`,
      `Basic ${`,${" ".repeat(30)}a`.repeat(size / 32)}`,
      `Basic ,${" ".repeat(size)}`,
      `Basic ,${"a".repeat(size)}`,
      `Basic ,a${" ".repeat(size)}=`,
      ",".repeat(size),
      " ".repeat(size),
    ];
    const began = performance.now();
    for (const field of fields(2 ** 18)) read({ authorization: field });
    // Quadratic work on 256 KiB would take minutes.
    expect(performance.now() - began).toBeLessThan(15_000);
  });
});

describe("other places", () => {
  test("a header of its own holds the bare secret", () => {
    const options = { header: "X-API-Key" };
    expect(read({ "x-api-key": "abc" }, options)).toBe("abc");
    expect(read({ "X-Api-Key": " abc " }, options)).toBe("abc");
    expect(read({ authorization: "Bearer abc" }, options)).toEqual(MISSING);
    expect(read({ "x-api-key": "Bearer abc" }, options)).toEqual(MALFORMED);
    expect(read({ "x-api-key": "" }, options)).toEqual(MALFORMED);
    expect(read({ "x-api-key": "abc, def" }, options)).toEqual(MALFORMED);
    expect(read({ "x-api-key": ["abc", "abc"] }, options)).toEqual(MALFORMED);
  });

  test("a header of its own with a scheme", () => {
    const options = { header: "x-auth", scheme: "Key" };
    expect(read({ "x-auth": "key abc" }, options)).toBe("abc");
    expect(read({ "x-auth": "abc" }, options)).toEqual(MISSING);
    expect(read({ "x-auth": "Bearer abc" }, options)).toEqual(MISSING);
  });

  test("another scheme, also one whose name has characters of regular expressions", () => {
    expect(read({ authorization: "apikey abc" }, { scheme: "ApiKey" })).toBe("abc");
    expect(read({ authorization: "Bearer abc" }, { scheme: "ApiKey" })).toEqual(MISSING);
    expect(read({ authorization: "a.b* abc" }, { scheme: "a.b*" })).toBe("abc");
    expect(read({ authorization: "A.B*  abc" }, { scheme: "a.b*" })).toBe("abc");
    expect(read({ authorization: "axb abc" }, { scheme: "a.b*" })).toEqual(MISSING);
    expect(read({ authorization: "a|b abc" }, { scheme: "a|b" })).toBe("abc");
    expect(read({ authorization: "a abc" }, { scheme: "a|b" })).toEqual(MISSING);
  });

  test("says what to send, and what to challenge for", () => {
    expect(BEARER).toMatchObject({ example: "Authorization: Bearer <token>", challenge: "Bearer" });
    expect(credentialSource({ header: "X-API-Key" })).toMatchObject({
      example: "X-API-Key: <token>",
      challenge: "ApiKey",
    });
    expect(credentialSource({ scheme: "Key" })).toMatchObject({
      example: "Authorization: Key <token>",
      challenge: "Key",
    });
  });

  test.each([
    [{ headers: "x" }, /"headers"/],
    [{ header: "" }, /"header"/],
    [{ header: "x y" }, /"header"/],
    [{ header: "x:" }, /"header"/],
    [{ header: 7 }, /"header"/],
    [{ scheme: "" }, /"scheme"/],
    [{ scheme: "Bearer " }, /"scheme"/],
    [{ scheme: 'a"b' }, /"scheme"/],
    [{ scheme: 7 }, /"scheme"/],
  ])("refuses %j", (options, message) => {
    const make = () => credentialSource(options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
    expect(make).toThrow(/^credential: /);
  });
});
