import type { RawRequest } from "../../../unit/adapters/raw.js";
import { DAY, later } from "../../../unit/management/fixtures.js";
import { answer, attack, catalogue, type Draft } from "../attack.js";
import { managed } from "../world.js";

const API1 = "OWASP API1:2023";
const API3 = "OWASP API3:2023";
const API4 = "OWASP API4:2023";
const API5 = "OWASP API5:2023";
const KEYS = "/manage/api-keys";
const { maker, ended, asleep, reader, admin, testing, foreign } = managed;
const as = (who: string): string => `Authorization: Bearer ${who}`;
const ANN = as("jwt-ann");

const NO_BODY = answer(400, "invalid_body");
const NO_QUERY = answer(400, "invalid_query");
const NOT_FOUND = answer(404, "not_found");
const TOO_MUCH = answer(403, "exceeds_own_key");
const LACKING = answer(403, "insufficient_scope");
const OTHER_TYPE = answer(415, "unsupported_media_type");

const call = (
  title: string,
  source: string,
  line: string,
  expected: Draft["expected"],
  headers: readonly string[] = [ANN],
  more: RawRequest = {},
  how: Partial<Draft> = {},
): Draft => {
  const [method = "", target = ""] = line.split(" ");
  const length =
    method === "GET" || method === "HEAD" || more.body !== undefined ? [] : ["Content-Length: 0"];
  return attack(title, source, { method, target, headers: [...headers, ...length], ...more }, expected, how);
};

/** With a body: JSON, or text that is none. */
const send = (
  title: string,
  source: string,
  line: string,
  json: unknown,
  expected: Draft["expected"],
  who = "jwt-ann",
  type = "Content-Type: application/json",
): Draft => {
  const body = typeof json === "string" ? json : JSON.stringify(json);
  const headers = [as(who), ...(type === "" ? [] : [type]), `Content-Length: ${body.length}`];
  return call(title, source, line, expected, headers, { body });
};

const GOOD = { environment: "live", scopes: ["vehicles:read"] };
const WHOLE = JSON.stringify(GOOD);
const IN_A_CHUNK = `${WHOLE.length.toString(16)}\r\n${WHOLE}\r\n`;
const create = (
  title: string,
  source: string,
  more: object,
  expected: Draft["expected"] = NO_BODY,
  who?: string,
) => send(title, source, `POST ${KEYS}`, { ...GOOD, ...more }, expected, who);

/** By a key: within its own allowlist, expiry and limit but for what a case changes. */
const CHILD = {
  ...GOOD,
  ipAllowlist: ["127.0.0.1"],
  expiresAt: later(DAY),
  rateLimit: { limit: 1, windowSeconds: 60 },
};
const child = (title: string, more: object, expected: Draft["expected"] = TOO_MUCH) =>
  send(title, API5, `POST ${KEYS}`, { ...CHILD, ...more }, expected, maker.secret);

const list = (title: string, source: string, query: string, expected: Draft["expected"] = NO_QUERY) =>
  call(title, source, `GET ${KEYS}?${query}`, expected);

/** A new key whose body is not whole: the client sends no more, and waits for what becomes of it. */
const cut = (title: string, framing: string, body: string): Draft =>
  call(
    title,
    "RFC 9112, 8",
    `POST ${KEYS}`,
    answer([400, "hangup"]),
    [ANN, "Content-Type: application/json", framing],
    { body },
    { traffic: { halfClosed: true } },
  );

const id = (title: string, source: string, text: string, expected: Draft["expected"] = answer([400, 404])) =>
  call(title, source, `GET ${KEYS}/${text}`, expected);

export const managementAttacks = catalogue("management", [
  // Nobody, and those who may not
  call("nobody lists keys", API5, `GET ${KEYS}`, answer(401, "missing_credential"), []),
  call("nobody lists keys, by HEAD", API5, `HEAD ${KEYS}`, answer(401), []),
  call("nobody makes a key", API5, `POST ${KEYS}`, answer(401, "missing_credential"), []),
  call("a token that nobody issued", API5, `GET ${KEYS}`, answer(401, "invalid_key"), [as("jwt-mallory")]),
  call("a token named like a member of every object", "CWE-1321", `GET ${KEYS}`, answer(401, "invalid_key"), [
    as("constructor"),
  ]),
  call("two tokens", "RFC 9110, 5.3", `GET ${KEYS}`, answer(401, "malformed_credential"), [
    ANN,
    as("jwt-eve"),
  ]),
  call("a revoked admin key lists keys", API5, `GET ${KEYS}`, answer(401, "invalid_key"), [as(ended.secret)]),
  call(
    "a disabled admin key revokes a key",
    API5,
    `DELETE ${KEYS}/${reader.key.id}`,
    answer(401, "invalid_key"),
    [as(asleep.secret)],
  ),
  send("a person who may only read makes a key", API5, `POST ${KEYS}`, GOOD, LACKING, "jwt-bob"),
  call("a person who may only read revokes a key", API5, `DELETE ${KEYS}/${reader.key.id}`, LACKING, [
    as("jwt-bob"),
  ]),
  call("a person who may only read rotates a key", API5, `POST ${KEYS}/${reader.key.id}/rotate`, LACKING, [
    as("jwt-bob"),
  ]),
  call("a key that may only read disables another", API5, `POST ${KEYS}/${admin.key.id}/disable`, LACKING, [
    as(reader.secret),
  ]),
  call("a person where only keys are shown", API5, "GET /manage/me", answer(403, "not_an_api_key")),

  // Another tenant's keys are not there
  ...["GET", "DELETE"].map((method) =>
    call(`${method} of another tenant's key`, API1, `${method} ${KEYS}/${foreign.key.id}`, NOT_FOUND),
  ),
  ...["rotate", "disable", "enable"].map((word) =>
    call(`${word} of another tenant's key`, API1, `POST ${KEYS}/${foreign.key.id}/${word}`, NOT_FOUND),
  ),
  send(
    "a change of another tenant's key",
    API1,
    `PATCH ${KEYS}/${foreign.key.id}`,
    { name: "mine" },
    NOT_FOUND,
  ),
  call("the audit trail of another tenant's key", API1, `GET ${KEYS}/${foreign.key.id}/audit`, NOT_FOUND),
  call("another tenant's admin reads a key of ours", API1, `GET ${KEYS}/${reader.key.id}`, NOT_FOUND, [
    as("jwt-eve"),
  ]),
  call("another tenant's admin revokes a key of ours", API1, `DELETE ${KEYS}/${reader.key.id}`, NOT_FOUND, [
    as("jwt-eve"),
  ]),
  call("a person of the test environment reads a live key", API1, `GET ${KEYS}/${reader.key.id}`, NOT_FOUND, [
    as("jwt-tess"),
  ]),
  call("a live key revokes a test key", API1, `DELETE ${KEYS}/${testing.key.id}`, NOT_FOUND, [
    as(maker.secret),
  ]),
  list("an owner of one's own choice in the query", API1, "ownerId=evil"),
  list("an owner by brackets", API1, "filter[ownerId]=evil"),
  call("an owner of one's own choice in a header", API1, `GET ${KEYS}/${foreign.key.id}`, NOT_FOUND, [
    ANN,
    "X-Owner-Id: evil",
    "X-Tenant-Id: evil",
  ]),

  // Members that are not the client's to set
  ...Object.entries({
    ownerId: "evil",
    id: "key_1",
    hash: "0".repeat(64),
    secret: "ezt_live_x",
    version: 99,
    status: "active",
    createdAt: "2000-01-01T00:00:00Z",
    revokedAt: null,
    lastUsedAt: null,
    replaces: "key_1",
  }).map(([name, value]) => create(`${name} of one's own choice`, API3, { [name]: value })),
  send("scopes by a change", API3, `PATCH ${KEYS}/${reader.key.id}`, { scopes: ["fleet:admin"] }, NO_BODY),
  send(
    "an environment by a change",
    API3,
    `PATCH ${KEYS}/${reader.key.id}`,
    { environment: "test" },
    NO_BODY,
  ),
  send(
    "a hash by a rotation",
    API3,
    `POST ${KEYS}/${reader.key.id}/rotate`,
    { hash: "0".repeat(64) },
    NO_BODY,
  ),
  send(
    "__proto__ in the body",
    "CVE-2018-3721",
    `POST ${KEYS}`,
    '{"environment":"live","scopes":[],"__proto__":{"ownerId":"evil"}}',
    NO_BODY,
  ),
  send(
    "constructor.prototype in the body",
    "CVE-2018-16487",
    `POST ${KEYS}`,
    '{"environment":"live","scopes":[],"constructor":{"prototype":{"ownerId":"evil"}}}',
    NO_BODY,
  ),
  list("__proto__ in the query", "CVE-2022-24999", "__proto__[ownerId]=evil"),

  // A key that makes a stronger one
  child("a key grants every scope", { scopes: ["fleet:admin"] }, LACKING),
  child("a key grants a scope beside its own", { scopes: ["vehicles:read", "drivers:read"] }, LACKING),
  child("a key grants a wildcard", { scopes: ["*"] }, NO_BODY),
  child("a key grants a wildcard of its kind", { scopes: ["vehicles:*"] }, NO_BODY),
  child("a key grants a planned scope", { scopes: ["reports:read"] }, NO_BODY),
  child("a key grants a scope named like a member", { scopes: ["__proto__"] }, NO_BODY),
  child("a child from everywhere", { ipAllowlist: null }),
  child("a child from all of IPv4", { ipAllowlist: ["0.0.0.0/0"] }),
  child("a child from all of IPv4 in IPv6's clothes", { ipAllowlist: ["::ffff:0:0/96"] }),
  child("a child from all of IPv6", { ipAllowlist: ["::/0"] }),
  child("a child from a network that holds its own", { ipAllowlist: ["203.0.112.0/23"] }),
  child("a child that lives for ever", { expiresAt: null }),
  child("a child that lives a moment longer", { expiresAt: new Date(later(30 * DAY).getTime() + 1) }),
  child("a child without a limit", { rateLimit: null }),
  child("a child with a higher limit", { rateLimit: { limit: 11, windowSeconds: 60 } }),
  child("a child with as much in a shorter window", { rateLimit: { limit: 10, windowSeconds: 1 } }),
  child("a child of another environment", { environment: "test" }),
  send(
    "the last of two lists of scopes counts",
    "RFC 8259, 4",
    `POST ${KEYS}`,
    JSON.stringify(CHILD)
      .replace("{", '{"scopes":["vehicles:read"],')
      .replace(/"scopes":\["vehicles:read"\](?=,"ip)/, '"scopes":["fleet:admin"]'),
    LACKING,
    maker.secret,
  ),
  call("a key rotates a stronger one", API5, `POST ${KEYS}/${admin.key.id}/rotate`, LACKING, [
    as(maker.secret),
  ]),
  call("a key enables a stronger one", API5, `POST ${KEYS}/${asleep.key.id}/enable`, LACKING, [
    as(maker.secret),
  ]),
  send(
    "a key frees itself of its allowlist",
    API5,
    `PATCH ${KEYS}/${maker.key.id}`,
    { ipAllowlist: null },
    TOO_MUCH,
    maker.secret,
  ),
  send(
    "a key frees itself of its expiry",
    API5,
    `PATCH ${KEYS}/${maker.key.id}`,
    { expiresAt: null },
    TOO_MUCH,
    maker.secret,
  ),
  send(
    "a key frees itself of its limit",
    API5,
    `PATCH ${KEYS}/${maker.key.id}`,
    { rateLimit: null },
    TOO_MUCH,
    maker.secret,
  ),
  call("a revoked key is enabled", API5, `POST ${KEYS}/${ended.key.id}/enable`, answer(409, "key_state")),
  call("a revoked key is rotated", API5, `POST ${KEYS}/${ended.key.id}/rotate`, answer(409, "key_state")),

  // Ids
  id("an id that goes up", "CWE-22", "..%2f..%2fme"),
  id("an id of a NUL", "CWE-158", "%00"),
  id("an id and a NUL", "CWE-158", `${reader.key.id}%00`),
  id("an id in upper case", API1, reader.key.id.toUpperCase(), NOT_FOUND),
  id("an id with a space behind", API1, `${reader.key.id}%20`, NOT_FOUND),
  id("an id of SQL", "CWE-89", "%27%20or%20%271%27=%271", NOT_FOUND),
  id("an id of a wildcard", "CWE-155", "key_%25", NOT_FOUND),
  id("an id of an operator", "CWE-943", "%7B%22$ne%22:null%7D", NOT_FOUND),
  id("an id named like a member of every object", "CWE-1321", "__proto__", NOT_FOUND),
  id("an id that breaks lines", "CWE-117", "a%0d%0ab", NOT_FOUND),
  id("an id of a lone surrogate", "RFC 3629, 3", "%ed%a0%80"),
  id("an id of 5,000 letters", API4, "a".repeat(5_000), answer([404, 414])),
  id(
    "an id encoded twice",
    "CWE-174",
    `%25${reader.key.id.charCodeAt(0).toString(16)}${reader.key.id.slice(1)}`,
    NOT_FOUND,
  ),

  // Paths and methods
  call("a slash behind", API5, `GET ${KEYS}/`, NOT_FOUND),
  call("another case", API5, "GET /manage/API-KEYS", NOT_FOUND),
  call("two slashes", API5, "GET /manage//api-keys", NOT_FOUND),
  call("a path parameter", "RFC 3986, 3.3", "GET /manage/api-keys;a=b", NOT_FOUND),
  call(
    "a dot segment to the keys, without a credential",
    "RFC 3986, 5.2.4",
    "GET /manage/me/../api-keys",
    answer([400, 401, 404]),
    [],
  ),
  call(
    "PUT on the keys",
    API5,
    `PUT ${KEYS}`,
    answer(405, "method_not_allowed", { allow: "GET, HEAD, POST" }),
  ),
  call("DELETE of all keys", API5, `DELETE ${KEYS}`, answer(405, "method_not_allowed")),
  call(
    "POST of a key of one's own id",
    API5,
    `POST ${KEYS}/${reader.key.id}`,
    answer(405, "method_not_allowed"),
  ),
  call("a method by a header", API5, `POST ${KEYS}/${reader.key.id}`, answer(405, "method_not_allowed"), [
    ANN,
    "X-HTTP-Method-Override: DELETE",
  ]),
  call("a route with an encoded letter", "RFC 3986, 6.2.2.2", "GET /manage/%61pi-keys", NOT_FOUND),
  call(
    "an encoded slash in front of a word",
    "RFC 3986, 2.2",
    `POST ${KEYS}/${reader.key.id}%2frotate`,
    answer([404, 405]),
  ),
  call("a word that is no route", API5, `POST ${KEYS}/${reader.key.id}/constructor`, NOT_FOUND),

  // Queries
  list("a limit of zero", API4, "limit=0"),
  list("a negative limit", API4, "limit=-1"),
  list("a limit of millions", API4, "limit=9999999"),
  list("a limit in hexadecimal", API4, "limit=0x10"),
  list("a limit of Arabic digits", API4, "limit=%d9%a1"),
  list("two limits", "CWE-235", "limit=1&limit=1000"),
  list("two limits, one of them encoded", "CWE-235", "limit=1&%6cimit=1000"),
  list("a semicolon between parameters", "CWE-436", "limit=1;status=active"),
  list("a status that is none", API3, "status=all"),
  list("an environment that is none", API3, "environment=*"),
  list("a cursor of SQL", "CWE-89", "cursor=%27%3B%20drop%20table%20api_keys%3B--"),
  list(
    "a cursor of a NUL",
    "CWE-158",
    `cursor=${Buffer.from('["2030-01-01T00:00:00.000Z","\\u0000"]').toString("base64url")}`,
  ),
  list("a cursor of 3,000 letters", API4, `cursor=${"a".repeat(3_000)}`),
  list("a thousand parameters", API4, Array.from({ length: 1_000 }, (_, index) => `p${index}=`).join("&")),

  // Bodies
  send(
    "a form",
    "CWE-352",
    `POST ${KEYS}`,
    "environment=live&scopes=vehicles:read",
    OTHER_TYPE,
    "jwt-ann",
    "Content-Type: application/x-www-form-urlencoded",
  ),
  send(
    "plain text, which needs no preflight",
    "CWE-352",
    `POST ${KEYS}`,
    GOOD,
    OTHER_TYPE,
    "jwt-ann",
    "Content-Type: text/plain",
  ),
  send("JSON without a type", "CWE-352", `POST ${KEYS}`, GOOD, OTHER_TYPE, "jwt-ann", ""),
  send(
    "JSON behind a tab in its type",
    "CVE-2026-25223",
    `POST ${KEYS}`,
    { ...GOOD, ownerId: "evil" },
    answer([400, 415]),
    "jwt-ann",
    "Content-Type: application/json\t; charset=utf-8",
  ),
  ...(
    [
      ["JSON, and behind it plain text", "application/json", "text/plain"],
      ["plain text, and behind it JSON", "text/plain", "application/json"],
    ] as const
  ).map(([title, ...types]) =>
    send(
      title,
      "RFC 9110, 8.3",
      `POST ${KEYS}`,
      GOOD,
      answer([400, 415]),
      "jwt-ann",
      types.map((type) => `Content-Type: ${type}`).join("\r\n"),
    ),
  ),
  send(
    "UTF-8, and behind it UTF-16",
    "RFC 9110, 8.3.2",
    `POST ${KEYS}`,
    GOOD,
    OTHER_TYPE,
    "jwt-ann",
    "Content-Type: application/json; charset=utf-8; charset=utf-16",
  ),
  send(
    "not compressed, and behind it compressed",
    "RFC 9110, 8.4",
    `POST ${KEYS}`,
    GOOD,
    OTHER_TYPE,
    "jwt-ann",
    "Content-Type: application/json\r\nContent-Encoding: identity\r\nContent-Encoding: gzip",
  ),
  cut("a body of a byte less than was announced", `Content-Length: ${WHOLE.length + 1}`, WHOLE),
  cut("a chunked body without its end", "Transfer-Encoding: chunked", IN_A_CHUNK),
  cut("a chunked body whose end is cut", "Transfer-Encoding: chunked", `${IN_A_CHUNK}0\r\n`),
  cut("a chunked body whose trailers are cut", "Transfer-Encoding: chunked", `${IN_A_CHUNK}0\r\nX: y`),
  send(
    "XML with an entity",
    "CWE-611",
    `POST ${KEYS}`,
    '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    OTHER_TYPE,
    "jwt-ann",
    "Content-Type: application/xml",
  ),
  send(
    "UTF-7",
    "RFC 8259, 8.1",
    `POST ${KEYS}`,
    GOOD,
    OTHER_TYPE,
    "jwt-ann",
    "Content-Type: application/json; charset=utf-7",
  ),
  send(
    "said to be compressed",
    "CWE-409",
    `POST ${KEYS}`,
    GOOD,
    OTHER_TYPE,
    "jwt-ann",
    "Content-Type: application/json\r\nContent-Encoding: gzip",
  ),
  send("bytes that are no UTF-8", "RFC 8259, 8.1", `POST ${KEYS}`, '{"name":"\xff"}', NO_BODY),
  send("an overlong quote", "RFC 3629, 3", `POST ${KEYS}`, '{"name":"\xc0\xa2"}', NO_BODY),
  send("JSON that is cut", "RFC 8259, 2", `POST ${KEYS}`, '{"scopes":["vehicles:read"', NO_BODY),
  send("JSON with a comment", "RFC 8259, 2", `POST ${KEYS}`, '{"scopes":[]/*,*/}', NO_BODY),
  send("null for a body", "RFC 8259, 2", `POST ${KEYS}`, "null", NO_BODY),
  send("a list for a body", "RFC 8259, 2", `POST ${KEYS}`, [GOOD], NO_BODY),
  send(
    "20,000 lists in one another",
    "CWE-674",
    `POST ${KEYS}`,
    `{"scopes":${"[".repeat(20_000)}${"]".repeat(20_000)}}`,
    NO_BODY,
  ),
  send(
    "10,000 objects in one another, as metadata",
    "CWE-674",
    `POST ${KEYS}`,
    `{"environment":"live","scopes":[],"metadata":${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}}`,
    NO_BODY,
  ),
  send(
    "a byte more than 64 KiB",
    API4,
    `POST ${KEYS}`,
    `{"name":"${"a".repeat(64 * 1024 - 10)}"}`,
    answer(413, "body_too_large"),
  ),
  call(
    "a body of a gigabyte that never comes",
    API4,
    `POST ${KEYS}`,
    answer(413, "body_too_large"),
    [ANN, "Content-Type: application/json", "Content-Length: 1000000000"],
    { body: "" },
  ),
  call(
    "70,000 bytes in a chunk",
    API4,
    `POST ${KEYS}`,
    answer(413, "body_too_large"),
    [ANN, "Content-Type: application/json", "Transfer-Encoding: chunked"],
    { body: `11170\r\n${" ".repeat(70_000)}\r\n0\r\n\r\n` },
  ),

  // Values
  create("a name that clears a terminal", "CWE-117", { name: "\u001b[2J" }),
  create("a name that breaks lines", "CWE-117", { name: "a\r\nb" }),
  create("a name of a lone surrogate", "RFC 8259, 8.2", { name: "\ud800" }),
  create("a name of 256 letters", API4, { name: "a".repeat(256) }),
  create("a name that is an object", "CWE-843", { name: { toString: "a" } }),
  create("a thousand and one scopes", API4, { scopes: Array.from({ length: 1_001 }, () => "vehicles:read") }),
  create("a scope in fullwidth letters", "CWE-1007", { scopes: ["\uff56ehicles:read"] }),
  create("a scope with a space behind", API3, { scopes: ["vehicles:read "] }),
  create("scopes as a text", "CWE-843", { scopes: "vehicles:read" }),
  create("a network in octal", "CVE-2021-28918", { ipAllowlist: ["0177.0.0.0/8"] }),
  create("a network with bits behind its prefix length", "RFC 4632, 3.1", { ipAllowlist: ["10.0.0.5/8"] }),
  create("a prefix length of 33", "RFC 4632, 3.1", { ipAllowlist: ["0.0.0.0/33"] }),
  create("a network with a zone", "RFC 4007, 11", { ipAllowlist: ["fe80::1%eth0"] }),
  create("a prefix length with a leading zero", "RFC 4632, 3.1", { ipAllowlist: ["10.0.0.0/08"] }),
  create("a mask for a prefix length", "RFC 4632, 3.1", { ipAllowlist: ["10.0.0.0/255.0.0.0"] }),
  create("an address in brackets", "RFC 4291, 2.2", { ipAllowlist: ["[::1]"] }),
  create("a network that is an object", "CWE-843", { ipAllowlist: [{}] }),
  create("an expiry in the past", "OWASP API2:2023", { expiresAt: "2000-01-01T00:00:00Z" }),
  create("an expiry without an offset", "RFC 3339, 5.6", { expiresAt: "2031-01-01T00:00:00" }),
  create("an expiry in milliseconds", "CWE-843", { expiresAt: 4_102_444_800_000 }),
  create("an expiry past every calendar", "RFC 3339, 1", { expiresAt: "+275760-09-13T00:00:00.001Z" }),
  create("an expiry past the year 9999, by its offset", "RFC 3339, 1", {
    expiresAt: "9999-12-31T23:59:59-23:59",
  }),
  create("an expiry at 24 o'clock", "RFC 3339, 5.7", { expiresAt: "2031-01-01T24:00:00Z" }),
  create("an expiry in a leap second that was none", "RFC 3339, 5.7", { expiresAt: "2031-01-01T23:59:60Z" }),
  create("an expiry with the name of a zone", "RFC 9557, 4.1", { expiresAt: "2031-01-01T00:00:00Z[UTC]" }),
  create("an expiry on the 31st of February", "RFC 3339, 5.7", { expiresAt: "2031-02-31T00:00:00Z" }),
  create("a limit of zero requests", API4, { rateLimit: { limit: 0, windowSeconds: 60 } }),
  create("a limit of half a request", API4, { rateLimit: { limit: 1.5, windowSeconds: 60 } }),
  send(
    "a limit without end",
    API4,
    `POST ${KEYS}`,
    '{"environment":"live","scopes":[],"rateLimit":{"limit":1e400,"windowSeconds":1}}',
    NO_BODY,
  ),
  create("a limit as a text", "CWE-843", { rateLimit: { limit: "10", windowSeconds: 60 } }),
  create("metadata of 20 KiB", API4, { metadata: { a: "a".repeat(20_000) } }),
  send(
    "__proto__ deep in metadata",
    "CWE-1321",
    `POST ${KEYS}`,
    '{"environment":"live","scopes":[],"metadata":{"a":[{"__proto__":{"ownerId":"evil"}}]}}',
    NO_BODY,
  ),
  send(
    "metadata of a number without end",
    "RFC 8259, 6",
    `POST ${KEYS}`,
    '{"environment":"live","scopes":[],"metadata":{"a":1e400}}',
    NO_BODY,
  ),
  create("a NUL in a name of metadata", "CWE-158", { metadata: { "a\0b": 1 } }),
  create("half a character in metadata", "RFC 8259, 8.2", { metadata: { a: "\udfff" } }),
  create("metadata that is a list", "CWE-843", { metadata: [] }),
  create("an environment that is none, for a new key", API3, { environment: "prod" }),
  send(
    "an overlap of a hundred centuries",
    "OWASP API2:2023",
    `POST ${KEYS}/${reader.key.id}/rotate`,
    { overlap: "3650000d" },
    NO_BODY,
  ),
  send(
    "a reason for a revocation, and another one",
    "CWE-235",
    `DELETE ${KEYS}/${reader.key.id}?reason=a`,
    { reason: "b" },
    answer(400),
  ),
  send(
    "an overlap in Arabic digits",
    "CWE-1007",
    `POST ${KEYS}/${reader.key.id}/rotate`,
    '{"overlap":"\xd9\xa1h"}',
    NO_BODY,
  ),
  send(
    "a negative overlap",
    "OWASP API2:2023",
    `POST ${KEYS}/${reader.key.id}/rotate`,
    { overlap: "-1h" },
    NO_BODY,
  ),
]);
