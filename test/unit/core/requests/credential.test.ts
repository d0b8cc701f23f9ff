import { describe, expect, test } from "vitest";
import {
  type CredentialOptions,
  credentialSource,
  extractCredential,
} from "../../../../src/core/requests/credential.js";
import type { AuthRequest } from "../../../../src/index.js";

const BEARER = credentialSource();

/** Returns the secret, or the fault. */
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
    ["spaces without a token", "Bearer   ", MALFORMED],
    ["a tab instead of the space", "Bearer\tabc", MALFORMED],
    ["two tokens", "Bearer abc def", MALFORMED],
    ["padding inside the token", "Bearer a=b", MALFORMED],
    ["a quoted token", 'Bearer "abc"', MALFORMED],
    ["a parameter instead of a token", 'Bearer token="abc"', MALFORMED],
    ["a line break", "Bearer abc\ndef", MALFORMED],
    ["a line break at the end", "Bearer abc\n", MALFORMED],
    ["a NUL", "Bearer abc\0", MALFORMED],
    ["an empty field", "", MALFORMED],
    ["only white space", " \t ", MALFORMED],
    ["a token without a scheme", "ezt_live_abc", MISSING],
    ["another scheme", "Basic dXNlcjpwYXNz", MISSING],
    ["another scheme with parameters", 'Digest username="ann", realm="x", qop=auth', MISSING],
    ["another scheme without a token", "Negotiate", MISSING],
    ["a scheme that starts with Bearer", "BearerX abc", MISSING],
    ["two joined Bearer credentials", "Bearer abc, Bearer def", MALFORMED],
    ["the same credential twice", "Bearer abc, Bearer abc", MALFORMED],
    ["Bearer after another scheme", "Basic abc, Bearer def", MALFORMED],
    ["another scheme after Bearer", "Bearer abc, Basic def", MALFORMED],
    ["Bearer after another scheme with parameters", 'Digest a="b", Bearer def', MALFORMED],
  ])("reads %s", (_, field, expected) => {
    expect(read({ authorization: field })).toEqual(expected);
    expect(read({ Authorization: field })).toEqual(expected);
    expect(read({ authorization: [field] })).toEqual(expected);
  });

  test("rejects two lines that a Headers object has joined", () => {
    const headers = new Headers({ Authorization: "Bearer abc" });
    expect(read(headers)).toBe("abc");
    headers.append("Authorization", "Bearer def");
    expect(read(headers)).toEqual(MALFORMED);
    expect(read(new Headers())).toEqual(MISSING);
  });

  test("rejects a second line, however the runtime represents it", () => {
    expect(read({ authorization: ["Bearer abc", "Bearer abc"] })).toEqual(MALFORMED);
    expect(read({ authorization: "Bearer abc", Authorization: "Bearer abc" })).toEqual(MALFORMED);
    // Node keeps the first line and drops the others.
    const raw = ["Host", "x", "Authorization", "Bearer abc", "AUTHORIZATION", "Basic def"];
    expect(read({ authorization: "Bearer abc" }, undefined, raw)).toEqual(MALFORMED);
    expect(read({ authorization: "Bearer abc" }, undefined, raw.slice(0, 4))).toBe("abc");
    // A value that equals the name is not a line.
    const value = ["X-Note", "authorization", "Authorization", "Bearer abc"];
    expect(read({ authorization: "Bearer abc" }, undefined, value)).toBe("abc");
  });

  test("rejects a truncated header section, which may have had a second line", () => {
    const headers = { authorization: "Bearer abc" };
    expect(extractCredential({ headers, headersTruncated: true }, BEARER)).toEqual(MALFORMED);
    expect(extractCredential({ headers: {}, headersTruncated: true }, BEARER)).toEqual(MALFORMED);
    expect(extractCredential({ headers, headersTruncated: false }, BEARER)).toBe("abc");
  });

  test("reads no other header, and no inherited one", () => {
    expect(read({ "x-api-key": "abc", cookie: "Bearer abc", "proxy-authorization": "Bearer abc" })).toEqual(
      MISSING,
    );
    expect(read({})).toEqual(MISSING);
    expect(read({ authorization: undefined })).toEqual(MISSING);
    expect(read(Object.create({ authorization: "Bearer abc" }))).toEqual(MISSING);
  });

  test("reads a field in linear time", () => {
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
    // 256 KiB would take minutes in quadratic time.
    expect(performance.now() - began).toBeLessThan(15_000);
  });
});

describe("other headers and schemes", () => {
  test("another header holds the secret alone", () => {
    const options = { header: "X-API-Key" };
    expect(read({ "x-api-key": "abc" }, options)).toBe("abc");
    expect(read({ "X-Api-Key": " abc " }, options)).toBe("abc");
    expect(read({ authorization: "Bearer abc" }, options)).toEqual(MISSING);
    expect(read({ "x-api-key": "Bearer abc" }, options)).toEqual(MALFORMED);
    expect(read({ "x-api-key": "" }, options)).toEqual(MALFORMED);
    expect(read({ "x-api-key": "abc, def" }, options)).toEqual(MALFORMED);
    expect(read({ "x-api-key": ["abc", "abc"] }, options)).toEqual(MALFORMED);
  });

  test("another header can have a scheme", () => {
    const options = { header: "x-auth", scheme: "Key" };
    expect(read({ "x-auth": "key abc" }, options)).toBe("abc");
    expect(read({ "x-auth": "abc" }, options)).toEqual(MISSING);
    expect(read({ "x-auth": "Bearer abc" }, options)).toEqual(MISSING);
  });

  test("a scheme may contain characters that are special in regular expressions", () => {
    expect(read({ authorization: "apikey abc" }, { scheme: "ApiKey" })).toBe("abc");
    expect(read({ authorization: "Bearer abc" }, { scheme: "ApiKey" })).toEqual(MISSING);
    expect(read({ authorization: "a.b* abc" }, { scheme: "a.b*" })).toBe("abc");
    expect(read({ authorization: "A.B*  abc" }, { scheme: "a.b*" })).toBe("abc");
    expect(read({ authorization: "axb abc" }, { scheme: "a.b*" })).toEqual(MISSING);
    expect(read({ authorization: "a|b abc" }, { scheme: "a|b" })).toBe("abc");
    expect(read({ authorization: "a abc" }, { scheme: "a|b" })).toEqual(MISSING);
  });

  test("has an example and a challenge for error responses", () => {
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
  ])("rejects %j", (options, message) => {
    const make = () => credentialSource(options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
    expect(make).toThrow(/^credential: /);
  });
});
