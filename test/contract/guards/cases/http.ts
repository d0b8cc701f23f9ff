import { secrets } from "../../../unit/adapters/fixtures.js";
import type { RawRequest } from "../../../unit/adapters/raw.js";
import { bearer, type Case, deny, GUARDED, lacks, pass, UNSERVED } from "../case.js";

const MISSING = deny("missing_credential", { lookups: 0 });
const { reader, dispatcher } = secrets;

const wire = (id: string, request: RawRequest, expected: Case["expected"]): Case => ({
  id,
  request,
  expected,
  wireOnly: true,
});

const method = (name: string, expected: Case["expected"], headers: readonly string[] = []): Case =>
  wire(`method ${name}${headers.length > 0 ? " with a key" : ""}`, { method: name, headers }, expected);

const target = (path: string): Case => wire(`target ${path}`, { target: path }, GUARDED);

const accept = (id: string, value: string, problem: boolean, more: RawRequest = {}): Case => ({
  id: `Accept ${id}`,
  request: { ...more, headers: [`Accept: ${value}`, ...(more.headers ?? [])] },
  expected: deny("missing_credential", { problem }),
});

const requestId = (id: string, value: string | null, expected: Case["expected"]): Case => ({
  id: `X-Request-Id ${id}`,
  request: { requestId: value },
  expected,
});

const FRESH = deny("missing_credential", { requestId: "fresh" });
const LARGE = "x".repeat(1_000_000);

/** Methods, targets, versions, bodies, `Accept` and `X-Request-Id`. */
export const httpCases: readonly Case[] = [
  // Methods
  { id: "HEAD without a key", request: { method: "HEAD" }, expected: MISSING },
  { id: "HEAD with a key", request: { method: "HEAD", headers: [bearer(reader)] }, expected: pass("reader") },
  {
    id: "HEAD with a key that lacks the scope",
    request: { method: "HEAD", headers: [bearer(dispatcher)] },
    expected: lacks(["vehicles:read"], ["drivers:write"]),
  },
  method("OPTIONS", UNSERVED),
  method("OPTIONS", UNSERVED, ["Origin: https://a.test", "Access-Control-Request-Method: GET"]),
  method("TRACE", UNSERVED),
  method("TRACE", UNSERVED, [bearer(reader)]),
  method("PROPFIND", UNSERVED),
  method("PURGE", UNSERVED, [bearer(reader)]),
  method("M-SEARCH", UNSERVED),
  method("CONNECT", UNSERVED),
  method("FOO", UNSERVED),
  method("get", UNSERVED),
  method("POST", UNSERVED, ["Content-Length: 0", "X-HTTP-Method-Override: GET", "X-HTTP-Method: GET"]),
  wire("OPTIONS for the whole server", { method: "OPTIONS", target: "*" }, UNSERVED),
  wire("HEAD for a route of POST", { method: "HEAD", target: "/drivers" }, UNSERVED),

  // Targets: guarded or not routed
  ...[
    "//vehicles",
    "///vehicles",
    "/%76ehicles",
    "/vehicle%73",
    "/%2576ehicles",
    "/VEHICLES",
    "/Vehicles",
    "/vehicles/",
    "/vehicles//",
    "/vehicles?x",
    "/vehicles?",
    "/vehicles#x",
    "/vehicles;a=b",
    "/vehicles%3Fx",
    "/vehicles%2F",
    "/vehicles%00",
    "/vehicles%20",
    "/vehicles.json",
    "/vehicles\\",
    "/./vehicles",
    "/a/../vehicles",
    "/%2e%2e/vehicles",
    "/a/%2e%2e/vehicles",
    "/a/..%2fvehicles",
    "/a\\..\\vehicles",
    "/optional/../vehicles",
    "/optional/%2e%2e/vehicles",
    "/optional;/../vehicles",
    "http://fleet.test/vehicles",
    "http://other.test/vehicles",
    "HTTP://FLEET.TEST/vehicles",
    "http://fleet.test//vehicles",
    "http:///vehicles",
    "https://fleet.test/vehicles",
    "ftp://fleet.test/vehicles",
    "vehicles",
    "?/vehicles",
    "/vehicles?x=/optional",
    "/vehicles?/../optional",
    "/mutates",
    "/inspects",
    "/throws",
  ].map(target),
  wire("a target with UTF-8", { target: "/v\xc3\xa9hicles" }, GUARDED),
  wire("two slashes and the own host", { target: "//fleet.test/vehicles" }, GUARDED),
  {
    id: "a query and a key",
    request: { target: "/vehicles?a=b", headers: [bearer(reader)] },
    expected: pass("reader"),
  },
  wire(
    "an absolute target and a key in the query",
    { target: `http://fleet.test/vehicles?key=${reader}` },
    GUARDED,
  ),

  // Hosts: a path in the Host line must not replace that of the target
  wire("no Host line", { host: null }, UNSERVED),
  wire("an empty Host line", { host: "" }, GUARDED),
  wire("a host with a path", { host: "fleet.test/optional?" }, GUARDED),
  wire("a host with user information", { host: `${reader}@fleet.test` }, GUARDED),
  wire("a host with a space", { host: "fleet test" }, GUARDED),

  // Versions
  wire("HTTP/1.0", { version: "1.0" }, MISSING),
  wire("HTTP/1.0 without a host", { version: "1.0", host: null }, GUARDED),
  wire("HTTP/1.0 with a key", { version: "1.0", headers: [bearer(reader)] }, pass("reader")),
  wire("HTTP/1.0, kept alive", { version: "1.0", headers: ["Connection: keep-alive"] }, MISSING),
  wire("HTTP/0.9", { bytes: "GET /vehicles\r\n\r\n" }, GUARDED),
  wire("HTTP/2 preface", { bytes: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" }, UNSERVED),
  wire("closing the connection", { headers: ["Connection: close"] }, MISSING),
  wire("an upgrade", { headers: ["Connection: Upgrade", "Upgrade: websocket"] }, MISSING),
  wire(
    "an upgrade to HTTP/2",
    { headers: ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA"] },
    MISSING,
  ),

  // Bodies
  wire(
    "POST with a body, without a key",
    {
      method: "POST",
      target: "/drivers",
      headers: ["Content-Type: application/json", "Content-Length: 2"],
      body: "{}",
    },
    MISSING,
  ),
  wire(
    "POST with an invalid JSON body, without a key",
    {
      method: "POST",
      target: "/drivers",
      headers: ["Content-Type: application/json", "Content-Length: 1"],
      body: "{",
    },
    MISSING,
  ),
  wire(
    "POST with an invalid Content-Type, without a key",
    { method: "POST", target: "/drivers", headers: ["Content-Type: ;;;", "Content-Length: 1"], body: "{" },
    MISSING,
  ),
  wire(
    "POST with a megabyte, without a key",
    { method: "POST", target: "/drivers", headers: ["Content-Length: 1000000"], body: LARGE },
    MISSING,
  ),
  wire(
    "POST with a megabyte in a chunk, without a key",
    {
      method: "POST",
      target: "/drivers",
      headers: ["Transfer-Encoding: chunked"],
      body: `${LARGE.length.toString(16)}\r\n${LARGE}\r\n0\r\n\r\n`,
    },
    MISSING,
  ),
  wire(
    "POST with a body that is never sent, without a key",
    { method: "POST", target: "/drivers", headers: ["Content-Length: 1000"] },
    MISSING,
  ),
  wire(
    "POST with Expect: 100-continue, without a key",
    { method: "POST", target: "/drivers", headers: ["Content-Length: 1000", "Expect: 100-continue"] },
    MISSING,
  ),
  wire(
    "POST with a body and a key",
    {
      method: "POST",
      target: "/drivers",
      headers: [bearer(dispatcher), "Content-Type: application/json", "Content-Length: 2"],
      body: "{}",
    },
    pass("dispatcher"),
  ),
  wire("GET with a body, without a key", { headers: ["Content-Length: 2"], body: "{}" }, MISSING),
  wire(
    "GET with a body and a key",
    { headers: ["Content-Length: 2", bearer(reader)], body: "{}" },
    pass("reader"),
  ),
  wire(
    "Content-Length and Transfer-Encoding",
    {
      method: "POST",
      target: "/drivers",
      headers: ["Content-Length: 2", "Transfer-Encoding: chunked"],
      body: "{}",
    },
    UNSERVED,
  ),
  wire(
    "two Content-Length lines",
    { headers: ["Content-Length: 0", "Content-Length: 2"], body: "{}" },
    UNSERVED,
  ),

  // Problem documents (RFC 9457)
  accept("problem documents", "application/problem+json", true),
  accept("problem documents in upper case", "APPLICATION/PROBLEM+JSON", true),
  accept("problem documents first", "application/problem+json, application/json;q=0.9", true),
  accept(
    "JSON and problem documents with the same weight",
    "application/json, application/problem+json",
    true,
  ),
  accept("problem documents and anything", "application/problem+json, */*;q=0.1", true),
  accept("problem documents with a parameter", "application/problem+json; charset=utf-8", true),
  accept("problem documents with a low weight", "application/problem+json;q=0.001", true),
  accept("problem documents for HEAD", "application/problem+json", true, { method: "HEAD" }),
  accept(
    "problem documents with a lower weight than JSON",
    "application/problem+json;q=0.5, application/json",
    false,
  ),
  accept("problem documents with weight 0", "application/problem+json;q=0", false),
  accept("problem documents with weight 0.000", "application/problem+json;q=0.000, */*", false),
  accept("problem documents with an invalid weight", "application/problem+json;q=x", false),
  accept("anything", "*/*", false),
  accept("any application type", "application/*", false),
  accept("JSON", "application/json", false),
  accept("problem documents in XML", "application/problem+xml", false),
  accept("a web page", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", false),
  accept("nothing", "", false),
  accept("two lines", "text/html", true, { headers: ["Accept: application/problem+json"] }),
  {
    id: "Accept problem documents, scopes missing",
    request: {
      method: "PUT",
      headers: ["Accept: application/problem+json", bearer(reader), "Content-Length: 0"],
    },
    expected: { ...lacks(["vehicles:write"], ["vehicles:read"]), problem: true } as Case["expected"],
  },
  {
    id: "Accept problem documents, over the limit",
    request: { headers: ["Accept: application/problem+json", bearer(secrets.exhausted)] },
    expected: deny("rate_limited", { problem: true }),
  },

  // Well-formed request ids are echoed
  requestId("well-formed", "a.B-c_1:9", MISSING),
  requestId("of 128 characters", "a".repeat(128), MISSING),
];

/** Request ids that must not be echoed. Not for Fastify, which uses its own ids. */
export const requestIdCases: readonly Case[] = [
  requestId("absent", null, FRESH),
  requestId("empty", "", FRESH),
  requestId("of 129 characters", "a".repeat(129), FRESH),
  requestId("with a space", "a b", FRESH),
  requestId("with a comma", "a,b", FRESH),
  requestId("with markup", "<script>", FRESH),
  requestId("with a quote", 'a"b', FRESH),
  requestId("with a line break, percent-encoded", "a%0d%0ab", FRESH),
  requestId("in UTF-8", "\xc3\xa9", FRESH),
  {
    id: "X-Request-Id twice",
    request: { requestId: null, headers: ["X-Request-Id: a", "X-Request-Id: b"] },
    expected: FRESH,
  },
  {
    id: "X-Request-Id under another name",
    request: { requestId: null, headers: ["Request-Id: a"] },
    expected: FRESH,
  },
];
