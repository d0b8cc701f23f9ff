import { bearer, deny, lacks, pass } from "../../../contract/guards/case.js";
import { secrets } from "../../../unit/adapters/fixtures.js";
import { attack, catalogue, type Draft, NOT_ALLOWED, REJECTED, status } from "../attack.js";

const MISSING = deny("missing_credential", { lookups: 0 });
const MALFORMED = deny("malformed_credential", { lookups: 0 });
const INVALID = deny("invalid_key", { lookups: 0 });
const { reader, writer, admin, unknown, dispatcher } = secrets;

const sent = (title: string, source: string, lines: readonly string[], expected: Draft["expected"]) =>
  attack(title, source, { headers: lines }, expected);

const value = (title: string, source: string, text: string, expected: Draft["expected"]) =>
  sent(title, source, [`Authorization: ${text}`], expected);

/** A head that `toBytes` cannot write. The lines include their line ends. */
const head = (...lines: readonly string[]) => ({
  bytes: ["GET /vehicles HTTP/1.1\r\nHost: fleet.test\r\nX-Request-Id: case-0001\r\n", ...lines].join(""),
});

const post = (headers: readonly string[], body: string) => ({
  method: "POST",
  target: "/drivers",
  headers,
  body,
});

const basic = (text: string) => Buffer.from(text).toString("base64");

export const headerAttacks = catalogue("headers", [
  // Repeated credentials (RFC 9110, 5.3: Authorization is not a list)
  sent(
    "a valid key after an unknown one",
    "RFC 9110, 5.3",
    [bearer(unknown), "Accept: */*", bearer(reader), "Via: 1.1 a"],
    MALFORMED,
  ),
  sent(
    "a reader key before a writer key",
    "RFC 9110, 5.3",
    [bearer(reader), "Cookie: a=b", bearer(writer)],
    MALFORMED,
  ),
  sent(
    "the same line ten times",
    "RFC 9110, 5.3",
    Array.from({ length: 10 }, () => bearer(reader)),
    MALFORMED,
  ),
  sent(
    "the name in two cases",
    "RFC 9110, 5.1",
    [bearer(reader), `AUTHORIZATION: bearer ${writer}`],
    MALFORMED,
  ),
  sent(
    "a credential and a line of white space",
    "RFC 9110, 5.3",
    [bearer(reader), "Authorization: \t "],
    MALFORMED,
  ),
  sent(
    "Digest before a key",
    "RFC 9110, 11.6.2",
    ['Authorization: Digest username="a"', bearer(reader)],
    MALFORMED,
  ),
  value("two keys joined by a comma and a tab", "RFC 9110, 5.6.1", `Bearer ${reader},\t${writer}`, MALFORMED),
  value("two keys joined by a semicolon", "RFC 9110, 11.4", `Bearer ${reader}; Bearer ${writer}`, MALFORMED),
  value(
    "Basic with a key, followed by Bearer",
    "RFC 7617, 2",
    `Basic ${basic(`${reader}:x`)}, Bearer ${reader}`,
    MALFORMED,
  ),
  value("an empty element before the key", "RFC 9110, 5.6.1", `Bearer , ${reader}`, MALFORMED),

  // The grammar of a credential (RFC 6750, 2.1: b64token)
  value("a vertical tab after the scheme", "RFC 9110, 5.5", `Bearer\x0b${reader}`, REJECTED),
  value("a form feed after the scheme", "RFC 9110, 5.5", `Bearer\x0c${reader}`, REJECTED),
  value("a backspace in the key", "RFC 9110, 5.5", `Bearer ${reader}\b`, REJECTED),
  value("an escape in the key", "RFC 9110, 5.5", `Bearer ${reader}\x1b[2J`, REJECTED),
  value("a C1 control byte after the key", "RFC 9110, 5.5", `Bearer ${reader}\x85`, MALFORMED),
  value(
    "a soft hyphen in the key",
    "RFC 6750, 2.1",
    `Bearer ${reader.slice(0, 9)}\xad${reader.slice(9)}`,
    MALFORMED,
  ),
  value("a zero width space after the scheme", "RFC 6750, 2.1", `Bearer \xe2\x80\x8b${reader}`, MALFORMED),
  value("a byte order mark after the scheme", "RFC 6750, 2.1", `Bearer \xef\xbb\xbf${reader}`, MALFORMED),
  value("an ideographic space after the scheme", "RFC 6750, 2.1", `Bearer\xe3\x80\x80${reader}`, MALFORMED),
  value(
    "an overlong UTF-8 sequence as first letter",
    "RFC 3629, 3",
    `Bearer \xc1\xa5${reader.slice(1)}`,
    MALFORMED,
  ),
  value("Bearer with a Turkish dotless i", "RFC 9110, 11.1", `Bear\xc4\xb1er ${reader}`, MALFORMED),
  value("Bearer with a script capital B", "RFC 9110, 11.1", `\xe2\x84\xacearer ${reader}`, MALFORMED),
  value("a backslash before the key", "RFC 6750, 2.1", `Bearer \\${reader}`, MALFORMED),
  value("the key in parentheses", "RFC 6750, 2.1", `Bearer (${reader})`, MALFORMED),
  value("the key as JSON", "RFC 6750, 2.1", `Bearer {"token":"${reader}"}`, MALFORMED),
  value("the key as an operator object", "OWASP API8:2023", `Bearer {"$ne":null}`, MALFORMED),
  value("padding before the key", "RFC 6750, 2.1", `Bearer =${reader}`, MALFORMED),
  value("padding without a key", "RFC 6750, 2.1", "Bearer ====", MALFORMED),
  value("an auth-param before the key", "RFC 9110, 11.4", `Bearer realm="fleet", ${reader}`, MALFORMED),
  value("a hash sign and more after the key", "RFC 6750, 2.1", `Bearer ${reader}#admin`, MALFORMED),
  value("a percent-encoded NUL after the key", "RFC 6750, 2.1", `Bearer ${reader}%00`, MALFORMED),
  value(
    "a percent-encoded line break after the key",
    "RFC 9112, 2.2",
    `Bearer ${reader}%0d%0aX: y`,
    MALFORMED,
  ),
  value("a key of 15,000 dots", "RFC 6585, 5", `Bearer ${".".repeat(15_000)}`, INVALID),
  value("7,000 quotes", "CWE-1333", `Bearer ${'"'.repeat(7_000)}`, MALFORMED),
  value("1,000 schemes", "CWE-1333", "Bearer ".repeat(1_000), MALFORMED),
  value("2,000 commas before the key", "CWE-1333", `Bearer ${" ,".repeat(2_000)}${reader}`, MALFORMED),

  // Payloads for vulnerabilities of other software
  value("Log4Shell", "CVE-2021-44228", `Bearer \${jndi:ldap://127.0.0.1:1/a}`, MALFORMED),
  value("Shellshock", "CVE-2014-6271", "() { :; }; echo shocked", MALFORMED),
  sent(
    "the Content-Type of the Struts vulnerability, with a valid key",
    "CVE-2017-5638",
    ["Content-Type: %{(#_='multipart/form-data')}", bearer(reader)],
    pass("reader"),
  ),
  sent(
    "the header that skips Next.js middleware",
    "CVE-2025-29927",
    ["x-middleware-subrequest: middleware:middleware:middleware:middleware:middleware"],
    MISSING,
  ),
  value("SQL in the key", "OWASP API8:2023", "Bearer 'OR'1'='1'--", MALFORMED),
  value("a format string as key", "CWE-134", "Bearer %s%s%n%x", MALFORMED),
  value("a template as key", "CWE-1336", "Bearer {{7*7}}", MALFORMED),

  // Header names that other servers treat as Authorization
  sent("an underscore instead of a hyphen", "CWE-444", [`Proxy_Authorization: Bearer ${reader}`], MISSING),
  sent("the name with a trailing dot", "RFC 9110, 5.6.2", [`Authorization.: Bearer ${reader}`], MISSING),
  sent("the name of CGI", "RFC 3875, 4.1.18", [`HTTP_AUTHORIZATION: Bearer ${reader}`], MISSING),
  sent("the name after a rewrite", "CWE-444", [`REDIRECT_HTTP_AUTHORIZATION: Bearer ${reader}`], MISSING),
  sent(
    "X-Original-Authorization",
    "OWASP API2:2023",
    [`X-Original-Authorization: Bearer ${reader}`],
    MISSING,
  ),
  sent(
    "X-Amzn-Remapped-Authorization",
    "OWASP API2:2023",
    [`X-Amzn-Remapped-Authorization: Bearer ${reader}`],
    MISSING,
  ),
  sent(
    "X-Auth-Token and Api-Key",
    "OWASP API2:2023",
    [`X-Auth-Token: ${reader}`, `Api-Key: ${reader}`],
    MISSING,
  ),
  sent("X-Access-Token", "OWASP API2:2023", [`X-Access-Token: ${reader}`], MISSING),
  sent(
    "user headers of a gateway",
    "OWASP API2:2023",
    ["X-User: reader", "X-Forwarded-User: reader", "X-Consumer-Username: reader"],
    MISSING,
  ),
  sent(
    "client certificate headers of a gateway",
    "RFC 9440, 2",
    ["Client-Cert: :MIIB:", "X-SSL-Client-Verify: SUCCESS"],
    MISSING,
  ),
  sent("the key in If-None-Match", "RFC 9110, 13.1.2", [`If-None-Match: "${reader}"`], MISSING),
  sent(
    "the key in Referer",
    "RFC 6750, 5.3",
    [`Referer: https://fleet.test/?access_token=${reader}`],
    MISSING,
  ),
  sent(
    "the key as user information in Referer",
    "RFC 3986, 3.2.1",
    [`Referer: https://${reader}@fleet.test/`],
    MISSING,
  ),

  // Framing of the head: bytes that another server could read as a header line
  attack(
    "a line that ends with LF alone",
    "CVE-2022-35256",
    head(`X: y\n${bearer(reader)}\r\n\r\n`),
    NOT_ALLOWED,
  ),
  attack(
    "a line that ends with CR alone",
    "CVE-2023-30589",
    head(`X: y\r${bearer(reader)}\r\n\r\n`),
    NOT_ALLOWED,
  ),
  attack(
    "a credential folded by a tab",
    "RFC 9112, 5.2",
    head(`Authorization: Bearer\r\n\t${reader}\r\n\r\n`),
    REJECTED,
  ),
  attack(
    "a tab before the colon",
    "CVE-2021-22959",
    head(`Authorization\t: Bearer ${reader}\r\n\r\n`),
    REJECTED,
  ),
  attack("an empty name", "RFC 9112, 5.1", head(`: Bearer ${reader}\r\n\r\n`), REJECTED),
  attack("a NUL in the name", "RFC 9110, 5.6.2", head(`Author\0ization: Bearer ${reader}\r\n\r\n`), REJECTED),
  attack(
    "a name in UTF-8",
    "RFC 9110, 5.6.2",
    head(`Authorizati\xc3\xb3n: Bearer ${reader}\r\n\r\n`),
    REJECTED,
  ),
  attack("CR CR LF after the credential", "RFC 9112, 2.2", head(`${bearer(reader)}\r\r\n\r\n`), REJECTED),
  attack(
    "a credential after the end of the head",
    "RFC 9112, 2.1",
    head(`\r\n${bearer(reader)}\r\n\r\n`),
    NOT_ALLOWED,
  ),
  attack(
    "a credential before the request line",
    "RFC 9112, 2.2",
    { bytes: `${bearer(reader)}\r\nGET /vehicles HTTP/1.1\r\nHost: a\r\n\r\n` },
    REJECTED,
  ),
  attack(
    "white space before the first header line",
    "RFC 9112, 2.2",
    { bytes: `GET /vehicles HTTP/1.1\r\n ${bearer(reader)}\r\nHost: a\r\n\r\n` },
    REJECTED,
  ),

  // Framing of the body: a second request inside the first
  attack(
    "CL.TE",
    "RFC 9112, 11.2",
    post(["Content-Length: 6", "Transfer-Encoding: chunked"], `0\r\n\r\nG`),
    REJECTED,
  ),
  attack(
    "TE.CL",
    "RFC 9112, 11.2",
    post(["Transfer-Encoding: chunked", "Content-Length: 3"], "1\r\nZ\r\nQ\r\n\r\n"),
    REJECTED,
  ),
  attack(
    "a Transfer-Encoding similar to chunked",
    "CVE-2022-32213",
    post(["Transfer-Encoding: chunkedchunked"], "0\r\n\r\n"),
    NOT_ALLOWED,
  ),
  attack(
    "Transfer-Encoding twice, the second not chunked",
    "CVE-2020-8287",
    post(["Transfer-Encoding: chunked", "Transfer-Encoding: eee"], "0\r\n\r\n"),
    NOT_ALLOWED,
  ),
  attack(
    "Transfer-Encoding folded",
    "CVE-2022-32215",
    post(["Transfer-Encoding: chunked\r\n , identity"], "0\r\n\r\n"),
    NOT_ALLOWED,
  ),
  attack(
    "a vertical tab in Transfer-Encoding",
    "CVE-2019-15605",
    post(["Transfer-Encoding: \x0bchunked"], "0\r\n\r\n"),
    REJECTED,
  ),
  attack(
    "a space before Content-Length",
    "CVE-2024-27982",
    { bytes: "POST /drivers HTTP/1.1\r\n Content-Length: 5\r\nHost: a\r\n\r\nGET /" },
    REJECTED,
  ),
  attack("a signed Content-Length", "RFC 9110, 8.6", post(["Content-Length: +2"], "{}"), REJECTED),
  attack("a negative Content-Length", "RFC 9110, 8.6", post(["Content-Length: -1"], "{}"), REJECTED),
  attack("a hexadecimal Content-Length", "RFC 9110, 8.6", post(["Content-Length: 0x2"], "{}"), REJECTED),
  attack("a list as Content-Length", "RFC 9112, 6.3", post(["Content-Length: 2, 3"], "{}"), REJECTED),
  attack(
    "a Content-Length past 64 bits",
    "RFC 9112, 6.3",
    post(["Content-Length: 99999999999999999999"], "{}"),
    REJECTED,
  ),
  attack(
    "a chunk size with a sign, and no key",
    "RFC 9112, 7.1",
    post(["Transfer-Encoding: chunked"], "-1\r\n{}\r\n0\r\n\r\n"),
    NOT_ALLOWED,
  ),
  attack(
    "a line break in a chunk extension",
    "CVE-2021-22960",
    post(["Transfer-Encoding: chunked"], "2;\n\r\n{}\r\n0\r\n\r\n"),
    NOT_ALLOWED,
  ),
  attack(
    "a credential in announced trailers",
    "RFC 9110, 6.5.1",
    post(
      ["Transfer-Encoding: chunked", "Trailer: Authorization", "TE: trailers"],
      `0\r\nAuthorization: Bearer ${dispatcher}\r\nX: y\r\n\r\n`,
    ),
    MISSING,
  ),
  attack(
    "an admin key in the trailers of a request with a reader key",
    "RFC 9110, 6.5.1",
    {
      target: "/admin",
      headers: ["Transfer-Encoding: chunked", "Trailer: Authorization", bearer(reader)],
      body: `0\r\nAuthorization: Bearer ${admin}\r\n\r\n`,
    },
    lacks(["fleet:admin"], ["vehicles:read"]),
  ),
  sent(
    "an unknown expectation, with a key",
    "RFC 9110, 10.1.1",
    ["Expect: 200-maybe", bearer(reader)],
    status(417),
  ),
  sent(
    "an upgrade to HTTP/2 in the clear",
    "RFC 7540, 3.2",
    ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"],
    MISSING,
  ),
  attack(
    "Connection that names Authorization",
    "RFC 9110, 7.6.1",
    { target: "/me", headers: ["Connection: close, Authorization, X-Request-Id", bearer(reader)] },
    pass("reader"),
  ),
]);
