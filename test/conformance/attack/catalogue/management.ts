import type { RawRequest } from "../../../unit/adapters/raw.js";
import { DAY, later } from "../../../unit/management/fixtures.js";
import { attack, catalogue, type Draft, status } from "../attack.js";
import { managed } from "../world.js";

const API1 = "OWASP API1:2023";
const API3 = "OWASP API3:2023";
const API4 = "OWASP API4:2023";
const API5 = "OWASP API5:2023";
const KEYS = "/manage/api-keys";
const { creator, revoked, disabled, reader, admin, testing, foreign } = managed;
const as = (who: string): string => `Authorization: Bearer ${who}`;
const ANN = as("jwt-ann");

const NO_BODY = status(400, "invalid_body");
const NO_QUERY = status(400, "invalid_query");
const NOT_FOUND = status(404, "not_found");
const TOO_MUCH = status(403, "exceeds_own_key");
const LACKING = status(403, "insufficient_scope");
const OTHER_TYPE = status(415, "unsupported_media_type");

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

/** A call with a body: JSON, or a string that is sent as it is. */
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

/** A key that `creator` may create: within its own allowlist, expiry and limit. */
const CHILD = {
  ...GOOD,
  ipAllowlist: ["127.0.0.1"],
  expiresAt: later(DAY),
  rateLimit: { limit: 1, windowSeconds: 60 },
};
const child = (title: string, more: object, expected: Draft["expected"] = TOO_MUCH) =>
  send(title, API5, `POST ${KEYS}`, { ...CHILD, ...more }, expected, creator.secret);

const list = (title: string, source: string, query: string, expected: Draft["expected"] = NO_QUERY) =>
  call(title, source, `GET ${KEYS}?${query}`, expected);

/** A request for a new key with an incomplete body. The client ends its side and waits for the response. */
const cut = (title: string, framing: string, body: string): Draft =>
  call(
    title,
    "RFC 9112, 8",
    `POST ${KEYS}`,
    status([400, "hangup"]),
    [ANN, "Content-Type: application/json", framing],
    { body },
    { traffic: { halfClosed: true } },
  );

const id = (title: string, source: string, text: string, expected: Draft["expected"] = status([400, 404])) =>
  call(title, source, `GET ${KEYS}/${text}`, expected);

export const managementAttacks = catalogue("management", [
  // Missing authentication and permissions
  call("a list of keys without a credential", API5, `GET ${KEYS}`, status(401, "missing_credential"), []),
  call("HEAD of the keys without a credential", API5, `HEAD ${KEYS}`, status(401), []),
  call("a new key without a credential", API5, `POST ${KEYS}`, status(401, "missing_credential"), []),
  call("an unknown token", API5, `GET ${KEYS}`, status(401, "invalid_key"), [as("jwt-mallory")]),
  call(
    "a token named like a member of Object.prototype",
    "CWE-1321",
    `GET ${KEYS}`,
    status(401, "invalid_key"),
    [as("constructor")],
  ),
  call("two tokens", "RFC 9110, 5.3", `GET ${KEYS}`, status(401, "malformed_credential"), [
    ANN,
    as("jwt-eve"),
  ]),
  call("a list of keys with a revoked admin key", API5, `GET ${KEYS}`, status(401, "invalid_key"), [
    as(revoked.secret),
  ]),
  call(
    "a revocation with a disabled admin key",
    API5,
    `DELETE ${KEYS}/${reader.key.id}`,
    status(401, "invalid_key"),
    [as(disabled.secret)],
  ),
  send("a new key by a person who may only read", API5, `POST ${KEYS}`, GOOD, LACKING, "jwt-bob"),
  call("a revocation by a person who may only read", API5, `DELETE ${KEYS}/${reader.key.id}`, LACKING, [
    as("jwt-bob"),
  ]),
  call("a rotation by a person who may only read", API5, `POST ${KEYS}/${reader.key.id}/rotate`, LACKING, [
    as("jwt-bob"),
  ]),
  call("a disablement with a key that may only read", API5, `POST ${KEYS}/${admin.key.id}/disable`, LACKING, [
    as(reader.secret),
  ]),
  call("/me without a key", API5, "GET /manage/me", status(403, "not_an_api_key")),

  // Keys of another tenant do not exist
  ...["GET", "DELETE"].map((method) =>
    call(`${method} of a key of another tenant`, API1, `${method} ${KEYS}/${foreign.key.id}`, NOT_FOUND),
  ),
  ...["rotate", "disable", "enable"].map((word) =>
    call(`${word} of a key of another tenant`, API1, `POST ${KEYS}/${foreign.key.id}/${word}`, NOT_FOUND),
  ),
  send(
    "a change of a key of another tenant",
    API1,
    `PATCH ${KEYS}/${foreign.key.id}`,
    { name: "mine" },
    NOT_FOUND,
  ),
  call("the audit trail of a key of another tenant", API1, `GET ${KEYS}/${foreign.key.id}/audit`, NOT_FOUND),
  call("a key read by an admin of another tenant", API1, `GET ${KEYS}/${reader.key.id}`, NOT_FOUND, [
    as("jwt-eve"),
  ]),
  call("a key revoked by an admin of another tenant", API1, `DELETE ${KEYS}/${reader.key.id}`, NOT_FOUND, [
    as("jwt-eve"),
  ]),
  call(
    "a live key read by a person of the test environment",
    API1,
    `GET ${KEYS}/${reader.key.id}`,
    NOT_FOUND,
    [as("jwt-tess")],
  ),
  call("a test key revoked with a live key", API1, `DELETE ${KEYS}/${testing.key.id}`, NOT_FOUND, [
    as(creator.secret),
  ]),
  list("another owner in the query", API1, "ownerId=evil"),
  list("another owner in brackets in the query", API1, "filter[ownerId]=evil"),
  call("another owner in a header", API1, `GET ${KEYS}/${foreign.key.id}`, NOT_FOUND, [
    ANN,
    "X-Owner-Id: evil",
    "X-Tenant-Id: evil",
  ]),

  // Members that the client must not set
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
  }).map(([name, value]) => create(`${name} of a new key`, API3, { [name]: value })),
  send("scopes in a change", API3, `PATCH ${KEYS}/${reader.key.id}`, { scopes: ["fleet:admin"] }, NO_BODY),
  send(
    "an environment in a change",
    API3,
    `PATCH ${KEYS}/${reader.key.id}`,
    { environment: "test" },
    NO_BODY,
  ),
  send(
    "a hash in a rotation",
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

  // A key that creates a stronger key
  child("a child with every scope", { scopes: ["fleet:admin"] }, LACKING),
  child("a child with a scope that its parent lacks", { scopes: ["vehicles:read", "drivers:read"] }, LACKING),
  child("a child with a wildcard", { scopes: ["*"] }, NO_BODY),
  child("a child with a wildcard for vehicles", { scopes: ["vehicles:*"] }, NO_BODY),
  child("a child with a planned scope", { scopes: ["reports:read"] }, NO_BODY),
  child("a child with the scope __proto__", { scopes: ["__proto__"] }, NO_BODY),
  child("a child without an allowlist", { ipAllowlist: null }),
  child("a child for all of IPv4", { ipAllowlist: ["0.0.0.0/0"] }),
  child("a child for all of IPv4 in mapped form", { ipAllowlist: ["::ffff:0:0/96"] }),
  child("a child for all of IPv6", { ipAllowlist: ["::/0"] }),
  child("a child for a larger network", { ipAllowlist: ["203.0.112.0/23"] }),
  child("a child without an expiry", { expiresAt: null }),
  child("a child that expires a millisecond later", { expiresAt: new Date(later(30 * DAY).getTime() + 1) }),
  child("a child without a limit", { rateLimit: null }),
  child("a child with a higher limit", { rateLimit: { limit: 11, windowSeconds: 60 } }),
  child("a child with the same limit in a shorter window", { rateLimit: { limit: 10, windowSeconds: 1 } }),
  child("a child of another environment", { environment: "test" }),
  send(
    "two members with scopes",
    "RFC 8259, 4",
    `POST ${KEYS}`,
    JSON.stringify(CHILD)
      .replace("{", '{"scopes":["vehicles:read"],')
      .replace(/"scopes":\["vehicles:read"\](?=,"ip)/, '"scopes":["fleet:admin"]'),
    NO_BODY,
    creator.secret,
  ),
  call("a rotation of a stronger key", API5, `POST ${KEYS}/${admin.key.id}/rotate`, LACKING, [
    as(creator.secret),
  ]),
  call("an enablement of a stronger key", API5, `POST ${KEYS}/${disabled.key.id}/enable`, LACKING, [
    as(creator.secret),
  ]),
  send(
    "a key that removes its own allowlist",
    API5,
    `PATCH ${KEYS}/${creator.key.id}`,
    { ipAllowlist: null },
    TOO_MUCH,
    creator.secret,
  ),
  send(
    "a key that removes its own expiry",
    API5,
    `PATCH ${KEYS}/${creator.key.id}`,
    { expiresAt: null },
    TOO_MUCH,
    creator.secret,
  ),
  send(
    "a key that removes its own limit",
    API5,
    `PATCH ${KEYS}/${creator.key.id}`,
    { rateLimit: null },
    TOO_MUCH,
    creator.secret,
  ),
  call(
    "an enablement of a revoked key",
    API5,
    `POST ${KEYS}/${revoked.key.id}/enable`,
    status(409, "key_state"),
  ),
  call(
    "a rotation of a revoked key",
    API5,
    `POST ${KEYS}/${revoked.key.id}/rotate`,
    status(409, "key_state"),
  ),

  // Ids
  id("an id with double dot segments", "CWE-22", "..%2f..%2fme"),
  id("a NUL as id", "CWE-158", "%00"),
  id("an id with a NUL after it", "CWE-158", `${reader.key.id}%00`),
  id("an id in upper case", API1, reader.key.id.toUpperCase(), NOT_FOUND),
  id("an id with a space after it", API1, `${reader.key.id}%20`, NOT_FOUND),
  id("SQL as id", "CWE-89", "%27%20or%20%271%27=%271", NOT_FOUND),
  id("an id with a wildcard", "CWE-155", "key_%25", NOT_FOUND),
  id("an operator object as id", "CWE-943", "%7B%22$ne%22:null%7D", NOT_FOUND),
  id("__proto__ as id", "CWE-1321", "__proto__", NOT_FOUND),
  id("an id with line breaks", "CWE-117", "a%0d%0ab", NOT_FOUND),
  id("a lone surrogate as id", "RFC 3629, 3", "%ed%a0%80"),
  id("an id of 5,000 letters", API4, "a".repeat(5_000), status([404, 414])),
  id(
    "an id encoded twice",
    "CWE-174",
    `%25${reader.key.id.charCodeAt(0).toString(16)}${reader.key.id.slice(1)}`,
    NOT_FOUND,
  ),

  // Paths and methods
  call("a slash after the path", API5, `GET ${KEYS}/`, NOT_FOUND),
  call("the path in upper case", API5, "GET /manage/API-KEYS", NOT_FOUND),
  call("two slashes in the path", API5, "GET /manage//api-keys", NOT_FOUND),
  call("a path parameter", "RFC 3986, 3.3", "GET /manage/api-keys;a=b", NOT_FOUND),
  call(
    "a dot segment to the keys, without a credential",
    "RFC 3986, 5.2.4",
    "GET /manage/me/../api-keys",
    status([400, 401, 404]),
    [],
  ),
  call(
    "PUT on the keys",
    API5,
    `PUT ${KEYS}`,
    status(405, "method_not_allowed", { allow: "GET, HEAD, POST" }),
  ),
  call("DELETE of all keys", API5, `DELETE ${KEYS}`, status(405, "method_not_allowed")),
  call("POST on a key", API5, `POST ${KEYS}/${reader.key.id}`, status(405, "method_not_allowed")),
  call(
    "a method override in a header",
    API5,
    `POST ${KEYS}/${reader.key.id}`,
    status(405, "method_not_allowed"),
    [ANN, "X-HTTP-Method-Override: DELETE"],
  ),
  call("a route with an encoded letter", "RFC 3986, 6.2.2.2", "GET /manage/%61pi-keys", NOT_FOUND),
  call(
    "an encoded slash before an operation",
    "RFC 3986, 2.2",
    `POST ${KEYS}/${reader.key.id}%2frotate`,
    status([404, 405]),
  ),
  call("an unknown operation", API5, `POST ${KEYS}/${reader.key.id}/constructor`, NOT_FOUND),

  // Queries
  list("a limit of zero", API4, "limit=0"),
  list("a negative limit", API4, "limit=-1"),
  list("a limit of 9,999,999", API4, "limit=9999999"),
  list("a limit in hexadecimal", API4, "limit=0x10"),
  list("a limit of Arabic digits", API4, "limit=%d9%a1"),
  list("two limits", "CWE-235", "limit=1&limit=1000"),
  list("two limits, one of them encoded", "CWE-235", "limit=1&%6cimit=1000"),
  list("a semicolon between parameters", "CWE-436", "limit=1;status=active"),
  list("an unknown status", API3, "status=all"),
  list("an unknown environment", API3, "environment=*"),
  list("SQL as cursor", "CWE-89", "cursor=%27%3B%20drop%20table%20api_keys%3B--"),
  list(
    "a cursor with a NUL",
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
  send("JSON without a Content-Type", "CWE-352", `POST ${KEYS}`, GOOD, OTHER_TYPE, "jwt-ann", ""),
  send(
    "a Content-Type with a tab",
    "CVE-2026-25223",
    `POST ${KEYS}`,
    { ...GOOD, ownerId: "evil" },
    status([400, 415]),
    "jwt-ann",
    "Content-Type: application/json\t; charset=utf-8",
  ),
  ...(
    [
      ["two Content-Types, JSON first", "application/json", "text/plain"],
      ["two Content-Types, JSON last", "text/plain", "application/json"],
    ] as const
  ).map(([title, ...types]) =>
    send(
      title,
      "RFC 9110, 8.3",
      `POST ${KEYS}`,
      GOOD,
      status([400, 415]),
      "jwt-ann",
      types.map((type) => `Content-Type: ${type}`).join("\r\n"),
    ),
  ),
  send(
    "two charsets",
    "RFC 9110, 8.3.2",
    `POST ${KEYS}`,
    GOOD,
    OTHER_TYPE,
    "jwt-ann",
    "Content-Type: application/json; charset=utf-8; charset=utf-16",
  ),
  send(
    "two Content-Encodings",
    "RFC 9110, 8.4",
    `POST ${KEYS}`,
    GOOD,
    OTHER_TYPE,
    "jwt-ann",
    "Content-Type: application/json\r\nContent-Encoding: identity\r\nContent-Encoding: gzip",
  ),
  cut("a body that is one byte short", `Content-Length: ${WHOLE.length + 1}`, WHOLE),
  cut("a chunked body without the last chunk", "Transfer-Encoding: chunked", IN_A_CHUNK),
  cut("a chunked body without the final line break", "Transfer-Encoding: chunked", `${IN_A_CHUNK}0\r\n`),
  cut("a chunked body with incomplete trailers", "Transfer-Encoding: chunked", `${IN_A_CHUNK}0\r\nX: y`),
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
    "Content-Encoding: gzip",
    "CWE-409",
    `POST ${KEYS}`,
    GOOD,
    OTHER_TYPE,
    "jwt-ann",
    "Content-Type: application/json\r\nContent-Encoding: gzip",
  ),
  send("bytes that are not UTF-8", "RFC 8259, 8.1", `POST ${KEYS}`, '{"name":"\xff"}', NO_BODY),
  send("an overlong quote", "RFC 3629, 3", `POST ${KEYS}`, '{"name":"\xc0\xa2"}', NO_BODY),
  send("incomplete JSON", "RFC 8259, 2", `POST ${KEYS}`, '{"scopes":["vehicles:read"', NO_BODY),
  send("JSON with a comment", "RFC 8259, 2", `POST ${KEYS}`, '{"scopes":[]/*,*/}', NO_BODY),
  send("null as body", "RFC 8259, 2", `POST ${KEYS}`, "null", NO_BODY),
  send("an array as body", "RFC 8259, 2", `POST ${KEYS}`, [GOOD], NO_BODY),
  send(
    "20,000 nested arrays",
    "CWE-674",
    `POST ${KEYS}`,
    `{"scopes":${"[".repeat(20_000)}${"]".repeat(20_000)}}`,
    NO_BODY,
  ),
  send(
    "10,000 nested objects as metadata",
    "CWE-674",
    `POST ${KEYS}`,
    `{"environment":"live","scopes":[],"metadata":${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}}`,
    NO_BODY,
  ),
  send(
    "a body of one byte more than 64 KiB",
    API4,
    `POST ${KEYS}`,
    `{"name":"${"a".repeat(64 * 1024 - 10)}"}`,
    status(413, "body_too_large"),
  ),
  call(
    "a missing body with a Content-Length of a gigabyte",
    API4,
    `POST ${KEYS}`,
    status(413, "body_too_large"),
    [ANN, "Content-Type: application/json", "Content-Length: 1000000000"],
    { body: "" },
  ),
  call(
    "a chunk of 70,000 bytes",
    API4,
    `POST ${KEYS}`,
    status(413, "body_too_large"),
    [ANN, "Content-Type: application/json", "Transfer-Encoding: chunked"],
    { body: `11170\r\n${" ".repeat(70_000)}\r\n0\r\n\r\n` },
  ),

  // Values
  create("a name with a terminal sequence", "CWE-117", { name: "\u001b[2J" }),
  create("a name with line breaks", "CWE-117", { name: "a\r\nb" }),
  create("a lone surrogate as name", "RFC 8259, 8.2", { name: "\ud800" }),
  create("a name of 256 letters", API4, { name: "a".repeat(256) }),
  create("an object as name", "CWE-843", { name: { toString: "a" } }),
  create("a thousand and one scopes", API4, { scopes: Array.from({ length: 1_001 }, () => "vehicles:read") }),
  create("a scope in fullwidth letters", "CWE-1007", { scopes: ["\uff56ehicles:read"] }),
  create("a scope with a space after it", API3, { scopes: ["vehicles:read "] }),
  create("a string as scopes", "CWE-843", { scopes: "vehicles:read" }),
  create("a network in octal", "CVE-2021-28918", { ipAllowlist: ["0177.0.0.0/8"] }),
  create("a network with bits after its prefix length", "RFC 4632, 3.1", { ipAllowlist: ["10.0.0.5/8"] }),
  create("a prefix length of 33", "RFC 4632, 3.1", { ipAllowlist: ["0.0.0.0/33"] }),
  create("a network with a zone", "RFC 4007, 11", { ipAllowlist: ["fe80::1%eth0"] }),
  create("a prefix length with a leading zero", "RFC 4632, 3.1", { ipAllowlist: ["10.0.0.0/08"] }),
  create("a mask instead of a prefix length", "RFC 4632, 3.1", { ipAllowlist: ["10.0.0.0/255.0.0.0"] }),
  create("an address in brackets", "RFC 4291, 2.2", { ipAllowlist: ["[::1]"] }),
  create("an object as network", "CWE-843", { ipAllowlist: [{}] }),
  create("an expiry in the past", "OWASP API2:2023", { expiresAt: "2000-01-01T00:00:00Z" }),
  create("an expiry without an offset", "RFC 3339, 5.6", { expiresAt: "2031-01-01T00:00:00" }),
  create("an expiry in milliseconds", "CWE-843", { expiresAt: 4_102_444_800_000 }),
  create("an expiry after the last valid date", "RFC 3339, 1", { expiresAt: "+275760-09-13T00:00:00.001Z" }),
  create("an expiry after the year 9999 because of its offset", "RFC 3339, 1", {
    expiresAt: "9999-12-31T23:59:59-23:59",
  }),
  create("an expiry at 24 o'clock", "RFC 3339, 5.7", { expiresAt: "2031-01-01T24:00:00Z" }),
  create("an expiry in an invalid leap second", "RFC 3339, 5.7", { expiresAt: "2031-01-01T23:59:60Z" }),
  create("an expiry with a time zone name", "RFC 9557, 4.1", { expiresAt: "2031-01-01T00:00:00Z[UTC]" }),
  create("an expiry on the 31st of February", "RFC 3339, 5.7", { expiresAt: "2031-02-31T00:00:00Z" }),
  create("a limit of zero requests", API4, { rateLimit: { limit: 0, windowSeconds: 60 } }),
  create("a limit of 1.5 requests", API4, { rateLimit: { limit: 1.5, windowSeconds: 60 } }),
  send(
    "an infinite limit",
    API4,
    `POST ${KEYS}`,
    '{"environment":"live","scopes":[],"rateLimit":{"limit":1e400,"windowSeconds":1}}',
    NO_BODY,
  ),
  create("a string as limit", "CWE-843", { rateLimit: { limit: "10", windowSeconds: 60 } }),
  create("metadata of 20 KiB", API4, { metadata: { a: "a".repeat(20_000) } }),
  send(
    "__proto__ deep in metadata",
    "CWE-1321",
    `POST ${KEYS}`,
    '{"environment":"live","scopes":[],"metadata":{"a":[{"__proto__":{"ownerId":"evil"}}]}}',
    NO_BODY,
  ),
  send(
    "a duplicate member, the second one wider",
    "CWE-436",
    `POST ${KEYS}`,
    '{"environment":"live","scopes":[],"ipAllowlist":[],"ipAllowlist":null}',
    NO_BODY,
  ),
  send(
    "metadata with an infinite number",
    "RFC 8259, 6",
    `POST ${KEYS}`,
    '{"environment":"live","scopes":[],"metadata":{"a":1e400}}',
    NO_BODY,
  ),
  create("a NUL in a name in metadata", "CWE-158", { metadata: { "a\0b": 1 } }),
  create("a lone surrogate in metadata", "RFC 8259, 8.2", { metadata: { a: "\udfff" } }),
  create("an array as metadata", "CWE-843", { metadata: [] }),
  create("an unknown environment of a new key", API3, { environment: "prod" }),
  send(
    "an overlap of a hundred centuries",
    "OWASP API2:2023",
    `POST ${KEYS}/${reader.key.id}/rotate`,
    { overlap: "3650000d" },
    NO_BODY,
  ),
  send(
    "two reasons for a revocation",
    "CWE-235",
    `DELETE ${KEYS}/${reader.key.id}?reason=a`,
    { reason: "b" },
    status(400),
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
