import { describe, expect, test } from "vitest";
import {
  cidrProblem,
  compileCidrs,
  compileReadableCidrs,
  formatIp,
  parseIp,
} from "../../../../src/core/requests/cidr.js";
import type { IpAddress } from "../../../../src/core/requests/ranges.js";

function ip(text: string): IpAddress {
  const address = parseIp(text);
  if (address === undefined) throw new Error(`${text} is not an address`);
  return address;
}

describe("parseIp", () => {
  test.each([
    ["0.0.0.0", 0],
    ["255.255.255.255", 4294967295],
    ["10.0.0.1", 167772161],
    ["::ffff:10.0.0.1", 167772161],
    ["::FFFF:a00:1", 167772161],
    ["0:0:0:0:0:ffff:10.0.0.1", 167772161],
    ["0000:0000:0000:0000:0000:ffff:255.255.255.255", 4294967295],
    ["::", [0, 0, 0, 0, 0, 0, 0, 0]],
    ["::1", [0, 0, 0, 0, 0, 0, 0, 1]],
    ["2001:DB8::1", [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]],
    // ipaddr.js parses this deprecated form (RFC 4291, 2.5.5.1) as the mapped address ::ffff:10.0.0.1.
    ["::10.0.0.1", [0, 0, 0, 0, 0, 0, 0xa00, 1]],
    ["64:ff9b::10.0.0.1", [0x64, 0xff9b, 0, 0, 0, 0, 0xa00, 1]],
  ])("parses %s", (text, expected) => {
    expect(parseIp(text)).toEqual(expected);
  });

  test.each([
    "",
    "010.0.0.1",
    "a.0.0.1",
    "0.0.0.a",
    "1.1.1",
    "111.111.111",
    "00.0.0.0",
    "10.1",
    "10.0.1",
    "10.0.0.0.1",
    "10.0.0.",
    ".10.0.0.1",
    "10..0.1",
    "256.0.0.1",
    "1e1.0.0.1",
    "0x0a.0.0.1",
    "167772161",
    "+10.0.0.1",
    "-1.0.0.1",
    "10.0.0.1 ",
    " 10.0.0.1",
    "10.0.0.1\n",
    "10.0.0.1:80",
    "10.0.0.1/32",
    "١٠.0.0.1",
    "10。0。0。1",
    "localhost",
    "unknown",
    "_hidden",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1::2::3",
    ":::",
    ":1::",
    "1:::2",
    "1:2:3:4:5:6:7:",
    "12345::",
    "00001::",
    "g::",
    "::1%eth0",
    "fe80::1%25eth0",
    "[::1]",
    "[::1]:80",
    "::1/128",
    "::ffff:010.0.0.1",
    "::ffff:10.1",
    "::ffff:256.0.0.1",
    "10.0.0.1::",
    "::10.0.0.1:1",
    "1:2:3:4:5:6:7:10.0.0.1",
    `::${"0".repeat(50)}1`,
  ])("rejects %j", (text) => {
    expect(parseIp(text)).toBeUndefined();
  });
});

describe("networks", () => {
  test.each([
    ["10.0.0.0/8", "10.255.255.255", true],
    ["10.0.0.0/8", "11.0.0.0", false],
    ["10.0.0.0/8", "9.255.255.255", false],
    ["10.0.0.0/8", "::ffff:10.1.2.3", true],
    ["::ffff:10.0.0.0/104", "10.1.2.3", true],
    ["::ffff:0:0/96", "203.0.113.7", true],
    ["0.0.0.0/0", "203.0.113.7", true],
    ["0.0.0.0/0", "2001:db8::1", false],
    ["::/0", "2001:db8::1", true],
    ["::/0", "203.0.113.7", false],
    ["203.0.113.7", "203.0.113.7", true],
    ["203.0.113.7", "203.0.113.8", false],
    ["203.0.113.7/32", "203.0.113.7", true],
    ["255.255.255.255/32", "255.255.255.255", true],
    ["128.0.0.0/1", "255.0.0.1", true],
    ["128.0.0.0/1", "127.255.255.255", false],
    ["2001:db8::/32", "2001:DB8:ffff::1", true],
    ["2001:db8::/32", "2001:db9::", false],
    ["fe80::/10", "febf::1", true],
    ["fe80::/10", "fec0::1", false],
  ])("%s includes %s: %s", (network, address, expected) => {
    expect(compileCidrs([network]).includes(ip(address))).toBe(expected);
  });

  test.each([
    ["10.0.0.0/08", /prefix length from 0 to 32/],
    ["10.0.0.0/-1", /prefix length/],
    ["10.0.0.0/33", /prefix length/],
    ["10.0.0.0/ 24", /prefix length/],
    ["10.0.0.0/24 ", /prefix length/],
    ["10.0.0.0/", /prefix length/],
    ["10.0.0.0/+8", /prefix length/],
    ["10.0.0.0/8.0", /prefix length/],
    ["10.0.0.0/1e1", /prefix length/],
    ["10.0.0.0/0x8", /prefix length/],
    ["10.0.0.0/8/8", /prefix length/],
    ["10.0.0.0/255.0.0.0", /prefix length/],
    ["10.0.0.0/9999", /prefix length/],
    ["2001:db8::/129", /prefix length from 0 to 128/],
    ["010.0.0.0/8", /is not an IP address/],
    ["10/8", /is not an IP address/],
    ["10.1", /is not an IP address/],
    ["", /is not an IP address/],
    ["/8", /is not an IP address/],
    ["*", /is not an IP address/],
    ["10.0.0.0-10.0.0.9", /is not an IP address/],
    ["fe80::1%eth0/64", /is not an IP address/],
    ["10.0.0.5/8", /did you mean 10\.0\.0\.0\/8\?/],
    ["203.0.113.7/0", /did you mean 0\.0\.0\.0\/0\?/],
    ["2001:db8::1/32", /bits set/],
    ["8000::/0", /bits set/],
    ["::ffff:10.0.0.0/8", /IPv4-mapped network with a prefix length below 96/],
    ["::ffff:0:0/95", /IPv4-mapped network with a prefix length below 96/],
    ["::ffff:10.0.0.5/104", /did you mean/],
    [undefined, /must be a string/],
    [null, /must be a string/],
    [8, /must be a string/],
    [["10.0.0.0/8"], /must be a string/],
  ])("rejects %j", (entry, problem) => {
    expect(cidrProblem(entry)).toMatch(problem);
    expect(() => compileCidrs([entry as string])).toThrow(TypeError);
    expect(() => compileCidrs([entry as string])).toThrow(`${JSON.stringify(entry)} ${cidrProblem(entry)}`);
    const readable = compileReadableCidrs([entry, "192.0.2.0/24"]);
    expect(readable.includes(ip("192.0.2.1"))).toBe(true);
    expect(readable.includes(ip("10.0.0.5"))).toBe(false);
    expect(readable.includes(ip("2001:db8::1"))).toBe(false);
  });

  test.each([
    [["10.0.0.0/8"], ["10.1.0.0/16", "10.2.3.4"], true],
    [["10.0.0.0/8"], ["10.0.0.0/8"], true],
    [["10.0.0.0/8"], ["10.0.0.0/7"], false],
    [["10.0.0.0/8"], ["10.1.0.0/16", "11.0.0.0"], false],
    [["10.0.0.0/9", "10.128.0.0/9"], ["10.0.0.0/8"], true],
    [["10.128.0.0/9", "10.0.0.0/9", "10.0.0.0/10"], ["10.0.0.0/8"], true],
    [["10.0.0.0/31", "10.0.0.1", "10.0.0.2/31"], ["10.0.0.0/30"], true],
    [["10.0.0.0/10", "10.128.0.0/9"], ["10.0.0.0/8"], false],
    [["2001:db8::/33", "2001:db8:8000::/33"], ["2001:db8::/32"], true],
    [["2001:db8::/112", "2001:db8::1:0/112"], ["2001:db8::/111"], true],
    [["2001:db8::/112", "2001:db8::2:0/112"], ["2001:db8::/110"], false],
    [["::/1", "8000::/1"], ["::/0"], true],
    [["0.0.0.0/0"], ["::/0"], false],
    [["::/0"], ["10.0.0.0/8"], false],
    [["::ffff:10.0.0.0/104"], ["10.0.0.1"], true],
    [["10.0.0.0/8"], [], true],
    [[], ["10.0.0.1"], false],
  ])("%j covers %j: %s", (parent, child, expected) => {
    expect(compileCidrs(parent).covers(compileCidrs(child))).toBe(expected);
  });

  test("finds addresses in a list of 10,000 networks", () => {
    const list = Array.from({ length: 10_000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/25`);
    const compiled = compileCidrs(list);
    expect(compiled.includes(ip("10.39.15.127"))).toBe(true);
    expect(compiled.includes(ip("10.39.15.128"))).toBe(false);
    expect(compiled.includes(ip("10.39.16.0"))).toBe(false);
  });
});

test("formatIp writes a mapped address as IPv4 and does not change others", () => {
  expect(formatIp("::ffff:a00:1", ip("::ffff:a00:1"))).toBe("10.0.0.1");
  expect(formatIp("2001:DB8::1", ip("2001:DB8::1"))).toBe("2001:DB8::1");
});
