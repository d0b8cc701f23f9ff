import { bearer, deny, pass } from "../../../contract/guards/case.js";
import { format, secrets } from "../../../unit/adapters/fixtures.js";
import { REQUEST_ID } from "../../../unit/adapters/raw.js";
import { claimsWith, otherEc, token } from "../../../unit/jwt/fixtures.js";
import { attack, catalogue, type Draft, NOT_ALLOWED, REJECTED, status, type Traffic } from "../attack.js";

const API4 = "OWASP API4:2023";
const SLOW = "CVE-2018-12122";
const LARGE = "CVE-2018-12121";
const UNAUTHORIZED = status(401);
const { reader, writer, admin, scopeless } = secrets;

const get = (line: string, method = "GET"): string =>
  `${method} /vehicles HTTP/1.1\r\nHost: fleet.test\r\nX-Request-Id: ${REQUEST_ID}\r\n${line === "" ? "" : `${line}\r\n`}\r\n`;

const load = (
  title: string,
  source: string,
  bytes: string,
  expected: Draft["expected"],
  traffic: Traffic = {},
): Draft => attack(title, source, { bytes }, expected, { traffic });

/** Distinct well-formed secrets, each of which costs a lookup. */
const unknown = Array.from({ length: 200 }, () => format.generate("live"));
const forgedTokens = Array.from({ length: 60 }, (_, index) =>
  token(claimsWith({ jti: String(index) }), { alg: "ES256" }, { key: otherEc.privateKey }),
);

export const loadAttacks = catalogue("load", [
  // Slow
  load(
    "fifty incomplete heads",
    SLOW,
    `GET /vehicles HTTP/1.1\r\nHost: a\r\n${bearer(reader)}\r\nX: `,
    NOT_ALLOWED,
    { connections: 50, responses: 0 },
  ),
  load("fifty silent connections", SLOW, "", NOT_ALLOWED, { connections: 50, responses: 0 }),
  load(
    "fifty clients that disconnect in the middle of a key",
    SLOW,
    `GET /vehicles HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${reader.slice(0, 20)}`,
    NOT_ALLOWED,
    { connections: 50, responses: 0 },
  ),
  load("fifty clients that do not wait for the response", API4, get(bearer(reader)), NOT_ALLOWED, {
    connections: 50,
    responses: 0,
  }),
  load("a head without a key, byte by byte", SLOW, get(""), deny("missing_credential"), { piece: 1 }),
  load("a valid key, byte by byte", SLOW, get(bearer(reader)), pass("reader"), { piece: 1 }),
  load(
    "an unknown key in pieces of three bytes",
    SLOW,
    get(bearer(unknown[0] as string)),
    deny("invalid_key"),
    { piece: 3 },
  ),
  load("thirty missing bodies, without a key", API4, get("Content-Length: 1000", "PUT"), UNAUTHORIZED, {
    connections: 30,
  }),
  load(
    "a chunked body that never ends, without a key",
    API4,
    `${get("Transfer-Encoding: chunked", "PUT")}${"1\r\na\r\n".repeat(500)}`,
    UNAUTHORIZED,
  ),
  load(
    "a chunk extension of 200 KB, without a key",
    "CVE-2024-22019",
    `${get("Transfer-Encoding: chunked", "PUT")}1;${"a".repeat(200_000)}`,
    NOT_ALLOWED,
  ),
  load(
    "thirty clients that wait for 100 Continue",
    "RFC 9110, 10.1.1",
    get("Expect: 100-continue\r\nContent-Length: 1000", "PUT"),
    UNAUTHORIZED,
    { connections: 30 },
  ),

  // Large
  load("a header line of 20 KB", LARGE, get(`X: ${"a".repeat(20_000)}`), REJECTED),
  load("a key of 100 KB", LARGE, get(`Authorization: Bearer ${"a".repeat(100_000)}`), REJECTED),
  load(
    "a target of 100 KB",
    "RFC 9112, 3",
    `GET /${"a".repeat(100_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    status([400, 404, 414, 431, "hangup"]),
  ),
  load("a method of 100 KB", "RFC 9112, 3", `${"A".repeat(100_000)} / HTTP/1.1\r\nHost: a\r\n\r\n`, REJECTED),
  load("a name of 20 KB", LARGE, get(`${"a".repeat(20_000)}: x`), REJECTED),
  load(
    "900 header lines, without a key",
    LARGE,
    get(Array.from({ length: 900 }, (_, index) => `a${index}: b`).join("\r\n")),
    deny("missing_credential"),
  ),
  load(
    "900 cookies, without a key",
    LARGE,
    get(Array.from({ length: 900 }, (_, index) => `Cookie: a${index}=b`).join("\r\n")),
    deny("missing_credential"),
  ),
  load(
    "20 lines of X-Forwarded-For with 60 addresses each",
    LARGE,
    get(
      Array.from({ length: 20 }, () => `X-Forwarded-For: ${Array(60).fill("203.0.113.7").join(",")}`).join(
        "\r\n",
      ),
    ),
    NOT_ALLOWED,
  ),
  load("a megabyte that is not HTTP", API4, "\0".repeat(1_000_000), REJECTED),

  // Many
  load(
    "a hundred requests in one write, without a key",
    "RFC 9112, 9.3.2",
    get("").repeat(100),
    UNAUTHORIZED,
    { responses: 100 },
  ),
  load(
    "valid and unknown keys in one write",
    "RFC 9112, 9.3.2",
    [reader, unknown[1], reader, unknown[2], reader, "junk"]
      .map((secret) => get(bearer(secret as string)))
      .join(""),
    { ...status([200, 401, 200, 401, 200, 401]), inOrder: true },
    { responses: 6 },
  ),
  load(
    "forty requests of five clients in one write, each with its own response",
    "RFC 9112, 9.2",
    Array.from({ length: 8 }, () =>
      [reader, undefined, admin, scopeless, writer]
        .map((secret) => get(secret === undefined ? "" : bearer(secret)))
        .join(""),
    ).join(""),
    {
      kind: "status",
      status: Array.from({ length: 8 }, () => [200, 401, 200, 403, 200]).flat(),
      inOrder: true,
      owners: Array.from({ length: 8 }, () => ["reader", undefined, "admin", undefined, "writer"]).flat(),
    },
    { responses: 40 },
  ),
  load(
    "a body with Expect: 100-continue that contains a request, then a valid key",
    "RFC 9110, 10.1.1",
    `${get("Expect: 100-continue\r\nTransfer-Encoding: chunked", "PUT")}5\r\nGET /\r\n0\r\n\r\n${get(bearer(reader))}`,
    { ...status([401, 200]), inOrder: true, owners: [undefined, "reader"] },
    { responses: 2 },
  ),
  load(
    "fifty HEAD in one write, without a key",
    "RFC 9110, 9.3.2",
    get("", "HEAD").repeat(50),
    UNAUTHORIZED,
    { responses: 50 },
  ),
  load(
    "a request after the body of another, without keys",
    "RFC 9112, 11.2",
    `${get("Content-Length: 5", "PUT")}GET /${get("")}`,
    UNAUTHORIZED,
    { responses: 2 },
  ),
  load("a hundred connections with invalid bytes", API4, "\x16\x03\x01 junk\r\n\r\n", REJECTED, {
    connections: 100,
  }),
  load("two hundred unknown keys at once", API4, "", status(401, "invalid_key"), {
    connections: 200,
    bytesOf: (index) => get(bearer(unknown[index] as string)),
  }),
  load(
    "one unknown key on a hundred connections at once",
    API4,
    get(bearer(unknown[3] as string)),
    status(401, "invalid_key"),
    { connections: 100 },
  ),
  load(
    "a revoked key on a hundred connections at once",
    API4,
    get(bearer(secrets.revoked)),
    status(401, "invalid_key"),
    { connections: 100 },
  ),
  load("valid and unknown keys on a hundred connections at once", API4, "", status([200, 401]), {
    connections: 100,
    bytesOf: (index) => get(bearer(index % 2 === 0 ? reader : (unknown[index] as string))),
  }),
  load("two hundred keys with wrong checksums at once", API4, "", status(401, "invalid_key"), {
    connections: 200,
    bytesOf: (index) => get(bearer(`${(unknown[index] as string).slice(0, -3)}000`)),
  }),
  load("sixty forged tokens at once", API4, "", status(401, "invalid_key"), {
    connections: 60,
    bytesOf: (index) => get(bearer(forgedTokens[index] as string)),
  }),
  load(
    "a key over its limit, a hundred times in one write",
    API4,
    get(bearer(secrets.exhausted)).repeat(100),
    status(429, "rate_limited"),
    { responses: 100 },
  ),
  load(
    "fifty bodies of 64 KiB for the management API, without a credential",
    API4,
    `POST /manage/api-keys HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 65536\r\n\r\n${" ".repeat(65_536)}`,
    status(401, "missing_credential"),
    { connections: 50 },
  ),
]);
