// A second implementation of RFC 4291 and dotted decimals, with BigInt and without the parser of the library.

/** Parses an address to an IPv6 number, IPv4 in its mapped form; returns `undefined` if it is not in strict form. */
export function addressOf(text: string): bigint | undefined {
  const four = dotted(text);
  if (four !== undefined) return 0xffff_0000_0000n | four;
  if (!text.includes(":")) return undefined;
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const groups = halves.map((half) => (half === "" ? [] : half.split(":")));
  const numbers: bigint[][] = [];
  for (const [index, half] of groups.entries()) {
    const read: bigint[] = [];
    for (const [place, group] of half.entries()) {
      const last = index === groups.length - 1 && place === half.length - 1;
      const embedded = last ? dotted(group) : undefined;
      if (embedded !== undefined) read.push(embedded >> 16n, embedded & 0xffffn);
      else if (/^[0-9a-fA-F]{1,4}$/.test(group)) read.push(BigInt(`0x${group}`));
      else return undefined;
    }
    numbers.push(read);
  }
  const [head = [], tail] = numbers;
  const length = head.length + (tail?.length ?? 0);
  if (tail === undefined ? length !== 8 : length > 7) return undefined;
  const all = [...head, ...new Array<bigint>(8 - length).fill(0n), ...(tail ?? [])];
  return all.reduce((sum, group) => (sum << 16n) | group, 0n);
}

function dotted(text: string): bigint | undefined {
  const octets = text.split(".");
  if (octets.length !== 4) return undefined;
  if (!octets.every((octet) => /^(0|[1-9][0-9]{0,2})$/.test(octet) && Number(octet) < 256)) return undefined;
  return octets.reduce((sum, octet) => (sum << 8n) | BigInt(octet), 0n);
}

export const isMapped = (address: bigint): boolean => address >> 32n === 0xffffn;

/** Whether a network contains an address of the same family. */
export function networkHolds(network: bigint, bits: number, address: bigint): boolean {
  const shift = BigInt(128 - bits);
  return isMapped(network) === isMapped(address) && network >> shift === address >> shift;
}

export function spell6(address: bigint): string {
  const groups: string[] = [];
  for (let shift = 112n; shift >= 0n; shift -= 16n) groups.push(((address >> shift) & 0xffffn).toString(16));
  return groups.join(":");
}

export function spell4(address: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => ((address >> shift) & 0xffn).toString()).join(".");
}
