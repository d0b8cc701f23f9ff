import { bearer, deny } from "../../../contract/guards/case.js";
import { secrets, type Upstream } from "../../../unit/adapters/fixtures.js";
import { attack, catalogue, type Draft } from "../attack.js";

const OUTSIDE = deny("ip_not_allowed", { lookups: 1 });
const { local, office, nowhere, mapped } = secrets;

const from = (
  title: string,
  source: string,
  behind: Upstream,
  lines: readonly string[],
  expected: Draft["expected"] = OUTSIDE,
  secret: string = office,
): Draft => attack(title, source, { headers: [bearer(secret), ...lines] }, expected, { behind });

const xff = (title: string, source: string, value: string, expected?: Draft["expected"], secret?: string) =>
  from(title, source, "x-forwarded-for", [`X-Forwarded-For: ${value}`], expected, secret);

const fwd = (title: string, source: string, value: string, expected?: Draft["expected"], secret?: string) =>
  from(title, source, "forwarded", [`Forwarded: ${value}`], expected, secret);

const MISCONFIGURED = "OWASP API8:2023";
const SPOOF = "CWE-348";
const OCTAL = "CVE-2021-28918";

/** Headers in which other services look for the client address. The allowlist of the office is 203.0.113.0/24. */
const SPOOFED = [
  "Fastly-Client-IP",
  "X-Azure-ClientIP",
  "X-Appengine-User-IP",
  "Fly-Client-IP",
  "CF-Connecting-IPv6",
  "X-Originating-IP",
  "X-Remote-IP",
  "X-Remote-Addr",
  "Remote-Addr",
  "X-ProxyUser-Ip",
  "X-Envoy-External-Address",
  "X-Forwarded",
  "Forwarded-For",
] as const;

export const networkAttacks = catalogue("network", [
  // Without a proxy, no header is read
  ...SPOOFED.map((name) => from(`${name}, from a client`, SPOOF, "none", [`${name}: 203.0.113.7`])),
  from(
    "an address of the office in all of these headers",
    SPOOF,
    "none",
    SPOOFED.map((name) => `${name}: 203.0.113.7`),
  ),
  from(
    "loopback in headers of the client, for a key with an empty allowlist",
    SPOOF,
    "none",
    ["X-Forwarded-For: 127.0.0.1", "X-Real-IP: ::1"],
    OUTSIDE,
    nowhere,
  ),
  from("a host name of the office", SPOOF, "none", [
    "X-Forwarded-Host: office.fleet.test",
    "X-Host: 203.0.113.7",
  ]),

  // Behind a proxy that appends: the client writes everything to the left of its entry
  xff("the office, then the client", "RFC 7239, 8.1", "203.0.113.7, 198.51.100.9"),
  xff(
    "the office a hundred times, then the client",
    "RFC 7239, 8.1",
    `${"203.0.113.7, ".repeat(100)}198.51.100.9`,
  ),
  xff(
    "the office, the client, and a chain of trusted proxies",
    "RFC 7239, 8.1",
    "203.0.113.7, 198.51.100.9, 127.0.0.2, 127.0.0.3",
  ),
  xff("loopback, then the client, for a key for loopback", SPOOF, "127.0.0.1, 198.51.100.9", OUTSIDE, local),
  xff("IPv6 loopback, then the client, for a key for loopback", SPOOF, "::1, 198.51.100.9", OUTSIDE, local),
  xff(
    "an IPv4-mapped address of the office, then the client",
    SPOOF,
    "::ffff:203.0.113.7, ::ffff:198.51.100.9",
  ),
  xff("trusted proxies only, for a key for loopback", SPOOF, "127.0.0.2, 127.0.0.3", OUTSIDE, local),
  from("a line before that of the proxy", "RFC 9110, 5.3", "x-forwarded-for", [
    "x-forwarded-for: 203.0.113.7",
    "X-FORWARDED-FOR: 198.51.100.9",
  ]),
  from("five hundred lines before that of the proxy", "RFC 9110, 5.3", "x-forwarded-for", [
    ...Array.from({ length: 500 }, () => "X-Forwarded-For: 203.0.113.7"),
    "X-Forwarded-For: 198.51.100.9",
  ]),
  from(
    "Connection that names X-Forwarded-For, for a key for loopback",
    "CVE-2022-31813",
    "x-forwarded-for",
    ["Connection: close, X-Forwarded-For", "X-Forwarded-For: 198.51.100.9"],
    OUTSIDE,
    local,
  ),
  attack(
    "the office in the trailers",
    "RFC 9110, 6.5.1",
    {
      headers: [
        bearer(office),
        "Transfer-Encoding: chunked",
        "Trailer: X-Forwarded-For",
        "X-Forwarded-For: 198.51.100.9",
      ],
      body: "0\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n",
    },
    OUTSIDE,
    { behind: "x-forwarded-for" },
  ),
  xff("an empty element in place of the entry of the proxy", "RFC 9110, 5.6.1", "203.0.113.7, , "),
  xff("only white space and a comma, for a key for loopback", "RFC 9110, 5.6.1", " \t,\t ", OUTSIDE, local),

  // Other notations, which are not addresses
  xff("octal in every part", OCTAL, "0313.0.0161.0007"),
  xff("a leading zero in the first part", OCTAL, "0203.0.113.7"),
  xff("loopback in octal, for a key for loopback", OCTAL, "0177.0.0.1", OUTSIDE, local),
  xff("hexadecimal in every part", "CVE-2023-42282", "0xcb.0x0.0x71.0x7"),
  xff("loopback in hexadecimal, for a key for loopback", "CVE-2023-42282", "0x7f.1", OUTSIDE, local),
  xff("two parts", "CVE-2024-29415", "127.1", OUTSIDE, local),
  xff("0 as loopback", "RFC 1122, 3.2.1.3", "0", OUTSIDE, local),
  xff("0.0.0.0 as loopback", "RFC 1122, 3.2.1.3", "0.0.0.0", OUTSIDE, local),
  xff("the unspecified IPv6 address as loopback", "RFC 4291, 2.5.2", "::", OUTSIDE, local),
  xff("an address in fullwidth digits", "CWE-1007", "\xef\xbc\x92\xef\xbc\x90\xef\xbc\x93.0.113.7"),
  xff("circled digits", "CWE-1007", "\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1", OUTSIDE, local),
  xff("an ideographic full stop", "CWE-1007", "127\xe3\x80\x820\xe3\x80\x820\xe3\x80\x821", OUTSIDE, local),
  xff("a dot after the address", "RFC 3986, 3.2.2", "203.0.113.7."),
  xff("a plus before the address", "RFC 3986, 3.2.2", "+203.0.113.7"),
  xff("an exponent", "RFC 3986, 3.2.2", "2.03e2.0.113.7"),
  xff("a percent-encoded dot", "RFC 3986, 2.1", "203%2e0.113.7"),
  xff(
    "a percent-encoded line break and another entry",
    "CWE-93",
    "198.51.100.9%0d%0aX-Forwarded-For: 203.0.113.7",
  ),
  xff("IPv6 with a dotted tail that is not a mapped address", "RFC 4291, 2.5.5.1", "::203.0.113.7"),
  xff("the NAT64 form of the office", "RFC 6052, 2.1", "64:ff9b::203.0.113.7"),
  xff("the 6to4 form of the office", "RFC 3056, 2", "2002:cb00:7107::1"),
  xff("the translated form of the office", "RFC 2765, 2.1", "::ffff:0:203.0.113.7"),
  xff("a mapped address with an octal tail", OCTAL, "::ffff:0313.0.113.7"),
  xff("IPv6 with two gaps", "RFC 4291, 2.2", "2001:db8:1::7::1"),
  xff("IPv6 with nine groups", "RFC 4291, 2.2", "2001:db8:1:0:0:0:0:0:7"),
  xff("IPv6 with a group of five digits", "RFC 4291, 2.2", "2001:db8:00001::7"),
  xff("IPv6 with a zone of a thousand characters", "RFC 4007, 11", `2001:db8:1::7%${"a".repeat(1_000)}`),
  xff("the network next to the office", MISCONFIGURED, "203.0.112.255"),
  xff("the IPv6 network next to the office", MISCONFIGURED, "2001:db8:2::"),
  xff("an address with the same first characters as the office", MISCONFIGURED, "203.0.11.37"),
  xff("8,000 characters of digits and dots", "CWE-1333", "1.".repeat(4_000)),
  xff("7,000 colons", "CWE-1333", ":".repeat(7_000)),
  xff(
    "the mapped address of a proxy, for a key with a mapped allowlist",
    "RFC 4291, 2.5.5.2",
    "::FFFF:7F00:0001",
    OUTSIDE,
    mapped,
  ),

  // Forwarded (RFC 7239)
  fwd(
    "an element for the office, then one for the client",
    "RFC 7239, 8.1",
    "for=203.0.113.7, for=198.51.100.9",
  ),
  fwd(
    "an unterminated quoted string that contains the client",
    "RFC 7239, 4",
    'for=203.0.113.7;host="a, for=198.51.100.9',
  ),
  fwd("a backslash at the end of a quoted string", "RFC 9110, 5.6.4", 'for="203.0.113.7\\'),
  fwd("the office as an obfuscated node", "RFC 7239, 6.3", 'for="_203.0.113.7"'),
  fwd("a repeated for parameter in two cases", "RFC 7239, 4", "for=198.51.100.9;FOR=203.0.113.7"),
  fwd("a parameter name in quotes", "RFC 7239, 4", '"for"=203.0.113.7'),
  fwd("a port past 65535", "RFC 7239, 6", 'for="203.0.113.7:99999999"'),
  fwd("a port that is a word", "RFC 7239, 6", 'for="203.0.113.7:https"'),
  fwd("two colons before a port", "RFC 7239, 6", 'for="203.0.113.7::80"'),
  fwd("an address without its closing bracket", "RFC 7239, 6", 'for="[2001:db8:1::7"'),
  fwd("only a semicolon", "RFC 7239, 4", ";"),
  fwd(
    "a list of five hundred, then the client",
    "RFC 7239, 4",
    `${"for=203.0.113.7,".repeat(500)}for=198.51.100.9`,
  ),
  fwd("7,000 backslashes in quotes", "CWE-1333", `for="${"\\".repeat(7_000)}"`),

  // A header of one address
  from("two addresses in a header for one", SPOOF, "x-real-ip", ["X-Real-IP: 203.0.113.7 198.51.100.9"]),
  from("a second line with the name in another case", SPOOF, "x-real-ip", [
    "x-real-ip: 203.0.113.7",
    "X-REAL-IP: 198.51.100.9",
  ]),
  from("X-Forwarded-For of the client with X-Real-IP of the proxy", SPOOF, "x-real-ip", [
    "X-Forwarded-For: 203.0.113.7",
    "X-Real-IP: 198.51.100.9",
  ]),
]);
