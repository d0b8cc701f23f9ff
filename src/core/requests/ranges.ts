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

/** The addresses of one family from `first` to `last`, both included. */
export interface Range {
  readonly first: IpAddress;
  readonly last: IpAddress;
}

/** Sorts the ranges of each family and merges those that touch or overlap. */
export function compileRanges(ranges: readonly Range[]): CidrList {
  const four = compile4(merge(ranges.filter(({ first }) => typeof first === "number")));
  const six = compile6(merge(ranges.filter(({ first }) => typeof first !== "number")));
  const familyOf = (address: IpAddress) => (typeof address === "number" ? four : six);
  return {
    get ranges() {
      return [four, six].flatMap(({ size, at }) => Array.from({ length: size }, (_, index) => at(index)));
    },
    includes: (address) => familyOf(address).find(address) >= 0,
    // Touching ranges are merged, so each range of the other list lies within one range of this list.
    covers: (other) =>
      other.ranges.every(({ first, last }) => {
        const { find, at } = familyOf(first);
        const index = find(first);
        return index >= 0 && compare(last, at(index).last) <= 0;
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

/** The ranges of one family. */
interface Family {
  readonly size: number;
  /** Returns the index of the range that contains an address, or -1. */
  find(address: IpAddress): number;
  at(index: number): Range;
}

// In typed arrays an IPv6 range takes 32 bytes, as an object more than 300. No closure may refer to `ranges`.

function compile4(ranges: readonly Range[]): Family {
  const firsts = Uint32Array.from(ranges, ({ first }) => first as number);
  const lasts = Uint32Array.from(ranges, ({ last }) => last as number);
  const size = ranges.length;
  return {
    size,
    at: (index) => ({ first: firsts[index] as number, last: lasts[index] as number }),
    find(address) {
      const index = findLast(size, (index) => (firsts[index] as number) <= (address as number));
      return (lasts[index] as number) >= (address as number) ? index : -1;
    },
  };
}

function compile6(ranges: readonly Range[]): Family {
  const firsts = new Uint16Array(ranges.length * 8);
  const lasts = new Uint16Array(ranges.length * 8);
  for (const [index, { first, last }] of ranges.entries()) {
    firsts.set(first as readonly number[], index * 8);
    lasts.set(last as readonly number[], index * 8);
  }
  const read = (parts: Uint16Array, index: number) => [...parts.subarray(index * 8, index * 8 + 8)];
  const size = ranges.length;
  return {
    size,
    at: (index) => ({ first: read(firsts, index), last: read(lasts, index) }),
    find(address) {
      const parts = address as readonly number[];
      const index = findLast(size, (index) => compareAt(firsts, index * 8, parts) <= 0);
      return index >= 0 && compareAt(lasts, index * 8, parts) >= 0 ? index : -1;
    },
  };
}

/** Returns the last index for which a predicate holds that holds up to some index, or -1. */
function findLast(size: number, holds: (index: number) => boolean): number {
  let low = 0;
  let high = size;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) low = middle + 1;
    else high = middle;
  }
  return low - 1;
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

/** Compares like {@link compare}, but the eight numbers from an offset. Separate, because it is called with one type only. */
function compareAt(parts: Uint16Array, offset: number, address: readonly number[]): number {
  for (let i = 0; i < 8; i++) {
    const difference = (parts[offset + i] as number) - (address[i] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}
