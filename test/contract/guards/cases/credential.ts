import { secrets } from "../../../unit/adapters/fixtures.js";
import { TRUNCATED } from "../../../unit/adapters/truncated-headers.js";
import { bearer, type Case, deny, GUARDED, pass, UNSERVED } from "../case.js";

const MISSING = deny("missing_credential", { lookups: 0 });
const MALFORMED = deny("malformed_credential", { lookups: 0 });
const { reader, writer, dispatcher, unknown } = secrets;

const lines = (id: string, headers: readonly string[], expected: Case["expected"]): Case => ({
  id,
  request: { headers },
  expected,
});

const value = (id: string, text: string, expected: Case["expected"]): Case =>
  lines(id, [`Authorization: ${text}`], expected);

const MANY = Array.from({ length: 1_100 }, (_, index) => `x${index}:y`);

const wire = (entry: Case): Case => ({ ...entry, wireOnly: true });

/** Valid and invalid forms of the credential. */
export const credentialCases: readonly Case[] = [
  // Well-formed (RFC 6750, 2.1; RFC 9110, 11.1: the scheme is case-insensitive)
  value("Bearer and the secret", `Bearer ${reader}`, pass("reader")),
  value("bearer in lower case", `bearer ${reader}`, pass("reader")),
  value("BEARER in upper case", `BEARER ${reader}`, pass("reader")),
  value("bEaReR in mixed case", `bEaReR ${reader}`, pass("reader")),
  value("two spaces after the scheme", `Bearer  ${reader}`, pass("reader")),
  value("twenty spaces after the scheme", `Bearer${" ".repeat(20)}${reader}`, pass("reader")),
  value("white space around the value", ` \t  Bearer ${reader} \t `, pass("reader")),
  lines("no white space after the colon", [`Authorization:Bearer ${reader}`], pass("reader")),
  lines("the name in lower case", [`authorization: Bearer ${reader}`], pass("reader")),
  lines("the name in upper case", [`AUTHORIZATION: Bearer ${reader}`], pass("reader")),
  lines("the name in mixed case", [`aUtHoRiZaTiOn: Bearer ${reader}`], pass("reader")),
  lines(
    "a Connection line that names the header",
    ["Connection: Authorization", bearer(reader)],
    pass("reader"),
  ),

  // Missing
  lines("no Authorization line", [], MISSING),
  value("scheme Basic", "Basic dXNlcjpwYXNz", MISSING),
  value("scheme Basic around a secret", `Basic ${Buffer.from(`${reader}:`).toString("base64")}`, MISSING),
  value("scheme Token", `Token ${reader}`, MISSING),
  value("scheme ApiKey", `ApiKey ${reader}`, MISSING),
  value("scheme Digest with parameters", 'Digest username="u", realm="r", nonce="n", uri="/"', MISSING),
  value("scheme DPoP", `DPoP ${reader}`, MISSING),
  value("scheme Negotiate without a token", "Negotiate", MISSING),
  value("a scheme that begins with Bearer", `BearerToken ${reader}`, MISSING),
  value("a scheme that ends with Bearer", `XBearer ${reader}`, MISSING),
  value("a secret without a scheme", reader, MISSING),

  // Malformed
  value("an empty value", "", MALFORMED),
  value("white space only", "   \t ", MALFORMED),
  value("Bearer without a token", "Bearer", MALFORMED),
  value("Bearer and a space", "Bearer ", MALFORMED),
  value("a tab after the scheme", `Bearer\t${reader}`, MALFORMED),
  value("a space and a tab after the scheme", `Bearer \t${reader}`, MALFORMED),
  value("a tab and a space after the scheme", `Bearer\t ${reader}`, MALFORMED),
  value("a quoted token", `Bearer "${reader}"`, MALFORMED),
  value("a token in single quotes", `Bearer '${reader}'`, MALFORMED),
  value("a token in angle brackets", `Bearer <${reader}>`, MALFORMED),
  value("a token as a parameter", `Bearer token="${reader}"`, MALFORMED),
  value("two tokens", `Bearer ${reader} ${reader}`, MALFORMED),
  value("a word before the token", `Bearer x ${reader}`, MALFORMED),
  value("a word after the token", `Bearer ${reader} x`, MALFORMED),
  value("the scheme twice", `Bearer Bearer ${reader}`, MALFORMED),
  value("a colon after the scheme", `Bearer: ${reader}`, MALFORMED),
  value("a percent-encoded secret", `Bearer ${reader.replaceAll("_", "%5F")}`, MALFORMED),
  value("a percent-encoded space", `Bearer%20${reader}`, MISSING),
  value("a semicolon after the token", `Bearer ${reader};`, MALFORMED),
  value("an equals sign inside the token", `Bearer ezt=${reader}`, MALFORMED),
  value("non-ASCII bytes in the token", `Bearer ${reader}\xc3\xa9`, MALFORMED),
  value("a no-break space after the scheme", `Bearer\xa0${reader}`, MALFORMED),
  value("a no-break space after the token", `Bearer ${reader}\xa0`, MALFORMED),
  value("a fullwidth letter in UTF-8", `Bearer ${reader.slice(0, -1)}\xef\xbc\xa1`, MALFORMED),

  // Several credentials
  lines("two identical lines", [bearer(reader), bearer(reader)], MALFORMED),
  lines("two lines, both valid", [bearer(reader), bearer(writer)], MALFORMED),
  lines("two lines, an unknown key first", [bearer(unknown), bearer(reader)], MALFORMED),
  lines("two lines, an unknown key last", [bearer(reader), bearer(unknown)], MALFORMED),
  lines("two lines, junk first", [bearer("x"), bearer(reader)], MALFORMED),
  lines("two lines, Basic first", ["Authorization: Basic dTpw", bearer(reader)], MALFORMED),
  lines("two lines, Basic last", [bearer(reader), "Authorization: Basic dTpw"], MALFORMED),
  lines("two lines of Basic", ["Authorization: Basic dTpw", "Authorization: Basic dTpx"], MALFORMED),
  lines("two lines, an empty one first", ["Authorization:", bearer(reader)], MALFORMED),
  lines("two lines, an empty one last", [bearer(reader), "Authorization:"], MALFORMED),
  lines("two lines, names in different case", [bearer(reader), `aUTHORIZATION: Bearer ${reader}`], MALFORMED),
  lines(
    "two lines, others between them",
    [bearer(reader), "Accept: */*", "Via: x", bearer(reader)],
    MALFORMED,
  ),
  // Fetch joins these lines into one of another scheme; only the raw headers show both.
  wire(
    lines(
      "two lines, the last a scheme alone",
      ["Authorization: Basic dTpw", "Authorization: Negotiate"],
      MALFORMED,
    ),
  ),
  wire(
    lines(
      "two lines of another scheme, the last empty",
      ["Authorization: Basic dTpw", "Authorization:"],
      MALFORMED,
    ),
  ),
  lines("three lines", [bearer(reader), bearer(reader), bearer(reader)], MALFORMED),
  // Node drops header lines past the first thousand without an error.
  wire(
    lines("two lines, a thousand others between them", [bearer(reader), ...MANY, bearer(writer)], TRUNCATED),
  ),
  value("two secrets in one line", `Bearer ${reader}, ${writer}`, MALFORMED),
  value("two credentials in one line", `Bearer ${reader}, Bearer ${writer}`, MALFORMED),
  value("two credentials in one line without a space", `Bearer ${reader},Bearer ${writer}`, MALFORMED),
  value("Basic and Bearer in one line", `Basic dTpw, Bearer ${reader}`, MALFORMED),
  value("a comma after the token", `Bearer ${reader},`, MALFORMED),
  value("a comma before the scheme", `, Bearer ${reader}`, MALFORMED),

  // In other places
  { id: "a secret in the query", request: { target: `/vehicles?access_token=${reader}` }, expected: MISSING },
  {
    id: "a secret in the query as api_key",
    request: { target: `/vehicles?api_key=${reader}` },
    expected: MISSING,
  },
  lines("a secret in X-API-Key", [`X-API-Key: ${reader}`], MISSING),
  lines(
    "a secret in X-API-Key and another scheme",
    [`X-API-Key: ${reader}`, "Authorization: Basic x"],
    MISSING,
  ),
  lines("a secret in a cookie", [`Cookie: token=${reader}; Authorization=Bearer%20${reader}`], MISSING),
  lines("a secret in Proxy-Authorization", [`Proxy-Authorization: Bearer ${reader}`], MISSING),
  lines("a secret in X-Authorization", [`X-Authorization: Bearer ${reader}`], MISSING),
  lines("a secret in X-Forwarded-Authorization", [`X-Forwarded-Authorization: Bearer ${reader}`], MISSING),
  lines("a secret in Authorization_", [`Authorization_: Bearer ${reader}`], MISSING),
  lines("a secret in Authentication", [`Authentication: Bearer ${reader}`], MISSING),
  lines("a secret in WWW-Authenticate", [`WWW-Authenticate: Bearer ${reader}`], MISSING),
  lines("a secret in Sec-WebSocket-Protocol", [`Sec-WebSocket-Protocol: ${reader}`], MISSING),
  lines(
    "headers named like members of Object.prototype",
    [`constructor: ${bearer(reader)}`, "toString: x"],
    MISSING,
  ),
  lines("a header named __proto__", [`__proto__: Bearer ${reader}`, "__proto__: x"], MISSING),
  lines(
    "headers named like members of Object.prototype, and a key",
    ["__proto__: x", "constructor: x", bearer(reader)],
    pass("reader"),
  ),
  lines("headers named get and has", ["get: x", "has: x", "entries: x", bearer(reader)], pass("reader")),
  lines("headers named get and has, no key", ["get: x", "has: x", "entries: x"], MISSING),
  {
    id: "a secret in a form body (RFC 6750, 2.2)",
    request: {
      method: "POST",
      target: "/drivers",
      headers: [
        "Content-Type: application/x-www-form-urlencoded",
        `Content-Length: ${13 + dispatcher.length}`,
      ],
      body: `access_token=${dispatcher}`,
    },
    expected: MISSING,
  },
  wire({
    id: "a secret in a JSON body, chunked",
    request: {
      method: "POST",
      target: "/drivers",
      headers: ["Content-Type: application/json", "Transfer-Encoding: chunked"],
      body: `${(14 + dispatcher.length).toString(16)}\r\n{"api_key": "${dispatcher}"\r\n1\r\n}\r\n0\r\n\r\n`,
    },
    expected: MISSING,
  }),
  wire({
    id: "a credential in a trailer",
    request: {
      method: "POST",
      target: "/drivers",
      headers: ["Transfer-Encoding: chunked", "Trailer: Authorization"],
      body: `2\r\n{}\r\n0\r\n${bearer(dispatcher)}\r\n\r\n`,
    },
    expected: MISSING,
  }),
  wire({
    id: "user information in an absolute target",
    request: { target: `http://u:${reader}@fleet.test/vehicles` },
    expected: GUARDED,
  }),

  // Rejected by the HTTP parser
  wire(value("NUL in the token", `Bearer ${reader}\0`, UNSERVED)),
  wire(value("a control byte in the token", `Bearer \x01${reader}`, UNSERVED)),
  wire(value("DEL in the token", `Bearer ${reader}\x7f`, UNSERVED)),
  wire(value("a bare CR in the value", `Bearer\r${reader}`, UNSERVED)),
  wire(value("a folded line", `Bearer\r\n ${reader}`, UNSERVED)),
  wire(lines("a space before the colon", [`Authorization : Bearer ${reader}`], UNSERVED)),
  wire(lines("a space before the name", ["X: y", ` Authorization: Bearer ${reader}`], UNSERVED)),
  wire(lines("no colon", [`Authorization Bearer ${reader}`], UNSERVED)),
  wire(value("20,000 characters", `Bearer ${"a".repeat(20_000)}`, UNSERVED)),

  // Long values within the limits of servers; rejected in linear time
  value("8,000 characters", `Bearer ${"a".repeat(8_000)}`, deny("invalid_key", { lookups: 0 })),
  value("8,000 spaces", `Bearer ${" ".repeat(8_000)}${reader}x y`, MALFORMED),
  value("8,000 equals signs", `Bearer a${"=".repeat(8_000)}`, deny("invalid_key", { lookups: 0 })),
  value("8,000 equals signs and a letter", `Bearer a${"=".repeat(8_000)}a`, MALFORMED),
  value("4,000 commas", `Basic ${", ".repeat(4_000)}`, MISSING),
];
