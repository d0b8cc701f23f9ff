import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { credentialSource, extractCredential } from "../../src/core/requests/credential.js";
import type { AuthRequest } from "../../src/index.js";
import { runs } from "./runs.js";

const MISSING = { fault: "missing_credential" };
const MALFORMED = { fault: "malformed_credential" };
const BEARER = credentialSource();

/** Returns the secret, or the fault. */
function read(headers: AuthRequest["headers"], rawHeaders?: readonly string[]) {
  const found = extractCredential({ headers, rawHeaders }, BEARER);
  return typeof found === "string" ? found : { fault: found.fault };
}

// RFC 9110, 5.6.2 and 11.4; RFC 6750, 2.1.
const TCHAR = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const B64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";

/** Parses credentials = auth-scheme [ 1*SP token68 ] character by character, for fields without a comma. */
function oracle(field: string): string | { fault: string } {
  let value = field;
  while (" \t".includes(value[0] ?? "x")) value = value.slice(1);
  while (" \t".includes(value.at(-1) ?? "x")) value = value.slice(0, -1);
  let end = 0;
  while (end < value.length && TCHAR.includes(value[end] as string)) end++;
  const scheme = value.slice(0, end);
  if (scheme === "" || (end < value.length && value[end] !== " ")) return MALFORMED;
  if (scheme.toLowerCase() !== "bearer") return MISSING;
  let start = end;
  while (value[start] === " ") start++;
  const token = value.slice(start);
  let body = token;
  while (body.endsWith("=")) body = body.slice(0, -1);
  const good = start > end && body !== "" && [...body].every((character) => B64.includes(character));
  return good ? token : MALFORMED;
}

describe("extractCredential", () => {
  const pieces = fc.constantFrom(
    ...'Bearer,bearer,BEARER,Basic,Bearerx,abc.DEF-_~+/1,ezt_live_1,=,==, ,  ,\t,a,Z,é,\u212a,\0,\n,:,",(,{'.split(
      ",",
    ),
    "\r",
  );

  const fields = fc.oneof(
    fc.array(pieces, { maxLength: 6 }).map((parts) => parts.join("")),
    fc.array(pieces, { maxLength: 4 }).map((parts) => `Bearer ${parts.join("")}`),
    fc.string().filter((field) => !field.includes(",")),
  );

  test("agrees with the grammar, parsed character by character", () => {
    fc.assert(
      fc.property(fields, (field) => {
        expect(read({ authorization: field })).toEqual(oracle(field));
      }),
      runs(20_000),
    );
  });

  test("reads the only Authorization line, whatever other headers there are", () => {
    const name = fc.constantFrom(
      "Authorization",
      "AUTHORIZATION",
      "authorization",
      "X-Api-Key",
      "Cookie",
      "Host",
    );
    const line = fc.tuple(name, fields);
    fc.assert(
      fc.property(fc.array(line, { maxLength: 4 }), (lines) => {
        const sent = lines.filter(([one]) => one.toLowerCase() === "authorization").map(([, field]) => field);
        const [first] = sent;
        const expected = sent.length > 1 ? MALFORMED : first === undefined ? MISSING : oracle(first);
        // As in Node: the first of repeated lines in `headers`, all of them in `rawHeaders`.
        const headers = Object.fromEntries(
          [...lines].reverse().map(([one, field]) => [one.toLowerCase(), field]),
        );
        expect(read(headers, lines.flat())).toEqual(expected);
        expect(read({ authorization: sent.length > 0 ? sent : undefined })).toEqual(expected);
      }),
      runs(3_000),
    );
  });

  test("never accepts one of several values that a Headers object has joined", () => {
    const value = fc.constantFrom(
      "Bearer abc",
      "bearer a==",
      "Basic dXNlcjpwYXNz",
      "Negotiate",
      "Bearer",
      "",
      "abc",
    );
    fc.assert(
      fc.property(fc.array(value, { minLength: 2, maxLength: 3 }), (values) => {
        const headers = new Headers();
        for (const one of values) headers.append("Authorization", one);
        expect(read(headers)).toHaveProperty("fault");
      }),
      runs(300),
    );
  });
});
