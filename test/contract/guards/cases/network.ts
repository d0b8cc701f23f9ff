import { secrets, type Upstream } from "../../../unit/adapters/fixtures.js";
import { TRUNCATED } from "../../../unit/adapters/truncated-headers.js";
import { bearer, type Case, deny, pass } from "../case.js";

const OUTSIDE = deny("ip_not_allowed", { lookups: 1 });
const { local, office, mapped, nowhere, reader } = secrets;

const from = (
  id: string,
  behind: Upstream,
  headers: readonly string[],
  expected: Case["expected"],
  secret: string = office,
): Case => ({ id, behind, request: { headers: [bearer(secret), ...headers] }, expected });

const forwardedFor = (id: string, value: string, expected: Case["expected"], secret = office): Case =>
  from(`X-Forwarded-For: ${id}`, "x-forwarded-for", [`X-Forwarded-For: ${value}`], expected, secret);

const forwarded = (id: string, value: string, expected: Case["expected"], secret = office): Case =>
  from(`Forwarded: ${id}`, "forwarded", [`Forwarded: ${value}`], expected, secret);

const realIp = (id: string, headers: readonly string[], expected: Case["expected"], secret = office): Case =>
  from(`X-Real-IP: ${id}`, "x-real-ip", headers, expected, secret);

const SPOOFS = [
  "X-Forwarded-For: 203.0.113.7",
  "X-Real-IP: 203.0.113.7",
  "Forwarded: for=203.0.113.7",
  "CF-Connecting-IP: 203.0.113.7",
  "True-Client-IP: 203.0.113.7",
  "X-Client-IP: 203.0.113.7",
  "X-Cluster-Client-IP: 203.0.113.7",
  "Client-IP: 203.0.113.7",
  "Via: 1.1 203.0.113.7",
];

/** The client address, with and without a proxy. */
export const networkCases: readonly Case[] = [
  // Without a proxy, the socket address counts
  from("a key for this machine", "none", [], pass("local"), local),
  from("a key for this machine in the IPv4-mapped form", "none", [], pass("mapped"), mapped),
  from("a key for another network", "none", [], OUTSIDE),
  from("a key for no network", "none", [], OUTSIDE, nowhere),
  ...SPOOFS.map((line) => from(`no trusted proxy: ${line}`, "none", [line], OUTSIDE)),
  from("no trusted proxy: all forwarding headers at once", "none", SPOOFS, OUTSIDE),
  from(
    "no trusted proxy: a spoofed address does not affect an allowed key",
    "none",
    SPOOFS,
    pass("local"),
    local,
  ),

  // X-Forwarded-For
  from("X-Forwarded-For: none, so the proxy is the client", "x-forwarded-for", [], OUTSIDE),
  from("X-Forwarded-For: none, and a key for the proxy", "x-forwarded-for", [], OUTSIDE, local),
  forwardedFor("the client", "203.0.113.7", pass("office")),
  forwardedFor("the client of IPv6", "2001:db8:1::7", pass("office")),
  forwardedFor("the client in the IPv4-mapped form", "::ffff:203.0.113.7", pass("office")),
  forwardedFor("the client in the IPv4-mapped form in hex", "::ffff:cb00:7107", pass("office")),
  forwardedFor("a client from another network", "198.51.100.1", OUTSIDE),
  forwardedFor("a client from another IPv6 network", "2001:db8:2::7", OUTSIDE),
  forwardedFor("the proxy is not the client", "198.51.100.1", OUTSIDE, local),
  forwardedFor("a spoofed address on the left", "203.0.113.7, 198.51.100.1", OUTSIDE),
  forwardedFor(
    "a spoofed address on the left of two proxies",
    "203.0.113.7, 198.51.100.1, 127.0.0.2",
    OUTSIDE,
  ),
  forwardedFor("junk on the left of the client", "junk, 203.0.113.7", pass("office")),
  forwardedFor("two trusted proxies", "203.0.113.7, 127.0.0.2, ::1", pass("office")),
  forwardedFor("trusted proxies only, and a key for them", "127.0.0.3, 127.0.0.2", OUTSIDE, local),
  forwardedFor("addresses without spaces between them", "198.51.100.1,203.0.113.7", pass("office")),
  forwardedFor("tabs around the address", "\t203.0.113.7\t", pass("office")),
  forwardedFor("empty", "", OUTSIDE),
  forwardedFor("empty, and a key for the proxy", "", OUTSIDE, local),
  forwardedFor("commas only", ",,", OUTSIDE),
  forwardedFor("a comma at the end", "203.0.113.7,", OUTSIDE),
  forwardedFor("junk", "junk", OUTSIDE),
  forwardedFor("junk, and a key for the proxy", "junk", OUTSIDE, local),
  forwardedFor("a word for the address", "unknown", OUTSIDE),
  forwardedFor("localhost", "localhost", OUTSIDE, local),
  forwardedFor("a port", "203.0.113.7:1234", OUTSIDE),
  forwardedFor("IPv6 in brackets", "[2001:db8:1::7]", OUTSIDE),
  forwardedFor("IPv6 in brackets with a port", "[2001:db8:1::7]:443", OUTSIDE),
  forwardedFor("a zone", "2001:db8:1::7%eth0", OUTSIDE),
  forwardedFor("a leading zero", "203.0.113.07", OUTSIDE),
  forwardedFor("octal", "0313.0.0161.07", OUTSIDE),
  forwardedFor("hexadecimal", "0xcb007107", OUTSIDE),
  forwardedFor("one number", "3405803783", OUTSIDE),
  forwardedFor("three octets", "203.0.113", OUTSIDE),
  forwardedFor("five octets", "203.0.113.7.1", OUTSIDE),
  forwardedFor("an octet above 255", "203.0.113.263", OUTSIDE),
  forwardedFor("a network", "203.0.113.0/24", OUTSIDE),
  forwardedFor("quotes", '"203.0.113.7"', OUTSIDE),
  forwardedFor("a space inside the address", "203.0. 113.7", OUTSIDE),
  forwardedFor("two addresses with a space", "198.51.100.1 203.0.113.7", OUTSIDE),
  forwardedFor("a semicolon", "198.51.100.1; 203.0.113.7", OUTSIDE),
  forwardedFor("non-ASCII digits", "203.0.113.\xef\xbc\x97", OUTSIDE),
  forwardedFor("in the syntax of Forwarded", "for=203.0.113.7", OUTSIDE),
  forwardedFor("junk, and an unrestricted key", "junk", pass("reader"), reader),
  forwardedFor("a key for no network", "203.0.113.7", OUTSIDE, nowhere),
  from(
    "X-Forwarded-For: two lines, the client in the last",
    "x-forwarded-for",
    ["X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 203.0.113.7"],
    pass("office"),
  ),
  from(
    "X-Forwarded-For: two lines, a spoofed first",
    "x-forwarded-for",
    ["X-Forwarded-For: 203.0.113.7", "x-forwarded-for: 198.51.100.1"],
    OUTSIDE,
  ),
  from(
    "X-Forwarded-For: two lines, the last empty",
    "x-forwarded-for",
    ["X-Forwarded-For: 203.0.113.7", "X-Forwarded-For:"],
    OUTSIDE,
  ),
  from(
    "X-Forwarded-For: other headers are not read",
    "x-forwarded-for",
    SPOOFS.filter((line) => !line.startsWith("X-Forwarded-For")),
    OUTSIDE,
  ),
  // Node drops header lines past the first thousand; the proxy would become the client.
  ...[998, 1_100].map((count) => ({
    ...from(
      `X-Forwarded-For: after ${count} other lines`,
      "x-forwarded-for",
      [...Array.from({ length: count }, (_, index) => `x${index}:y`), "X-Forwarded-For: 198.51.100.1"],
      TRUNCATED,
      local,
    ),
    wireOnly: true,
  })),
  from(
    "X-Forwarded-For: a name with an underscore",
    "x-forwarded-for",
    ["X_Forwarded_For: 203.0.113.7"],
    OUTSIDE,
  ),

  // Forwarded (RFC 7239)
  from("Forwarded: none, and a key for the proxy", "forwarded", [], OUTSIDE, local),
  forwarded("the client", "for=203.0.113.7", pass("office")),
  forwarded("the client in quotes", 'for="203.0.113.7"', pass("office")),
  forwarded("the client with a port", 'for="203.0.113.7:4711"', pass("office")),
  forwarded("the client with an obfuscated port", 'for="203.0.113.7:_p"', pass("office")),
  forwarded("the client of IPv6", 'for="[2001:db8:1::7]"', pass("office")),
  forwarded("the client of IPv6 with a port", 'for="[2001:db8:1::7]:4711"', pass("office")),
  forwarded("the name in upper case", "FOR=203.0.113.7", pass("office")),
  forwarded(
    "other parameters",
    "by=203.0.113.43;for=203.0.113.7;proto=http;host=example.com",
    pass("office"),
  ),
  forwarded("an escape in quotes", 'for="203.0.113\\.7"', pass("office")),
  forwarded(
    "a comma and a semicolon in quotes",
    'host="a,for=198.51.100.1;b";for=203.0.113.7',
    pass("office"),
  ),
  forwarded("a spoofed element on the left", "for=203.0.113.7, for=198.51.100.1", OUTSIDE),
  forwarded("a spoofed address in another parameter", "for=198.51.100.1;by=203.0.113.7", OUTSIDE),
  forwarded("a spoofed element inside quotes", 'for=198.51.100.1;host=", for=203.0.113.7"', OUTSIDE),
  forwarded(
    "trusted proxies after the client",
    'for=203.0.113.7, for=127.0.0.2, for="[::1]"',
    pass("office"),
  ),
  forwarded("an obfuscated node", "for=_hidden", OUTSIDE),
  forwarded("unknown", "for=unknown", OUTSIDE),
  forwarded("an obfuscated node before a proxy", "for=203.0.113.7, for=_hidden, for=127.0.0.2", OUTSIDE),
  forwarded("an element without for", "for=203.0.113.7, proto=https", OUTSIDE),
  forwarded("two for in one element", "for=198.51.100.1;for=203.0.113.7", OUTSIDE),
  forwarded("IPv6 without brackets", 'for="2001:db8:1::7"', OUTSIDE),
  forwarded("IPv4 in brackets", 'for="[203.0.113.7]"', OUTSIDE),
  forwarded("IPv6 without quotes", "for=[2001:db8:1::7]", OUTSIDE),
  forwarded("a port without quotes", "for=203.0.113.7:80", OUTSIDE),
  forwarded("a zone", 'for="[2001:db8:1::7%25eth0]"', OUTSIDE),
  forwarded("a leading zero", "for=203.0.113.07", OUTSIDE),
  forwarded("an open quote", 'for="203.0.113.7', OUTSIDE),
  forwarded("a space before the equals sign", "for =203.0.113.7", OUTSIDE),
  forwarded("a bare address", "203.0.113.7", OUTSIDE),
  forwarded("no value", "for=", OUTSIDE),
  forwarded("empty", "", OUTSIDE),
  forwarded("empty, and a key for the proxy", "", OUTSIDE, local),
  forwarded("a comma at the end", "for=203.0.113.7,", OUTSIDE),
  from("Forwarded: X-Forwarded-For is not read", "forwarded", ["X-Forwarded-For: 203.0.113.7"], OUTSIDE),
  from(
    "Forwarded: two lines, the client in the last",
    "forwarded",
    ["Forwarded: for=198.51.100.1", "Forwarded: for=203.0.113.7"],
    pass("office"),
  ),
  from(
    "Forwarded: two lines, a quote open between them",
    "forwarded",
    ['Forwarded: for="203.0.113.7', 'Forwarded: x";for=203.0.113.7'],
    OUTSIDE,
  ),

  // A header of one address
  realIp("the client", ["X-Real-IP: 203.0.113.7"], pass("office")),
  realIp("a client from another network", ["X-Real-IP: 198.51.100.1"], OUTSIDE),
  realIp("two addresses", ["X-Real-IP: 203.0.113.7, 203.0.113.7"], OUTSIDE),
  realIp("two lines", ["X-Real-IP: 203.0.113.7", "X-Real-IP: 203.0.113.7"], OUTSIDE),
  realIp("empty", ["X-Real-IP:"], OUTSIDE, local),
  realIp("X-Forwarded-For is not read", ["X-Forwarded-For: 203.0.113.7"], OUTSIDE),
];
