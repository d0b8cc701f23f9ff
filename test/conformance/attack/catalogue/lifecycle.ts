import { bearer, deny } from "../../../contract/guards/case.js";
import { secrets } from "../../../unit/adapters/fixtures.js";
import { attack, catalogue, type Draft } from "../attack.js";

const INVALID = deny("invalid_key", { lookups: 1 });
const API2 = "OWASP API2:2023";
const { reader, revoked, disabled, expired, expiringNow, retired, mismatched, unknown } = secrets;

const use = (
  title: string,
  secret: string,
  request: {
    readonly method?: string;
    readonly target?: string;
    readonly headers?: readonly string[];
    readonly body?: string;
  },
  expected: Draft["expected"] = INVALID,
  source = API2,
): Draft =>
  attack(title, source, { ...request, headers: [bearer(secret), ...(request.headers ?? [])] }, expected);

const UNUSABLE = { revoked, disabled, expired, expiringNow, retired, unknown, mismatched };

/** Headers that claim another time or ask for an older response. */
const TIMES = [
  "Date: Sat, 01 Jan 2000 00:00:00 GMT",
  "X-Time: 0",
  "If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT",
];

export const lifecycleAttacks = catalogue("lifecycle", [
  // Keys that do not work are denied everywhere, without the reason
  ...Object.entries(UNUSABLE).map(([state, secret]) =>
    use(`a route for any key, with a key that is ${state}`, secret, { target: "/inspects" }),
  ),
  use("a revoked key on an optional route", revoked, { target: "/optional-vehicles" }),
  use("an expired key on an optional route", expired, { target: "/optional" }),
  use("a revoked key with HEAD", revoked, { method: "HEAD", target: "/me" }),
  use("a write with a disabled key", disabled, { method: "PUT", headers: ["Content-Length: 0"] }),
  use("a body with a revoked key", revoked, {
    method: "POST",
    target: "/drivers",
    headers: ["Content-Length: 2"],
    body: "{}",
  }),

  // Time claimed by the client
  use("an expired key and an older date", expired, { headers: TIMES }),
  use("a key that expires now and an older date", expiringNow, { headers: TIMES }),
  use("a retired key and an older date", retired, { headers: TIMES }),

  // Caches
  use(
    "a revoked key with Cache-Control: only-if-cached",
    revoked,
    { headers: ["Cache-Control: only-if-cached, max-stale", 'If-None-Match: "*"'] },
    INVALID,
    "RFC 9111, 5.2.1",
  ),
  use(
    "an expired key with Pragma and a range",
    expired,
    { headers: ["Pragma: x", "Range: bytes=0-0"] },
    INVALID,
    "RFC 9110, 14.2",
  ),
  use("an unknown key with headers that claim it was verified", unknown, {
    headers: ["X-Verified: true", "X-Auth-Status: ok", "X-Key-Id: key_1"],
  }),

  // Successive requests on one connection are independent
  ...Object.entries({ revoked, disabled, expired, retired, unknown }).map(([state, secret]) =>
    attack(
      `a key that is ${state}, after a valid one on the same connection`,
      "RFC 9112, 9.3",
      {
        bytes: `GET /me HTTP/1.1\r\nHost: a\r\nX-Request-Id: case-0001\r\n${bearer(reader)}\r\n\r\nGET /me HTTP/1.1\r\nHost: a\r\nX-Request-Id: case-0001\r\n${bearer(secret)}\r\n\r\n`,
      },
      { kind: "status", status: [200, 401], inOrder: true },
      { traffic: { responses: 2 } },
    ),
  ),
  attack(
    "no key, after a valid one on the same connection",
    "RFC 9112, 9.3",
    {
      bytes: `GET /me HTTP/1.1\r\nHost: a\r\nX-Request-Id: case-0001\r\n${bearer(reader)}\r\n\r\nGET /me HTTP/1.1\r\nHost: a\r\nX-Request-Id: case-0001\r\n\r\n`,
    },
    { kind: "status", status: [200, 401], inOrder: true },
    { traffic: { responses: 2 } },
  ),
]);
