import { bearer, deny, pass } from "../../../contract/guards/case.js";
import { format, secrets } from "../../../unit/adapters/fixtures.js";
import { REQUEST_ID } from "../../../unit/adapters/raw.js";
import { claimsWith, otherEc, token } from "../../../unit/jwt/fixtures.js";
import { answer, attack, catalogue, type Draft, NEVER, REFUSED, type Traffic } from "../attack.js";

const API4 = "OWASP API4:2023";
const SLOW = "CVE-2018-12122";
const LARGE = "CVE-2018-12121";
const UNAUTHORIZED = answer(401);
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

/** Well formed, and each one of its own: every one costs a lookup. */
const unknown = Array.from({ length: 200 }, () => format.generate("live"));
const forgedTokens = Array.from({ length: 60 }, (_, index) =>
  token(claimsWith({ jti: String(index) }), { alg: "ES256" }, { key: otherEc.privateKey }),
);

export const loadAttacks = catalogue("load", [
  // Slow
  load(
    "fifty heads that are never finished",
    SLOW,
    `GET /vehicles HTTP/1.1\r\nHost: a\r\n${bearer(reader)}\r\nX: `,
    NEVER,
    { connections: 50, answers: 0 },
  ),
  load("fifty connections that say nothing", SLOW, "", NEVER, { connections: 50, answers: 0 }),
  load(
    "fifty clients that go away in the middle of a key",
    SLOW,
    `GET /vehicles HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${reader.slice(0, 20)}`,
    NEVER,
    { connections: 50, answers: 0 },
  ),
  load("fifty clients that do not wait for their answer", API4, get(bearer(reader)), NEVER, {
    connections: 50,
    answers: 0,
  }),
  load("a head, byte by byte, without a key", SLOW, get(""), deny("missing_credential"), { piece: 1 }),
  load("a good key, byte by byte", SLOW, get(bearer(reader)), pass("reader"), { piece: 1 }),
  load(
    "an unknown key in pieces of three bytes",
    SLOW,
    get(bearer(unknown[0] as string)),
    deny("invalid_key"),
    { piece: 3 },
  ),
  load(
    "thirty bodies that never come, without a key",
    API4,
    get("Content-Length: 1000", "PUT"),
    UNAUTHORIZED,
    { connections: 30 },
  ),
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
    NEVER,
  ),
  load(
    "thirty clients that wait to be asked for their bodies",
    "RFC 9110, 10.1.1",
    get("Expect: 100-continue\r\nContent-Length: 1000", "PUT"),
    UNAUTHORIZED,
    { connections: 30 },
  ),

  // Large
  load("a header line of 20 KB", LARGE, get(`X: ${"a".repeat(20_000)}`), REFUSED),
  load("a key of 100 KB", LARGE, get(`Authorization: Bearer ${"a".repeat(100_000)}`), REFUSED),
  load(
    "a target of 100 KB",
    "RFC 9112, 3",
    `GET /${"a".repeat(100_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    answer([400, 404, 414, 431, "hangup"]),
  ),
  load("a method of 100 KB", "RFC 9112, 3", `${"A".repeat(100_000)} / HTTP/1.1\r\nHost: a\r\n\r\n`, REFUSED),
  load("a name of 20 KB", LARGE, get(`${"a".repeat(20_000)}: x`), REFUSED),
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
    "40 lines of X-Forwarded-For with 60 addresses each",
    LARGE,
    get(
      Array.from({ length: 20 }, () => `X-Forwarded-For: ${Array(60).fill("203.0.113.7").join(",")}`).join(
        "\r\n",
      ),
    ),
    NEVER,
  ),
  load("a megabyte that is no HTTP", API4, "\0".repeat(1_000_000), REFUSED),

  // Many
  load(
    "a hundred requests in one write, without a key",
    "RFC 9112, 9.3.2",
    get("").repeat(100),
    UNAUTHORIZED,
    { answers: 100 },
  ),
  load(
    "good and unknown keys in turn, in one write",
    "RFC 9112, 9.3.2",
    [reader, unknown[1], reader, unknown[2], reader, "junk"]
      .map((secret) => get(bearer(secret as string)))
      .join(""),
    { ...answer([200, 401, 200, 401, 200, 401]), inOrder: true },
    { answers: 6 },
  ),
  load(
    "forty requests of five clients in one write: each answer is that of its own",
    "RFC 9112, 9.2",
    Array.from({ length: 8 }, () =>
      [reader, undefined, admin, scopeless, writer]
        .map((secret) => get(secret === undefined ? "" : bearer(secret)))
        .join(""),
    ).join(""),
    {
      kind: "answer",
      status: Array.from({ length: 8 }, () => [200, 401, 200, 403, 200]).flat(),
      inOrder: true,
      owners: Array.from({ length: 8 }, () => ["reader", undefined, "admin", undefined, "writer"]).flat(),
    },
    { answers: 40 },
  ),
  load(
    "a body that waits to be asked for and holds a request, then a good key",
    "RFC 9110, 10.1.1",
    `${get("Expect: 100-continue\r\nTransfer-Encoding: chunked", "PUT")}5\r\nGET /\r\n0\r\n\r\n${get(bearer(reader))}`,
    { ...answer([401, 200]), inOrder: true, owners: [undefined, "reader"] },
    { answers: 2 },
  ),
  load(
    "fifty HEAD in one write, without a key",
    "RFC 9110, 9.3.2",
    get("", "HEAD").repeat(50),
    UNAUTHORIZED,
    { answers: 50 },
  ),
  load(
    "a request behind the body of another, without keys",
    "RFC 9112, 11.2",
    `${get("Content-Length: 5", "PUT")}GET /${get("")}`,
    UNAUTHORIZED,
    { answers: 2 },
  ),
  load("a hundred connections of junk", API4, "\x16\x03\x01 junk\r\n\r\n", REFUSED, { connections: 100 }),
  load("two hundred unknown keys at once", API4, "", answer(401, "invalid_key"), {
    connections: 200,
    bytesOf: (index) => get(bearer(unknown[index] as string)),
  }),
  load(
    "one unknown key on a hundred connections at once",
    API4,
    get(bearer(unknown[3] as string)),
    answer(401, "invalid_key"),
    { connections: 100 },
  ),
  load(
    "a revoked key on a hundred connections at once",
    API4,
    get(bearer(secrets.revoked)),
    answer(401, "invalid_key"),
    { connections: 100 },
  ),
  load("good and unknown keys on a hundred connections at once", API4, "", answer([200, 401]), {
    connections: 100,
    bytesOf: (index) => get(bearer(index % 2 === 0 ? reader : (unknown[index] as string))),
  }),
  load("two hundred keys of wrong checksums at once", API4, "", answer(401, "invalid_key"), {
    connections: 200,
    bytesOf: (index) => get(bearer(`${(unknown[index] as string).slice(0, -3)}000`)),
  }),
  load("sixty forged tokens at once", API4, "", answer(401, "invalid_key"), {
    connections: 60,
    bytesOf: (index) => get(bearer(forgedTokens[index] as string)),
  }),
  load(
    "a key over its limit, a hundred times in one write",
    API4,
    get(bearer(secrets.exhausted)).repeat(100),
    answer(429, "rate_limited"),
    { answers: 100 },
  ),
  load(
    "fifty bodies of 64 KiB for the management API, without a credential",
    API4,
    `POST /manage/api-keys HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 65536\r\n\r\n${" ".repeat(65_536)}`,
    answer(401, "missing_credential"),
    { connections: 50 },
  ),
]);
