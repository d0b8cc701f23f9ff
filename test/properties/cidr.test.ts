import { isIP } from "node:net";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cidrProblem, compileCidrs, parseIp } from "../../src/core/requests/cidr.js";
import type { IpAddress } from "../../src/core/requests/ranges.js";
import { addressOf, isMapped, networkHolds, spell4, spell6 } from "./ip-oracle.js";
import { runs } from "./runs.js";

const four = fc.bigInt({ min: 0n, max: 2n ** 32n - 1n });
const six = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }),
  fc.bigInt({ min: 0n, max: 2n ** 34n }),
  four.map((address) => 0xffff_0000_0000n | address),
);

/** Converts an address of the library to one number. */
function numberOf(address: IpAddress): bigint {
  return typeof address === "number"
    ? 0xffff_0000_0000n | BigInt(address)
    : address.reduce((sum, group) => (sum << 16n) | BigInt(group), 0n);
}

function ip(text: string): IpAddress {
  const address = parseIp(text);
  if (address === undefined) throw new Error(`${text} is not an address`);
  return address;
}

describe("parseIp", () => {
  test("agrees with a second parser and with node:net on arbitrary strings", () => {
    const piece = fc.constantFrom(
      ..."0,1,00,01,10,255,256,99,1000,a,F,ffff,g,.,..,:,::,::ffff:,10.0.0.1,/,%,[,], ,-,x".split(","),
    );
    const texts = fc.oneof(
      fc.array(piece, { maxLength: 12 }).map((parts) => parts.join("")),
      fc
        .array(fc.constantFrom("0", "1", "ffff", "", "01", "10.0.0.1"), { maxLength: 9 })
        .map((parts) => parts.join(":")),
      fc.ipV4(),
      fc.ipV6(),
      fc
        .tuple(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat(40), piece)
        .map(([text, at, part]) => text.slice(0, at) + part + text.slice(at)),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const expected = addressOf(text);
        const address = parseIp(text);
        expect(address === undefined ? undefined : numberOf(address)).toBe(expected);
        // node:net accepts the same strings, except zones.
        if (!text.includes("%")) expect(address !== undefined).toBe(isIP(text) !== 0);
      }),
      runs(20_000),
    );
  });
});

describe("networks", () => {
  const networks = fc.oneof(
    fc.record({ address: four, bits: fc.nat(32) }).map(({ address, bits }) => {
      const network = (address >> BigInt(32 - bits)) << BigInt(32 - bits);
      return { text: `${spell4(network)}/${bits}`, network: 0xffff_0000_0000n | network, bits: bits + 96 };
    }),
    fc
      .record({ address: six, bits: fc.nat(128) })
      .map(({ address, bits }) => {
        const network = (address >> BigInt(128 - bits)) << BigInt(128 - bits);
        return { text: `${spell6(network)}/${bits}`, network, bits };
      })
      .filter(({ network, bits }) => !isMapped(network) || bits >= 96),
  );

  test("agree with BigInt arithmetic, also at the edges of networks", () => {
    const cases = fc.record({
      list: fc.array(networks, { maxLength: 8 }),
      somewhere: fc.array(
        fc.oneof(
          six,
          four.map((address) => 0xffff_0000_0000n | address),
        ),
        { maxLength: 4 },
      ),
    });
    fc.assert(
      fc.property(cases, ({ list, somewhere }) => {
        const compiled = compileCidrs(list.map(({ text }) => text));
        const edges = list.flatMap(({ network, bits }) => {
          const size = 1n << BigInt(128 - bits);
          return [network - 1n, network, network + size - 1n, network + size];
        });
        for (const address of [...somewhere, ...edges]) {
          if (address < 0n || address >= 2n ** 128n) continue;
          const expected = list.some(({ network, bits }) => networkHolds(network, bits, address));
          expect(compiled.includes(ip(spell6(address)))).toBe(expected);
          if (isMapped(address)) expect(compiled.includes(ip(spell4(address & 0xffff_ffffn)))).toBe(expected);
        }
      }),
      runs(2_000),
    );
  });

  // Around a boundary of 16 bits, where a carry crosses groups, and at both ends of a family.
  const places = [
    0xffff_0a01_0000n,
    0xffff_0000_0010n,
    0xffff_ffff_fff0n,
    0x2001_0db8n << 96n,
    16n,
    2n ** 128n - 16n,
  ];

  test("covers() agrees with a check of each address", () => {
    const near = (place: bigint) =>
      fc.array(
        fc
          .record({ at: fc.bigInt({ min: -16n, max: 15n }), bits: fc.integer({ min: 124, max: 128 }) })
          .map(({ at, bits }) => ({
            bits,
            network: ((place + at) >> BigInt(128 - bits)) << BigInt(128 - bits),
          })),
        { maxLength: 8 },
      );
    const lists = fc.constantFrom(...places).chain((place) => fc.tuple(near(place), near(place)));
    const compiled = (list: readonly { network: bigint; bits: number }[]) =>
      compileCidrs(list.map(({ network, bits }) => `${spell6(network)}/${bits}`));
    fc.assert(
      fc.property(lists, ([parent, child]) => {
        const held = child.flatMap(({ network, bits }) =>
          Array.from({ length: 2 ** (128 - bits) }, (_, index) => network + BigInt(index)),
        );
        const expected = held.every((address) =>
          parent.some(({ network, bits }) => networkHolds(network, bits, address)),
        );
        expect(compiled(parent).covers(compiled(child))).toBe(expected);
      }),
      runs(2_000),
    );
  });

  test("an address with bits after its prefix length is rejected with the correct suggestion", () => {
    fc.assert(
      fc.property(four, fc.nat(32), (address, bits) => {
        const network = (address >> BigInt(32 - bits)) << BigInt(32 - bits);
        const problem = cidrProblem(`${spell4(address)}/${bits}`);
        if (network === address) expect(problem).toBeUndefined();
        else expect(problem).toContain(`${spell4(network)}/${bits}?`);
      }),
      runs(200),
    );
  });
});
