import { bearer, deny } from "../../../contract/guards/case.js";
import { secrets } from "../../../unit/adapters/fixtures.js";
import { attack, catalogue, type Draft, NOT_ALLOWED, REJECTED, status } from "../attack.js";

const MISSING = deny("missing_credential", { lookups: 0 });
const { reader } = secrets;

/** A request without a key, which must not reach the handler. */
const target = (title: string, source: string, path: string, more: Partial<Draft["request"]> = {}): Draft =>
  attack(title, source, { target: path, ...more }, NOT_ALLOWED);

const method = (name: string, source: string, target = "/vehicles", headers: readonly string[] = []): Draft =>
  attack(
    `method ${name}`,
    source,
    { method: name, target, headers },
    status([200, 204, 400, 404, 405, 501, "hangup"], undefined, {}),
  );

/** Methods other than OPTIONS are not served. */
const unserved = (draft: Draft): Draft => ({ ...draft, expected: REJECTED });

const API5 = "OWASP API5:2023";
const API8 = "OWASP API8:2023";

export const routeAttacks = catalogue("routes", [
  // Paths that a router and a proxy may interpret differently
  target("a path parameter before the route", "CVE-2020-5902", "/..;/vehicles"),
  target("a path parameter with a name", "RFC 3986, 3.3", "/;jsessionid=1/vehicles"),
  target("an encoded dot segment", "CVE-2021-41773", "/optional/.%2e/vehicles"),
  target("a dot segment, encoded twice", "CVE-2021-42013", "/optional/%%32%65%%32%65/vehicles"),
  target("an overlong slash", "RFC 3629, 3", "/optional/..%c0%afvehicles"),
  target("an overlong dot", "RFC 3629, 3", "/optional/%c0%ae%c0%ae/vehicles"),
  target("a line break in the path", "CVE-2022-22978", "/vehicles%0a"),
  target("a carriage return in the path", "CVE-2022-22978", "/vehicles%0d"),
  target("a tab in the path", "RFC 3986, 2.1", "/vehicles%09"),
  target("a NUL and an extension", "CWE-158", "/vehicles%00.css"),
  target("an extension that caches store", "CWE-524", "/vehicles/a.css"),
  target("a semicolon and an extension", "CWE-524", "/vehicles;a.js"),
  target("a percent sign without digits", "RFC 3986, 2.1", "/vehicles%"),
  target("a percent sign with one digit", "RFC 3986, 2.1", "/vehicles%2"),
  target("a percent sign with other letters", "RFC 3986, 2.1", "/vehicles%zz"),
  target("encoded bytes that are not UTF-8", "RFC 3986, 2.5", "/vehicles%ff"),
  target("%u notation", "RFC 3986, 2.1", "/%u0076ehicles"),
  target("a fullwidth solidus", "RFC 3986, 2.5", "/%ef%bc%8fvehicles"),
  target("the route in mixed case", "RFC 3986, 6.2.2.1", "/vEhIcLeS"),
  target("the long s, which is an S in upper case", "RFC 3986, 6.2.2.1", "/vehicle%c5%bf"),
  target("an encoded slash before the route", "RFC 3986, 2.2", "/%2fvehicles"),
  target("an encoded backslash before the route", "RFC 3986, 2.1", "/%5cvehicles"),
  target("five slashes", "RFC 3986, 3.3", "/////vehicles"),
  target("a dot segment after the route", "RFC 3986, 5.2.4", "/vehicles/."),
  target("a double dot segment after the route", "RFC 3986, 5.2.4", "/vehicles/x/.."),
  target("a target that starts with two slashes and a host", "RFC 3986, 4.2", "//evil.test/vehicles"),
  target("an at sign", "RFC 3986, 3.2.1", "/@fleet.test/vehicles"),
  target("an absolute target with user information", "RFC 9110, 4.2.4", "http://admin@fleet.test/vehicles"),
  target("an absolute target with another port", "RFC 9112, 3.2.2", "http://fleet.test:1/vehicles"),
  // Koa cannot parse this one and responds with 500.
  {
    ...target("an absolute target with an IPv6 zone", "RFC 6874, 2", "http://[fe80::1%25eth0]/vehicles"),
    expected: status([...NOT_ALLOWED.status, 500]),
  },
  target("an absolute target without a path", "RFC 9112, 3.2.2", "http://fleet.test?/vehicles"),
  target(
    "an absolute target whose fragment is another route",
    "RFC 9110, 4.2.5",
    "http://fleet.test/admin#/optional",
  ),
  target(
    "an absolute target with double dot segments",
    "RFC 3986, 5.2.4",
    "http://fleet.test/optional/../admin",
  ),
  target("an absolute target in upper case", "RFC 3986, 3.1", "HTTPS://FLEET.TEST/vehicles"),
  target("an asterisk target for GET", "RFC 9112, 3.2.4", "*"),
  target("a javascript target", "RFC 9112, 3.2", "javascript:alert(1)"),
  target("a file target", "RFC 9112, 3.2", "file:///vehicles"),
  target("an authority target for GET", "RFC 9112, 3.2.3", "fleet.test:80"),
  target(
    "a query that names another route",
    API8,
    "/vehicles?path=/optional&_route=/optional&url=%2foptional",
  ),
  target(
    "a query with __proto__",
    "CVE-2022-24999",
    "/vehicles?a[__proto__]=b&a[__proto__]&a[length]=100000000",
  ),
  target("a query of 7,000 ampersands", "CWE-400", `/vehicles?${"&".repeat(7_000)}`),
  target("a path of 7,000 slashes", "CWE-1333", `${"/".repeat(7_000)}vehicles`),
  target("a path of 3,000 double dot segments", "RFC 3986, 5.2.4", `${"/..".repeat(3_000)}/vehicles`),
  target("another route in a fragment", "RFC 9112, 3.2", "/admin#/optional"),

  // Another URL in a header
  attack(
    "X-Original-URL",
    "CWE-436",
    { target: "/vehicles", headers: ["X-Original-URL: /optional", "X-Rewrite-URL: /optional"] },
    MISSING,
  ),
  attack(
    "X-Forwarded-Prefix and X-Forwarded-Host",
    "CWE-436",
    {
      headers: [
        "X-Forwarded-Prefix: /optional",
        "X-Forwarded-Host: a/optional?",
        "X-Forwarded-Path: /optional",
      ],
    },
    MISSING,
  ),
  attack("a host with a path and a fragment", "RFC 9110, 7.2", { host: "fleet.test/optional#" }, NOT_ALLOWED),
  attack("a host with a backslash", "RFC 9110, 7.2", { host: "fleet.test\\optional" }, NOT_ALLOWED),
  attack("two hosts", "RFC 9112, 3.2", { headers: ["Host: other.test"] }, NOT_ALLOWED),
  attack("an invalid host in brackets", "RFC 3986, 3.2.2", { host: "[optional]" }, NOT_ALLOWED),

  // Methods
  ...["MOVE", "COPY", "LOCK", "MKCOL", "SEARCH", "REPORT", "MERGE", "SUBSCRIBE", "UNLINK"].map((name) =>
    unserved(method(name, API5)),
  ),
  unserved(method("QUERY", API5)),
  unserved(method("GETX", "RFC 9112, 3.1")),
  unserved(method("G\xc3\x8bT", "RFC 9112, 3.1")),
  unserved(method("TRACE, which would return the key", "RFC 9110, 9.3.8", "/me", [bearer(reader)])),
  attack(
    "CONNECT to another host",
    "RFC 9110, 9.3.6",
    { method: "CONNECT", target: "127.0.0.1:1", headers: [bearer(reader)] },
    REJECTED,
  ),
  attack(
    "POST on a route for GET",
    API5,
    { method: "POST", target: "/me", headers: [bearer(reader), "Content-Length: 0"] },
    REJECTED,
  ),
  attack(
    "DELETE on a route for GET",
    API5,
    { method: "DELETE", target: "/admin", headers: [bearer(reader)] },
    REJECTED,
  ),
  attack(
    "HEAD without a key, with a body",
    "RFC 9110, 9.3.2",
    { method: "HEAD", headers: ["Content-Length: 2"], body: "{}" },
    MISSING,
  ),
  attack(
    "a preflight without OPTIONS",
    "OWASP API8:2023",
    {
      method: "GET",
      headers: [
        "Origin: null",
        "Access-Control-Request-Method: DELETE",
        "Access-Control-Request-Headers: authorization",
      ],
    },
    MISSING,
  ),

  // Versions
  attack("HTTP/1.2", "RFC 9112, 2.3", { bytes: "GET /vehicles HTTP/1.2\r\nHost: a\r\n\r\n" }, NOT_ALLOWED),
  attack("HTTP/3.0", "RFC 9112, 2.3", { bytes: "GET /vehicles HTTP/3.0\r\nHost: a\r\n\r\n" }, REJECTED),
  attack(
    "the protocol in lower case",
    "RFC 9112, 2.3",
    { bytes: "GET /vehicles http/1.1\r\nHost: a\r\n\r\n" },
    REJECTED,
  ),
  attack(
    "another protocol",
    "RFC 9112, 2.3",
    { bytes: "GET /vehicles ICY/1.1\r\nHost: a\r\n\r\n" },
    NOT_ALLOWED,
  ),
  attack(
    "three spaces in the request line",
    "RFC 9112, 3",
    { bytes: "GET   /vehicles   HTTP/1.1\r\nHost: a\r\n\r\n" },
    NOT_ALLOWED,
  ),
  attack(
    "a tab in the request line",
    "RFC 9112, 3",
    { bytes: "GET\t/vehicles\tHTTP/1.1\r\nHost: a\r\n\r\n" },
    REJECTED,
  ),
  attack(
    "a NUL in the request line",
    "RFC 9112, 3",
    { bytes: "GET /vehicles\0 HTTP/1.1\r\nHost: a\r\n\r\n" },
    REJECTED,
  ),
  attack(
    "TLS on a port without TLS",
    "RFC 8446, 5.1",
    { bytes: "\x16\x03\x01\x00\x05hello\r\n\r\n" },
    REJECTED,
  ),
  attack(
    "an upgrade with a key in its protocol",
    "RFC 6455, 4.1",
    {
      headers: [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        `Sec-WebSocket-Key: ${Buffer.alloc(16).toString("base64")}`,
        `Sec-WebSocket-Protocol: bearer, ${reader}`,
      ],
    },
    MISSING,
  ),
]);
