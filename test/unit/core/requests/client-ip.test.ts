import { describe, expect, test } from "vitest";
import { type ClientIpOptions, clientIpResolver } from "../../../../src/core/requests/client-ip.js";
import type { AuthRequest } from "../../../../src/index.js";

const PROXY = "10.0.0.1";

function client(
  options: ClientIpOptions,
  headers: AuthRequest["headers"],
  remoteAddress: string | undefined = PROXY,
  rawHeaders?: readonly string[],
): string | undefined {
  return clientIpResolver(options)({ headers, remoteAddress, rawHeaders, headersTruncated: false })?.text;
}

const behind = { trustedProxies: ["10.0.0.0/8"] };
const forwarded = { trustedProxies: ["10.0.0.0/8", "fd00::/8"], clientIpHeader: "forwarded" };

describe("without proxies", () => {
  test.each([
    ["203.0.113.7", "203.0.113.7"],
    ["::ffff:203.0.113.7", "203.0.113.7"],
    ["fe80::1%eth0", "fe80::1"],
    ["2001:db8::1", "2001:db8::1"],
    [undefined, undefined],
    ["", undefined],
    ["/var/run/app.sock", undefined],
    ["203.0.113.7:443", undefined],
  ])("the other end of the socket is the client: %j", (remoteAddress, expected) => {
    const headers = { "x-forwarded-for": "198.51.100.1", forwarded: "for=198.51.100.1" };
    const found = clientIpResolver({})({ headers, remoteAddress });
    expect(found?.text).toBe(expected);
  });
});

describe("X-Forwarded-For", () => {
  test.each([
    ["one hop", "203.0.113.7", "203.0.113.7"],
    ["an entry that the client wrote, on the left", "1.1.1.1, 203.0.113.7", "203.0.113.7"],
    ["two proxies", "203.0.113.7, 10.0.0.2", "203.0.113.7"],
    ["an entry with the address of a proxy, on the left", "10.9.9.9, 203.0.113.7", "203.0.113.7"],
    ["trusted proxies only", "10.0.0.3, 10.0.0.2", undefined],
    ["no spaces", "1.1.1.1,203.0.113.7,10.0.0.2", "203.0.113.7"],
    ["tabs", "1.1.1.1\t,\t203.0.113.7\t", "203.0.113.7"],
    ["a mapped address", "::ffff:203.0.113.7", "203.0.113.7"],
    ["an invalid entry to the left of the client", "junk, 203.0.113.7", "203.0.113.7"],
    ["an invalid entry between client and proxy", "203.0.113.7, junk, 10.0.0.2", undefined],
    ["an empty element at the end", "203.0.113.7,", undefined],
    ["an empty element between client and proxy", "203.0.113.7,,10.0.0.2", undefined],
    ["an empty field", "", undefined],
    ["unknown", "203.0.113.7, unknown", undefined],
    ["a port", "203.0.113.7:443", undefined],
    ["brackets", "[2001:db8::1]", undefined],
    ["a zone", "fe80::1%eth0", undefined],
    ["a leading zero", "010.1.1.1", undefined],
    ["a quoted address", '"203.0.113.7"', undefined],
  ])("%s", (_, field, expected) => {
    expect(client(behind, { "x-forwarded-for": field })).toBe(expected);
    expect(client(behind, new Headers({ "X-Forwarded-For": field }))).toBe(expected);
  });

  test("ignores the header if the socket is not a trusted proxy", () => {
    expect(client(behind, { "x-forwarded-for": "1.1.1.1" }, "203.0.113.7")).toBe("203.0.113.7");
    expect(clientIpResolver(behind)({ headers: { "x-forwarded-for": "1.1.1.1" } })).toBeUndefined();
  });

  test("the address is unknown if a trusted proxy sends no header", () => {
    expect(client(behind, {})).toBeUndefined();
    expect(client({ ...behind, missingForwardedHeader: "unknown" }, {})).toBeUndefined();
    expect(client({ ...behind, clientIpHeader: "x-real-ip" }, {})).toBeUndefined();
    expect(client({ ...behind, clientIpHeader: "x-real-ip" }, { "x-real-ip": "10.0.0.9" })).toBeUndefined();
    expect(client(forwarded, { forwarded: "for=10.0.0.2" })).toBeUndefined();
  });

  test('"use-peer" makes the outermost trusted proxy the client', () => {
    const usePeer: ClientIpOptions = { ...behind, missingForwardedHeader: "use-peer" };
    expect(client(usePeer, {})).toBe(PROXY);
    expect(client(usePeer, { "x-forwarded-for": "10.0.0.3, 10.0.0.2" })).toBe("10.0.0.3");
    expect(client(usePeer, { "x-forwarded-for": "junk" })).toBeUndefined();
    expect(client(usePeer, { "x-forwarded-for": "203.0.113.7" })).toBe("203.0.113.7");
  });

  test("warns once about a missing header, unless the option is set", async () => {
    await new Promise((resolve) => setImmediate(resolve)); // warnings of other tests
    const warnings: (Error & { code?: string })[] = [];
    const listen = (warning: Error) => void warnings.push(warning);
    process.on("warning", listen);
    try {
      const resolve = clientIpResolver(behind);
      for (let i = 0; i < 3; i++) resolve({ headers: {}, headersTruncated: false, remoteAddress: PROXY });
      for (const missingForwardedHeader of ["unknown", "use-peer"] as const) {
        clientIpResolver({ ...behind, missingForwardedHeader })({
          headers: {},
          headersTruncated: false,
          remoteAddress: PROXY,
        });
      }
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      process.off("warning", listen);
    }
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatchObject({
      name: "KeybearerWarning",
      code: "KEYBEARER_MISSING_FORWARDED_HEADER",
    });
    expect(warnings[0]?.message).toContain('"x-forwarded-for"');
    expect(warnings[0]?.message).toContain('"missingForwardedHeader"');
  });

  test("a truncated header section makes the address behind a proxy unknown", () => {
    const request = { headers: { "x-forwarded-for": "203.0.113.7" }, headersTruncated: true };
    expect(clientIpResolver(behind)({ ...request, remoteAddress: PROXY })).toBeUndefined();
    expect(clientIpResolver(behind)({ ...request, remoteAddress: "203.0.113.9" })?.text).toBe("203.0.113.9");
  });

  test("a request must say that its headers are complete, or show it", () => {
    const field = "203.0.113.7";
    const headers = { "x-forwarded-for": field };
    const found = (request: Partial<AuthRequest>) =>
      clientIpResolver(behind)({ headers, remoteAddress: PROXY, ...request })?.text;
    expect(found({})).toBeUndefined();
    expect(found({ headersTruncated: false })).toBe(field);
    expect(found({ headers: new Headers(headers) })).toBe(field);
    const lines = (count: number) => Array.from({ length: count }, () => ["X-A", "1"]).flat();
    expect(found({ rawHeaders: lines(999) })).toBe(field);
    expect(found({ rawHeaders: lines(1_000) })).toBeUndefined();
    expect(found({ rawHeaders: lines(1_000), headersTruncated: false })).toBe(field);
    expect(found({ remoteAddress: "203.0.113.9" })).toBe("203.0.113.9");
  });

  test("joins repeated headers to one list", () => {
    expect(client(behind, { "x-forwarded-for": ["203.0.113.7", "10.0.0.2"] })).toBe("203.0.113.7");
  });
});

describe("Forwarded (RFC 7239)", () => {
  test.each([
    ["one element", "for=203.0.113.7", "203.0.113.7"],
    ["names in any case", "FoR=203.0.113.7;Proto=https", "203.0.113.7"],
    ["other parameters before it", "by=10.0.0.1;proto=https;for=203.0.113.7", "203.0.113.7"],
    ["two elements", "for=203.0.113.7, for=10.0.0.2", "203.0.113.7"],
    ["an element that the client wrote", "for=1.1.1.1, for=203.0.113.7", "203.0.113.7"],
    ["a port in quotes", 'for="203.0.113.7:443"', "203.0.113.7"],
    ["a hidden port in quotes", 'for="203.0.113.7:_p"', "203.0.113.7"],
    ["a long hidden port in quotes", 'for="203.0.113.7:_port-1.a"', "203.0.113.7"],
    ["IPv6", 'for="[2001:db8::1]"', "2001:db8::1"],
    ["IPv6 with a port", 'for="[2001:db8::1]:443"', "2001:db8::1"],
    ["an IPv6 proxy", 'for=203.0.113.7, for="[fd00::1]:80"', "203.0.113.7"],
    ["quoted pairs", 'for="203.0.113\\.7"', "203.0.113.7"],
    ["a comma in a quoted string", 'for=203.0.113.7;ext="a,b;for=1.1.1.1"', "203.0.113.7"],
    ["an escaped quote in a quoted string", 'ext="\\",for=1.1.1.1,";for=203.0.113.7', "203.0.113.7"],
    ["an empty pair", ";for=203.0.113.7;;", "203.0.113.7"],
    ["white space around pairs", "  for=203.0.113.7 ; proto=http , for=10.0.0.2\t", "203.0.113.7"],
    ["a repeated for parameter", "for=203.0.113.7;for=1.1.1.1", undefined],
    ["an element without for", "for=203.0.113.7, proto=https", undefined],
    ["an empty element", "for=203.0.113.7,", undefined],
    ["an unquoted port", "for=203.0.113.7:443", undefined],
    ["unquoted IPv6", "for=[2001:db8::1]", undefined],
    ["IPv6 without brackets", 'for="2001:db8::1"', undefined],
    ["IPv4 in brackets", 'for="[203.0.113.7]"', undefined],
    ["text before the brackets", 'for="x[2001:db8::1]"', undefined],
    ["text before an address with a port", 'for="x:203.0.113.7:80"', undefined],
    ["text after the brackets", 'for="[2001:db8::1]x"', undefined],
    ["unknown", "for=unknown", undefined],
    ["an obfuscated node", "for=_gazonk", undefined],
    ["a zone", 'for="[fe80::1%eth0]"', undefined],
    ["no value", "for=", undefined],
    ["an unterminated quoted string", 'for="203.0.113.7', undefined],
    ["space around =", "for = 203.0.113.7", undefined],
    ["text after a quoted string", 'for="203.0.113.7"x', undefined],
    ["a port of six digits", 'for="203.0.113.7:123456"', undefined],
    ["an empty quoted string", 'for=""', undefined],
    ["an empty field", "", undefined],
  ])("%s", (_, field, expected) => {
    expect(client(forwarded, { forwarded: field })).toBe(expected);
  });

  test("a grammar error anywhere makes the address unknown, even to the left of the client", () => {
    expect(client(forwarded, { forwarded: 'for="open, for=203.0.113.7' })).toBeUndefined();
    expect(client(forwarded, { forwarded: "for==, for=203.0.113.7" })).toBeUndefined();
  });
});

test("parses a field in linear time", () => {
  const size = 2 ** 14;
  const fields = [
    ",".repeat(size),
    " ".repeat(size),
    "for=".repeat(size / 4),
    `for="${"\\".repeat(size)}`,
    `for="${"a".repeat(size)}`,
    `for=${"a".repeat(size)}`,
    "for=a;".repeat(size / 6),
    'x="",'.repeat(size / 5),
    `for="[${":".repeat(size)}`,
    `for=1.1.1.1${" ".repeat(size)}x`,
    "10.0.0.2,".repeat(size / 9),
    `${"a".repeat(size)}=`,
  ];
  const began = performance.now();
  for (let round = 0; round < 20; round++) {
    for (const field of fields) {
      client(forwarded, { forwarded: field });
      client(behind, { "x-forwarded-for": field });
    }
  }
  // 480 fields of 16 KiB: about 100 ms in linear time, minutes in quadratic time.
  expect(performance.now() - began).toBeLessThan(15_000);
});

describe("a header with a single address", () => {
  const options = { trustedProxies: ["loopback"], clientIpHeader: "CF-Connecting-IP" };

  test.each([
    ["203.0.113.7", "203.0.113.7"],
    [" 2001:db8::1 ", "2001:db8::1"],
    ["203.0.113.7, 1.1.1.1", undefined],
    ["junk", undefined],
    ["", undefined],
  ])("reads %j", (field, expected) => {
    expect(client(options, { "cf-connecting-ip": field }, "127.0.0.1")).toBe(expected);
    expect(client(options, { "cf-connecting-ip": field }, "::1")).toBe(expected);
  });

  test("must not be repeated", () => {
    const raw = ["CF-Connecting-IP", "1.1.1.1", "cf-connecting-ip", "203.0.113.7"];
    expect(client(options, { "cf-connecting-ip": "1.1.1.1" }, "127.0.0.1", raw)).toBeUndefined();
    expect(client(options, { "cf-connecting-ip": ["1.1.1.1", "1.1.1.1"] }, "127.0.0.1")).toBeUndefined();
    expect(client(options, { "x-forwarded-for": "1.1.1.1" }, "127.0.0.1")).toBeUndefined();
  });
});

describe("options", () => {
  test.each([
    ["loopback", "127.0.0.1", true],
    ["loopback", "::1", true],
    ["loopback", "::ffff:127.0.0.1", true],
    ["loopback", "10.0.0.1", false],
    ["linklocal", "169.254.1.1", true],
    ["linklocal", "fe80::1%eth0", true],
    ["uniquelocal", "192.168.1.1", true],
    ["uniquelocal", "172.32.0.1", false],
    ["uniquelocal", "fd00::1", true],
  ])("%s trusts %s: %s", (name, socket, trusted) => {
    const found = client({ trustedProxies: [name] }, { "x-forwarded-for": "203.0.113.7" }, socket);
    expect(found === "203.0.113.7").toBe(trusted);
  });

  test.each([
    [{ trustedProxies: ["10.0.0.0/33"] }, /"trustedProxies\[0\]"/],
    [{ trustedProxies: ["loopback", "10.0.0.5/8"] }, /"trustedProxies\[1\]".*10\.0\.0\.0\/8/],
    [{ trustedProxies: ["toString"] }, /"trustedProxies\[0\]"/],
    [{ trustedProxies: "loopback" }, /"trustedProxies" must be an array/],
    [{ trustedProxies: true }, /"trustedProxies" must be an array/],
    [{ trustedProxies: 1 }, /"trustedProxies" must be an array/],
    [{ trustedProxies: [7] }, /"trustedProxies\[0\]"/],
    [{ trustedProxies: [["loopback"]] }, /"trustedProxies\[0\]" must be a string/],
    [{ clientIpHeader: "x-forwarded-for" }, /requires "trustedProxies"/],
    [{ clientIpHeader: "forwarded", trustedProxies: [] }, /requires "trustedProxies"/],
    [{ clientIpHeader: "x y", trustedProxies: ["loopback"] }, /"clientIpHeader"/],
    [{ clientIpHeader: "", trustedProxies: ["loopback"] }, /"clientIpHeader"/],
    [
      { missingForwardedHeader: "use-peer" },
      /"missingForwardedHeader" has no effect without "trustedProxies"/,
    ],
    [{ missingForwardedHeader: "deny", trustedProxies: ["loopback"] }, /"unknown" or "use-peer"; received/],
    [{ clientIpHeader: 7, trustedProxies: ["loopback"] }, /"clientIpHeader"/],
  ])("rejects %j", (options, message) => {
    const make = () => clientIpResolver(options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });
});
