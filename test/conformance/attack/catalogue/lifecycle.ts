import { bearer, deny } from "../../../contract/guards/case.js";
import { secrets } from "../../../unit/adapters/fixtures.js";
import { attack, catalogue, type Draft } from "../attack.js";

const DEAD = deny("invalid_key", { lookups: 1 });
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
  expected: Draft["expected"] = DEAD,
  source = API2,
): Draft =>
  attack(title, source, { ...request, headers: [bearer(secret), ...(request.headers ?? [])] }, expected);

const DEADLY = { revoked, disabled, expired, expiringNow, retired, unknown, mismatched };

/** Says that it is another time, or asks for an older answer. */
const TIMES = [
  "Date: Sat, 01 Jan 2000 00:00:00 GMT",
  "X-Time: 0",
  "If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT",
];

export const lifecycleAttacks = catalogue("lifecycle", [
  // What is wrong with a dead key is told nowhere, and it opens nothing
  ...Object.entries(DEADLY).map(([state, secret]) =>
    use(`a key that is ${state}, where any key will do`, secret, { target: "/inspects" }),
  ),
  use("a revoked key on an optional route", revoked, { target: "/optional-vehicles" }),
  use("an expired key on an optional route", expired, { target: "/optional" }),
  use("a revoked key, by HEAD", revoked, { method: "HEAD", target: "/me" }),
  use("a disabled key that writes", disabled, { method: "PUT", headers: ["Content-Length: 0"] }),
  use("a revoked key that sends a body", revoked, {
    method: "POST",
    target: "/drivers",
    headers: ["Content-Length: 2"],
    body: "{}",
  }),

  // Time is the service's
  use("an expired key and an older date", expired, { headers: TIMES }),
  use("a key that expires this moment and an older date", expiringNow, { headers: TIMES }),
  use("a retired key and an older date", retired, { headers: TIMES }),

  // Caches
  use(
    "a revoked key that asks for what is stored",
    revoked,
    { headers: ["Cache-Control: only-if-cached, max-stale", 'If-None-Match: "*"'] },
    DEAD,
    "RFC 9111, 5.2.1",
  ),
  use(
    "an expired key with Pragma and a range",
    expired,
    { headers: ["Pragma: x", "Range: bytes=0-0"] },
    DEAD,
    "RFC 9110, 14.2",
  ),
  use("an unknown key that says it was verified", unknown, {
    headers: ["X-Verified: true", "X-Auth-Status: ok", "X-Key-Id: key_1"],
  }),

  // One request after the other on one connection: nothing is remembered for the next
  ...Object.entries({ revoked, disabled, expired, retired, unknown }).map(([state, secret]) =>
    attack(
      `a key that is ${state}, right behind a good one on its connection`,
      "RFC 9112, 9.3",
      {
        bytes: `GET /me HTTP/1.1\r\nHost: a\r\nX-Request-Id: case-0001\r\n${bearer(reader)}\r\n\r\nGET /me HTTP/1.1\r\nHost: a\r\nX-Request-Id: case-0001\r\n${bearer(secret)}\r\n\r\n`,
      },
      { kind: "answer", status: [200, 401], inOrder: true },
      { traffic: { answers: 2 } },
    ),
  ),
  attack(
    "nobody, right behind a good key on its connection",
    "RFC 9112, 9.3",
    {
      bytes: `GET /me HTTP/1.1\r\nHost: a\r\nX-Request-Id: case-0001\r\n${bearer(reader)}\r\n\r\nGET /me HTTP/1.1\r\nHost: a\r\nX-Request-Id: case-0001\r\n\r\n`,
    },
    { kind: "answer", status: [200, 401], inOrder: true },
    { traffic: { answers: 2 } },
  ),
]);
