import ipaddr from "ipaddr.js";

/**
 * An IP address: IPv4 as a number of 32 bits, IPv6 as eight numbers of 16 bits. An IPv4-mapped IPv6 address (RFC 4291,
 * 2.5.5.2), as dual-stack sockets report it, is converted to IPv4.
 */
export type IpAddress = number | readonly number[];

/** A compiled list of networks. */
export interface CidrList {
  /** Whether an address is in one of the networks. */
  includes(address: IpAddress): boolean;
  /** Whether the list includes every address of another list. */
  covers(other: CidrList): boolean;
  /** Sorted and disjoint. */
  readonly ranges: readonly Range[];
}

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

/** The addresses of one family from `first` to `last`, both included. */
export interface Range {
  readonly first: IpAddress;
  readonly last: IpAddress;
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

/** Sorts the ranges of each family and merges those that touch or overlap. */
function compileRanges(ranges: readonly Range[]): CidrList {
  const four = merge(ranges.filter(({ first }) => typeof first === "number"));
  const six = merge(ranges.filter(({ first }) => typeof first !== "number"));
  const [find4, find6] = [createSearch4(four), createSearch6(six)];
  const rangeOf = (address: IpAddress) => (typeof address === "number" ? find4 : find6)(address);
  return {
    ranges: [...four, ...six],
    includes: (address) => rangeOf(address) !== undefined,
    // Touching ranges are merged, so each range of the other list lies within one range of this list.
    covers: (other) =>
      other.ranges.every(({ first, last }) => {
        const range = rangeOf(first);
        return range !== undefined && compare(last, range.last) <= 0;
      }),
  };
}

function merge(ranges: readonly Range[]): readonly Range[] {
  const merged: Range[] = [];
  for (const range of [...ranges].sort((a, b) => compare(a.first, b.first))) {
    const previous = merged[merged.length - 1];
    if (previous === undefined || !touches(previous.last, range.first)) merged.push(range);
    else if (compare(range.last, previous.last) > 0)
      merged[merged.length - 1] = { first: previous.first, last: range.last };
  }
  return merged;
}

/** Whether no address lies between the end of a range and the start of a later range. */
function touches(last: IpAddress, first: IpAddress): boolean {
  return compare(first, last) <= 0 || compare(first, next(last)) === 0;
}

function next(address: IpAddress): IpAddress {
  if (typeof address === "number") return address + 1;
  const parts = [...address];
  for (let i = parts.length - 1; i >= 0; i--) {
    parts[i] = ((parts[i] as number) + 1) & 0xffff;
    if (parts[i] !== 0) break;
  }
  return parts; // the highest address wraps around to ::, where no later range starts
}

/**
 * Creates a binary search for the range that contains an address: the last range that starts at or before it. The
 * first addresses are kept in one typed array for speed.
 */
function createSearch(
  ranges: readonly Range[],
  startsAtOrBefore: (index: number, address: IpAddress) => boolean,
) {
  return (address: IpAddress): Range | undefined => {
    let low = 0;
    let high = ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (startsAtOrBefore(middle, address)) low = middle + 1;
      else high = middle;
    }
    const range = ranges[low - 1];
    return range !== undefined && compare(address, range.last) <= 0 ? range : undefined;
  };
}

function createSearch4(ranges: readonly Range[]): (address: IpAddress) => Range | undefined {
  const firsts = Uint32Array.from(ranges, ({ first }) => first as number);
  return createSearch(ranges, (index, address) => (firsts[index] as number) <= (address as number));
}

function createSearch6(ranges: readonly Range[]): (address: IpAddress) => Range | undefined {
  const firsts = Uint16Array.from(ranges.flatMap(({ first }) => first as readonly number[]));
  return createSearch(ranges, (index, address) => {
    for (let part = 0; part < 8; part++) {
      const difference =
        (firsts[index * 8 + part] as number) - ((address as readonly number[])[part] as number);
      if (difference !== 0) return difference < 0;
    }
    return true;
  });
}

/** Compares two addresses of one family. */
function compare(a: IpAddress, b: IpAddress): number {
  if (typeof a === "number") return a - (b as number);
  for (let i = 0; i < 8; i++) {
    const difference = (a[i] as number) - ((b as readonly number[])[i] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}
