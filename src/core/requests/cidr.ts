import ipaddr from "ipaddr.js";
import { type CidrList, compileRanges, type IpAddress, type Range } from "./ranges.js";

/**
 * Parses an address in strict form: four decimal octets without leading zeros, or RFC 4291, 2.2. Zones, ports and
 * brackets are rejected.
 */
export function parseIp(text: string): IpAddress | undefined {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

/** Returns an address as it was written, except that an IPv4-mapped address is written as IPv4. */
export function formatIp(written: string, address: IpAddress): string {
  return typeof address === "number" && written.includes(":") ? format4(address) : written;
}

/**
 * Compiles networks into sorted ranges, which are searched by binary search.
 *
 * An address without a prefix length is a network of one address. Bits after the prefix length must be zero:
 * `10.0.0.5/8` may be a mistake for `10.0.0.0/8` or for `10.0.0.5`, and one of them would allow too much.
 *
 * @throws TypeError if an entry is invalid; the message names the entry.
 */
export function compileCidrs(entries: readonly string[]): CidrList {
  const ranges = entries.map((entry) => {
    const range = parseCidr(entry);
    if (typeof range === "string") throw new TypeError(`${JSON.stringify(entry)} ${range}`);
    return range;
  });
  return compileRanges(ranges);
}

/** Compiles a stored list. Unlike {@link compileCidrs}, it ignores invalid entries, so that they match no address. */
export function compileReadableCidrs(entries: readonly unknown[]): CidrList {
  return compileRanges(entries.map(parseCidr).filter((range) => typeof range !== "string"));
}

/** Returns what is wrong with a network, as a sentence without its subject; `undefined` if it is valid. */
export function cidrProblem(entry: unknown): string | undefined {
  const range = parseCidr(entry);
  return typeof range === "string" ? range : undefined;
}

const FORM = "is not an IP address or a network such as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32";

function parseCidr(entry: unknown): Range | string {
  if (typeof entry !== "string") return "must be a string";
  const slash = entry.indexOf("/");
  const text = slash < 0 ? entry : entry.slice(0, slash);
  const address = parseIp(text);
  if (address === undefined) return FORM;
  const written = text.includes(":") ? 128 : 32;
  const bits = slash < 0 ? written : parsePrefix(entry.slice(slash + 1), written);
  if (bits === undefined) return `must have a prefix length from 0 to ${written}`;
  if (typeof address === "number") {
    const mapped = written === 128;
    if (mapped && bits < 96) return "is an IPv4-mapped network with a prefix length below 96";
    return range4(address, mapped ? bits - 96 : bits);
  }
  return range6(address, bits);
}

function parsePrefix(text: string, most: number): number | undefined {
  return /^(0|[1-9]\d{0,2})$/.test(text) && Number(text) <= most ? Number(text) : undefined;
}

function range4(address: number, bits: number): Range | string {
  const size = 2 ** (32 - bits);
  const first = Math.floor(address / size) * size;
  if (first !== address)
    return `has bits set after its prefix length; did you mean ${format4(first)}/${bits}?`;
  return { first, last: first + size - 1 };
}

function range6(address: readonly number[], bits: number): Range | string {
  const masks = address.map((_, index) => 0xffff >>> Math.min(16, Math.max(0, bits - index * 16)));
  if (address.some((part, index) => (part & (masks[index] as number)) !== 0)) {
    return "has bits set after its prefix length";
  }
  return {
    first: address,
    last: address.map((part, index) => part | (masks[index] as number)),
  };
}

function format4(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join(".");
}

function parseIpv4(text: string): number | undefined {
  let address = 0;
  let octet = -1;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit >= 0 && digit <= 9) {
      if (octet === 0) return undefined; // a leading zero, which other parsers read as octal
      octet = octet < 0 ? digit : octet * 10 + digit;
      if (octet > 255) return undefined;
    } else if (digit === -2 && octet >= 0 && dots < 3) {
      address = address * 256 + octet;
      octet = -1;
      dots++;
    } else return undefined;
  }
  return dots === 3 && octet >= 0 ? address * 256 + octet : undefined;
}

function parseIpv6(text: string): IpAddress | undefined {
  if (text.length > 45 || !/^[0-9A-Fa-f:.]+$/.test(text)) return undefined;
  const plain = replaceDottedTail(text);
  const parts = plain === undefined ? undefined : parseGroups(plain);
  if (parts === undefined) return undefined;
  const mapped = parts[5] === 0xffff && parts.slice(0, 5).every((part) => part === 0);
  return mapped ? (parts[6] as number) * 65_536 + (parts[7] as number) : parts;
}

function parseGroups(text: string): readonly number[] | undefined {
  try {
    return ipaddr.IPv6.parse(text).parts;
  } catch {
    return undefined; // calling `isValid` first would parse twice
  }
}

/** Replaces an IPv4 address at the end by hex groups: ipaddr.js parses `::10.0.0.1` as an IPv4-mapped address. */
function replaceDottedTail(text: string): string | undefined {
  if (!text.includes(".")) return text;
  const begin = text.lastIndexOf(":") + 1;
  const address = parseIpv4(text.slice(begin));
  if (address === undefined) return undefined;
  return `${text.slice(0, begin)}${(address >>> 16).toString(16)}:${(address & 0xffff).toString(16)}`;
}
