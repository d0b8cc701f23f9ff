import { bearer, deny } from "../../../contract/guards/case.js";
import { secrets } from "../../../unit/adapters/fixtures.js";
import type { RawRequest } from "../../../unit/adapters/raw.js";
import { attack, catalogue, type Draft, REJECTED, status } from "../attack.js";

const DOWN = status(503, "unavailable", { "retry-after": "1", "www-authenticate": null });
const API8 = "OWASP API8:2023";
const CWE209 = "CWE-209";
const { reader, writer, dispatcher, admin, scopeless, detailed, enabled, metered, local, testing } = secrets;

const broken = (
  title: string,
  request: RawRequest,
  expected: Draft["expected"] = DOWN,
  source = CWE209,
): Draft => attack(title, source, request, expected, { broken: true });

const down = (title: string, secret: string, request: RawRequest = {}): Draft =>
  broken(title, { ...request, headers: [bearer(secret), ...(request.headers ?? [])] });

const ann = "Authorization: Bearer jwt-ann";
const healthy = (title: string, source: string, request: RawRequest, expected: Draft["expected"]): Draft =>
  attack(title, source, request, expected);

export const errorAttacks = catalogue("errors", [
  // A failing store allows nothing and leaks nothing
  down("a driver error with its statement", reader),
  down("a thrown string", writer),
  down("a lookup that hangs", dispatcher),
  down("the record of another key", admin),
  down("a record without members", scopeless),
  down("a rejection with undefined", detailed),
  down("an error with a replaced name and stack", enabled),
  down("a record with a string as scopes", metered),
  down("an AggregateError", local),
  down("an optional route", reader, { target: "/optional" }),
  down("an optional route, and a lookup that hangs", dispatcher, { target: "/optional-vehicles" }),
  down("HEAD", reader, { method: "HEAD" }),
  down("a problem document", reader, { headers: ["Accept: application/problem+json"] }),
  down("a web page", reader, { headers: ["Accept: text/html"] }),
  down("a write with a body", writer, { method: "PUT", headers: ["Content-Length: 2"], body: "{}" }),
  down("a route of an admin", reader, { target: "/admin" }),
  broken("no key while the store is down", {}, deny("missing_credential")),
  broken(
    "two keys while the store is down",
    { headers: [bearer(reader), bearer(writer)] },
    deny("malformed_credential"),
  ),
  broken("an invalid key while the store is down", { headers: [bearer("junk")] }, deny("invalid_key")),
  broken("a test key while the store is down", { headers: [bearer(testing)] }, deny("wrong_environment")),

  // The management API over a database that is down
  ...(
    [
      "GET /manage/api-keys",
      "GET /manage/api-keys/key_1",
      "DELETE /manage/api-keys/key_1",
      "GET /manage/api-keys/key_1/audit",
    ] as const
  ).map((line) => {
    const [method = "", target = ""] = line.split(" ");
    return broken(
      `${line} over a database that is down`,
      { method, target, headers: [ann] },
      status(503, "unavailable"),
    );
  }),
  broken(
    "POST /manage/api-keys over a database that is down",
    {
      method: "POST",
      target: "/manage/api-keys",
      headers: [ann, "Content-Type: application/json", "Content-Length: 49"],
      body: '{"environment":"live","scopes":["vehicles:read"]}',
    },
    status(503, "unavailable"),
  ),

  // Handlers that fail
  healthy("a handler that throws", CWE209, { target: "/throws", headers: [bearer(reader)] }, status(500)),
  healthy("a handler that rejects", CWE209, { target: "/rejects", headers: [bearer(reader)] }, status(500)),
  healthy(
    "a handler that throws, for a browser",
    CWE209,
    { target: "/throws", headers: [bearer(reader), "Accept: text/html"] },
    status(500),
  ),
  healthy(
    "a handler that rejects, without a key",
    CWE209,
    { target: "/rejects" },
    deny("missing_credential"),
  ),

  // Nothing that the client sent is echoed
  healthy(
    "markup as request id",
    "CWE-79",
    { requestId: "<script>alert(1)</script>" },
    status(401, "missing_credential"),
  ),
  healthy(
    "a request id with percent-encoded line breaks",
    "CWE-113",
    { requestId: "a%0d%0aSet-Cookie: a=b" },
    status(401, "missing_credential"),
  ),
  healthy(
    "a request id with an escaped terminal sequence",
    "CWE-117",
    { requestId: "a\\u001b[2J" },
    status(401, "missing_credential"),
  ),
  healthy(
    "a request id of 5,000 letters",
    "CWE-400",
    { requestId: "a".repeat(5_000) },
    status(401, "missing_credential"),
  ),
  healthy(
    "a request id with a JNDI lookup",
    "CVE-2021-44228",
    { requestId: `\${jndi:ldap://127.0.0.1:1/a}` },
    status(401, "missing_credential"),
  ),
  healthy(
    "two request ids",
    "RFC 9110, 5.3",
    { headers: ["X-Request-Id: case-0002"] },
    deny("missing_credential", { requestId: "fresh" }),
  ),
  healthy(
    "a realm in the credential",
    "RFC 9110, 11.5",
    { headers: ['Authorization: Bearer realm="evil"'] },
    deny("malformed_credential"),
  ),
  healthy(
    "Accept with 3,500 entries",
    "CWE-1333",
    { headers: [`Accept: ${"a/b,".repeat(3_500)}`] },
    deny("missing_credential"),
  ),
  healthy(
    "Accept with a weight of 7,000 digits",
    "CWE-1333",
    { headers: [`Accept: application/problem+json;q=0.${"0".repeat(7_000)}`] },
    status(401, "missing_credential"),
  ),
  healthy(
    "Accept with a quoted comma",
    "RFC 9110, 12.5.1",
    { headers: ['Accept: text/html;a=", application/problem+json"'] },
    status(401, "missing_credential"),
  ),
  healthy(
    "debug headers",
    API8,
    { headers: ["X-Debug: 1", "X-Debug-Mode: true", "Pragma: akamai-x-get-cache-key"] },
    deny("missing_credential"),
  ),
  healthy(
    "debug parameters in the query",
    API8,
    { target: "/vehicles?debug=1&XDEBUG_SESSION_START=1&trace=true" },
    deny("missing_credential"),
  ),
  healthy("bytes that are not HTTP", "RFC 9112, 2.2", { bytes: "hello\r\n\r\n" }, REJECTED),
]);
